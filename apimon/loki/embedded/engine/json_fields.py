"""The fields of a JSON line by label name: fast through orjson where that says exactly what Loki's parser says.

`load_document` decides which way a line goes: orjson refuses what Loki accepts, keeps the last of duplicate keys where
Loki keeps the first, and forgets how a number was written; such lines go through `json_scanner`.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from apimon.loki.embedded.engine.json_scanner import MAX_DEPTH
from apimon.loki.embedded.engine.naming import join_name, sanitize_name

Members = dict[str, Any]

_TOO_DEEP = -(1 << 60)
"""No count of keys, whatever is added to it."""

_MAX_SHAPES = 512
_ERROR = "__error__"


class InexactError(Exception):
    """A value whose text orjson doesn't tell: the line has to be scanned."""


class Shape:
    """What the keys of an object alone say, worked out once: a log has few shapes and many lines."""

    __slots__ = ("_keys", "_names", "is_plain", "nested")

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys
        self._names: dict[str, list[tuple[str, bool]]] = {}
        self.nested: list[str] = []
        """The keys that were seen to hold objects."""
        self.is_plain = not self.holders(_ERROR)
        """Whether no field can be taken for an error of the line."""

    def holders(self, name: str) -> list[tuple[str, bool]]:
        """Return the keys that can hold the label `name`, in their order, and whether the key itself is it."""
        found = self._names.get(name)
        if found is None:
            cleaned = [(key, sanitize_name(key)) for key in self._keys]
            found = self._names[name] = [(key, clean == name) for key, clean in cleaned if _may_hold(clean, name)]
        return found


_shapes: dict[tuple[str, ...], Shape] = {}


class Document:
    """One line's object."""

    __slots__ = ("_members", "_shape", "_text")

    def __init__(self, members: Members, shape: Shape, text: str) -> None:
        self._members = members
        self._shape = shape
        self._text = text

    def find(self, name: str) -> str | None:
        """Return the value of the first field whose label is `name`; None where there is none. Raises InexactError."""
        key, value = self._find(name)
        if value is None or type(value) is str:
            return value
        return _format_scalar(key, value, self._text)

    def find_number(self, name: str) -> float | str | None:
        """Return what `find` does, but a number as such, whatever its text."""
        key, value = self._find(name)
        if value is None or type(value) is str:
            return value
        return float(value) if type(value) is not bool else _format_scalar(key, value, self._text)

    def flatten(self) -> list[tuple[str, str]]:
        """Return every field as (label, value), nested names joined by `_`, in order. Raises InexactError."""
        return list(_flatten(self._members, "", self._text))

    def _find(self, name: str) -> tuple[str, Any]:
        members = self._members
        for key, is_it in self._shape.holders(name):
            value = members[key]
            kind = type(value)
            if kind is dict:
                for label, nested in _flatten(value, sanitize_name(key), self._text):
                    if label == name:
                        return key, nested
            elif is_it and value is not None and kind is not list:
                return key, value
        return "", None


def load_document(text: str) -> Document | None:
    """Return the line's object; None where only a scan says what Loki says."""
    try:
        members = orjson.loads(text)
    except ValueError:
        return None
    if type(members) is not dict:
        return None
    keys = tuple(members)
    shape = _shapes.get(keys)
    if shape is None:
        if len(_shapes) >= _MAX_SHAPES:
            _shapes.clear()
        shape = _shapes[keys] = Shape(keys)
    if not shape.is_plain or _may_double(members, shape, text):
        return None
    return Document(members, shape, text)


def _may_double(members: Members, shape: Shape, text: str) -> bool:
    """Whether a key may be there twice: every key is followed by a colon, so the text then has more than the object."""
    colons = text.count('":')
    count = len(members)
    for key in shape.nested:
        value = members[key]
        if type(value) is dict:
            count += len(value)
    if count == colons:
        return False
    shape.nested = [key for key, value in members.items() if type(value) is dict]
    return _count_keys(members, 0) != colons - text.count('\\":')


def _may_hold(clean: str, name: str) -> bool:
    return clean == name or not clean or name.startswith(f"{clean}_")


def _flatten(document: Members, prefix: str, text: str) -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        name = join_name(prefix, key)
        if type(value) is str:
            yield name, value
        elif type(value) is dict:
            yield from _flatten(value, name, text)
        elif value is not None and type(value) is not list:
            yield name, _format_scalar(key, value, text)


def _format_scalar(key: str, value: object, text: str) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    shown = repr(value)
    if type(value) is int and value != 0:
        return shown
    # A float's text may be 1.50 or 1e5: taken only if the key is there once, with this very text behind it.
    head = f'"{key}":'
    at = text.find(head) + len(head)
    at += text[at : at + 1] == " "
    end = at + len(shown)
    if not text.startswith(shown, at) or text[end : end + 1] not in ",}" or text.find(head, at) >= 0:
        raise InexactError
    return shown


def _count_keys(document: Members, depth: int) -> int:
    if depth > MAX_DEPTH:
        return _TOO_DEEP
    total = len(document)
    for value in document.values():
        if type(value) is dict:
            total += _count_keys(value, depth + 1)
        elif type(value) is list:
            return _TOO_DEEP  # objects in arrays: rare, and counting them costs more than scanning
    return total
