"""The fields of a JSON line by label name: fast through orjson where that says exactly what Loki's parser says.

`load_document` decides which way a line goes: orjson refuses what Loki accepts, keeps the last of duplicate keys where
Loki keeps the first, and forgets how a number was written; such lines go through `json_scanner`.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from apimon.loki.embedded.engine.json_scanner import MAX_DEPTH
from apimon.loki.embedded.engine.naming import join_name, sanitize_name

Document = dict[str, Any]

_TOO_DEEP = -(1 << 60)
"""No count of keys, whatever is added to it."""

_MAX_SHAPES = 512
_shapes: dict[tuple[str, ...], dict[str, list[str]]] = {}
"""For the keys of an object: which of them can hold the label of a name, in their order. Few shapes are many lines."""


class InexactError(Exception):
    """A value whose text orjson doesn't tell: the line has to be scanned."""


def load_document(text: str) -> Document | None:
    """Return the line's object; None where only a scan says what Loki says."""
    try:
        document = orjson.loads(text)
    except ValueError:
        return None
    if type(document) is not dict:
        return None
    # Every key is followed by a colon; where the text has more `":` than the object has keys, one may be doubled.
    colons = text.count('":') - text.count('\\":')
    if colons != len(document) and colons != _count_keys(document, 0):
        return None
    return document


def find_field(document: Document, name: str, text: str) -> str | None:
    """Return the value of the first field whose label is `name`; None where there is none. Raises InexactError."""
    shape = tuple(document)
    candidates = _shapes.get(shape)
    if candidates is None:
        if len(_shapes) >= _MAX_SHAPES:
            _shapes.clear()
        candidates = _shapes[shape] = {}
    keys = candidates.get(name)
    if keys is None:
        keys = candidates[name] = [key for key in shape if _may_hold(sanitize_name(key), name)]
    for key in keys:
        value = document[key]
        if type(value) is dict:
            for label, nested in _flatten(value, sanitize_name(key), text):
                if label == name:
                    return nested
        elif type(value) is str:
            if sanitize_name(key) == name:
                return value
        elif value is not None and type(value) is not list and sanitize_name(key) == name:
            return _format_scalar(key, value, text)
    return None


def flatten_document(document: Document, text: str) -> Iterator[tuple[str, str]]:
    """Yield every field as (label, value), nested names joined by `_`, in the order of the text."""
    return _flatten(document, "", text)


def _may_hold(clean: str, name: str) -> bool:
    return clean == name or not clean or name.startswith(f"{clean}_")


def _flatten(document: Document, prefix: str, text: str) -> Iterator[tuple[str, str]]:
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


def _count_keys(document: Document, depth: int) -> int:
    if depth > MAX_DEPTH:
        return _TOO_DEEP
    total = len(document)
    for value in document.values():
        if type(value) is dict:
            total += _count_keys(value, depth + 1)
        elif type(value) is list:
            return _TOO_DEEP  # objects in arrays: rare, and counting them costs more than scanning
    return total
