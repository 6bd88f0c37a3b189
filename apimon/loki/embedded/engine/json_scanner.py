"""JSON read as leniently as Loki's parser reads it, for the lines that a strict one refuses or would read otherwise.

What it accepts and how it names faults is the behaviour of github.com/buger/jsonparser (MIT), which Loki uses: the
fields before a fault are kept, nothing after the closing brace is looked at, the text of numbers is kept as it is.
"""

import json
import re
from collections.abc import Iterator

MAX_DEPTH = 100
"""How deep objects may nest before the line counts as malformed."""

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING_END = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)
_TOKEN_END = re.compile(r"[ \t\r\n,}\]]")
_BRACKETS = re.compile(r'["{}\[\]]')

MALFORMED_OBJECT = "Value looks like object, but can't find closing '}' symbol"
MALFORMED_ARRAY = "Value is array, but can't find closing ']' symbol"
MALFORMED_STRING = "Value is string, but can't find closing '\"' symbol"
MALFORMED = "Malformed JSON error"
UNKNOWN_VALUE = "Unknown value type"


class JsonFaultError(Exception):
    """The line is no JSON object from here on; the message is Loki's."""


Field = tuple[tuple[str, ...], str]
"""The keys from the outermost object to a value, and the value as a label holds it."""


def scan_object(text: str, *, path: tuple[str, ...] = ()) -> Iterator[Field]:
    """Yield every string, number and boolean outside arrays, in the order of the text; raises JsonFaultError."""
    start = _skip_space(text, 0)
    if text[start : start + 1] != "{" or len(path) > MAX_DEPTH:
        raise JsonFaultError(MALFORMED_OBJECT)
    for key, value, kind in _scan_members(text, start):
        if kind == "object":
            yield from scan_object(value, path=(*path, key))
        elif kind == "string" or (kind == "token" and value != "null"):
            yield (*path, key), value


def find_member(text: str, start: int, wanted: str) -> int | None:
    """Return the offset before the value of a key, or of an index, in the object or array that begins at `start`."""
    return next((at for key, at in _scan_keys(text, start) if key == wanted), None)


def read_value(text: str, at: int) -> tuple[str, str]:
    """Return the value behind an offset (a string's text, anything else as it is written) and its kind.

    The kind is string, object, array or token. Raises JsonFaultError.
    """
    value, kind, _ = _scan_value(text, at)
    return value, kind


def _scan_members(text: str, start: int) -> Iterator[tuple[str, str, str]]:
    """Yield the key, value and kind of each member of the object that begins at `start`."""
    for key, at in _scan_keys(text, start):
        yield key, *read_value(text, at)


def _scan_keys(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield each key, or index, and the offset behind its colon, of the object or array that begins at `start`.

    A value is read only when the next key is asked for: what is found before a fault counts.
    """
    in_object = text[start] == "{"
    closing = "}" if in_object else "]"
    index = 0
    at = _next_token(text, start + 1, MALFORMED if in_object else MALFORMED_ARRAY)
    while text[at] != closing:
        key = str(index)
        if in_object:
            key, at = _scan_key(text, at)
        yield key, at
        _, _, at = _scan_value(text, at)
        at = _next_token(text, at, MALFORMED_ARRAY)
        if text[at] == ",":
            at = _next_token(text, at + 1, MALFORMED_ARRAY)
        elif text[at] != closing:
            raise JsonFaultError(MALFORMED_OBJECT if in_object else MALFORMED_ARRAY)
        index += 1


def unescape(raw: str) -> str:
    """Return a JSON string's text; empty where an escape is malformed."""
    if "\\" not in raw:
        return raw
    try:
        text: str = json.loads(f'"{raw}"', strict=False)
        text.encode("utf-8")
    except ValueError:  # lone surrogates are one
        return ""
    return text


def _scan_key(text: str, at: int) -> tuple[str, int]:
    """Return the key that begins at `at` and the offset behind its colon."""
    if text[at] != '"':
        raise JsonFaultError(MALFORMED_OBJECT)
    end = _STRING_END.match(text, at + 1)
    if end is None:
        raise JsonFaultError(MALFORMED)
    colon = _next_token(text, end.end(), MALFORMED)
    if text[colon] != ":":
        raise JsonFaultError(MALFORMED)
    return unescape(text[at + 1 : end.end() - 1]), colon + 1


def _scan_value(text: str, at: int) -> tuple[str, str, int]:
    """Return the value that begins behind `at`, its kind (string, object, array, token) and the offset behind it."""
    at = _next_token(text, at, MALFORMED)
    first = text[at]
    if first == '"':
        match = _STRING_END.match(text, at + 1)
        if match is None:
            raise JsonFaultError(MALFORMED_STRING)
        return unescape(text[at + 1 : match.end() - 1]), "string", match.end()
    if first in "{[":
        end = _block_end(text, at)
        if end < 0:
            raise JsonFaultError(MALFORMED_OBJECT if first == "{" else MALFORMED_ARRAY)
        return text[at:end], "object" if first == "{" else "array", end
    stop = _TOKEN_END.search(text, at)
    end = stop.start() if stop else len(text)
    token = text[at:end]
    if token not in {"true", "false", "null"} and first not in "-0123456789":
        raise JsonFaultError(UNKNOWN_VALUE)
    return token, "token", end


def _block_end(text: str, at: int) -> int:
    """Return the offset behind the bracket that closes the one at `at`, -1 where none does; strings are skipped."""
    opening, closing = text[at], "}" if text[at] == "{" else "]"
    level = 0
    while match := _BRACKETS.search(text, at):
        at = match.end()
        if match[0] == '"':
            end = _STRING_END.match(text, at)
            if end is None:
                return -1
            at = end.end()
        level += (match[0] == opening) - (match[0] == closing)
        if level == 0:
            return at
    return -1


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _next_token(text: str, at: int, fault: str) -> int:
    at = _skip_space(text, at)
    if at >= len(text):
        raise JsonFaultError(fault)
    return at
