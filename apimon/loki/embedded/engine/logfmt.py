"""`key=value` pairs as Loki's logfmt parser reads them: what is malformed is skipped up to the next space."""

import re
from collections.abc import Iterator

from apimon.loki.embedded.engine.json_scanner import unescape

_SPACE = re.compile(r"[\x00-\x20]*")
_KEY = re.compile(r'[^\x00-\x20="]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r'[^\x00-\x20="]*')
_REST = re.compile(r"[^\x00-\x20]*")

Pair = tuple[str, str]


class LogfmtFaultError(Exception):
    """A malformed pair; `at` is the offset behind it, from which reading may go on."""

    def __init__(self, what: str, position: int, at: int) -> None:
        super().__init__(f"logfmt syntax error at pos {position} : {what}")
        self.at = at


def read_pairs(text: str, *, strict: bool) -> Iterator[Pair]:
    """Yield the pairs, keys without a value with an empty one; strict raises LogfmtFaultError."""
    at = _skip(_SPACE, text, 0)
    while at < len(text):
        try:
            key, value, at = _read_pair(text, at)
            yield key, value
        except LogfmtFaultError as fault:
            if strict:
                raise
            at = fault.at
        at = _skip(_SPACE, text, at)


def _read_pair(text: str, at: int) -> tuple[str, str, int]:
    key = _KEY.match(text, at)
    if key is None:
        raise _unexpected(text, at, at)
    at = key.end()
    if text[at : at + 1] == '"':
        raise _unexpected(text, at, at)
    if text[at : at + 1] != "=":
        return key[0], "", at
    at += 1
    if text[at : at + 1] == '"':
        value, at = _read_quoted(text, at)
        return key[0], value, at
    bare = _skip(_BARE, text, at)
    if text[bare : bare + 1] in {"=", '"'}:
        raise _unexpected(text, bare, bare)
    return key[0], text[at:bare], bare


def _read_quoted(text: str, at: int) -> tuple[str, int]:
    match = _QUOTED.match(text, at)
    if match is None:
        raise LogfmtFaultError("unterminated quoted value", len(text) + 1, len(text))
    raw = match[1]
    value = unescape(raw)
    if raw and not value:
        raise LogfmtFaultError("invalid quoted value", match.end(), _skip(_REST, text, match.end()))
    return value, match.end()


def _unexpected(text: str, position: int, at: int) -> LogfmtFaultError:
    return LogfmtFaultError(f"unexpected '{text[position]}'", position + 1, max(_skip(_REST, text, at), at + 1))


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
