"""`| json name="path"`: the values at paths such as `servers[0].name` or `["a b"].c` of a JSON line."""

import re
from collections.abc import Sequence

import orjson

from apimon.errors import QueryError
from apimon.loki.embedded.engine.json_scanner import JsonFaultError, find_member, read_value, unescape

JsonPath = tuple[str | int, ...]

_PART = re.compile(r'(?:\.|^)([^.\[\]"\s]+)|\[(\d+)\]|(?:\.|^|)\["((?:[^"\\]|\\.)*)"\]')


def parse_path(text: str) -> JsonPath:
    """Return the keys and indices of a path; raises QueryError where it is malformed."""
    parts: list[str | int] = []
    at = 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            raise QueryError(f'parse error : cannot parse the json expression "{text}": write a.b[0]["c d"]')
        key, index, quoted = match.groups()
        parts.append(int(index) if index is not None else unescape(quoted) if quoted is not None else key)
        at = match.end()
    if not parts:
        raise QueryError("parse error : cannot parse the json expression: it is empty")
    return tuple(parts)


def read_paths(text: str, paths: Sequence[JsonPath]) -> list[str | None]:
    """Return the value at each path, None where there is none.

    Raises JsonFaultError: without words where the line begins with anything else than an object, an array or a
    string, be it a space, as Loki does.
    """
    if text[:1] not in {"{", "[", '"'}:
        raise JsonFaultError
    try:
        document = orjson.loads(text)
    except ValueError:
        return _scan_paths(text, paths)
    values = [_walk(document, path) for path in paths]
    if any(value is not None and not isinstance(value, str) for value in values) or text.count('":') > len(document):
        return _scan_paths(text, paths)
    return [value if isinstance(value, str) else None for value in values]


def _walk(value: object, path: JsonPath) -> object:
    for part in path:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _scan_paths(text: str, paths: Sequence[JsonPath]) -> list[str | None]:
    """Read the paths by the lenient scanner, which keeps numbers and objects as they are written."""
    values: list[str | None] = []
    faults: list[JsonFaultError] = []
    for path in paths:
        try:
            values.append(_scan_path(text, path))
        except JsonFaultError as fault:
            faults.append(fault)
            values.append(None)
    if faults and not any(values):
        raise faults[0]
    return values


def _scan_path(text: str, path: JsonPath) -> str | None:
    """Return the text at the path, None for null and where there is none; raises where its value is cut."""
    at = 0
    for part in path:
        at += len(text) - at - len(text[at:].lstrip())
        if text[at : at + 1] != ("{" if isinstance(part, str) else "["):
            return None
        try:
            found = find_member(text, at, str(part))
        except JsonFaultError:
            return None  # Loki speaks of no fault in what it only passes
        if found is None:
            return None
        at = found
    value, kind = read_value(text, at)
    return None if kind == "token" and value == "null" else value
