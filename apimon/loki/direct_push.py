"""What `push_log` and `push_api_log` send: one entry under the record's bounded labels.

Pure: the caller passes the time and who it is. The middleware's records are made in `apimon.server.monitoring`.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from apimon.loki.model import Entry, Labels, Stream
from apimon.redaction import is_secret_name, redact_json

UNMATCHED_ENDPOINT = "<unmatched>"
"""The endpoint label where no route template is known: a raw path would be a stream for each value."""

_RECORD_VERSION = 1
_MAX_BODY_BYTES = 1024
_MAX_OWN_LABELS = 10
"""Loki refuses a push with a stream of more than 15 labels; `service`, `level` and what Loki adds are among them."""
_MAX_LABEL_CHARS = 256

_UNBOUNDED_NAMES = frozenset({
    "id", "uuid", "guid", "path", "url", "uri", "query", "user", "username", "user_name", "email", "user_agent", "ip",
    "client_ip", "message", "line", "timestamp", "body", "exception", "traceback", "trace", "span",
})  # fmt: skip
_UNBOUNDED_SUFFIX = re.compile(r"_(?:ids?|uuid|path|url|ip|ms|ns|s|bytes|at|email)$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ID_VALUE = re.compile(r"[0-9]{6,}|[0-9a-f-]{16,}|[0-9A-F-]{16,}", re.ASCII)
"""Long numbers, hashes and UUIDs, whatever the name."""
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)


def build_log_stream(
    message: str, labels: Mapping[str, Any], level: str, identity: Labels, timestamp_ns: int
) -> Stream:
    """Return the entry of `message` under `labels`, `level` and `identity`; `labels` wins over both.

    Label names are made valid. What is unbounded by its name or value, secret, or too much for Loki moves into the
    line, secrets redacted: it is a JSON object then, with `message` beside them, or the message's own object with them
    added.
    """
    own_labels: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for given, value in labels.items():
        name = str(given)
        if not _is_bounded(name, value) or len(own_labels) == _MAX_OWN_LABELS:
            fields[name] = value
        elif value is not None and value != "":
            own_labels[_valid_name(name)] = str(value)
    line = str(message)
    stream_labels = {**identity, "level": str(level).lower(), **own_labels}
    return Stream(stream_labels, [Entry(timestamp_ns, _with_fields(line, _redacted(fields)) if fields else line)])


def build_api_stream(parts: tuple[Mapping[str, Any], ...], identity: Labels, timestamp_ns: int) -> Stream:
    """Return the record of one request from what is known of the request, the response and the process, in this order.

    `headers` and `body` of the request become `request_headers` and `request_body`, the response's `headers`
    `response_headers`. A body of more than 1 KB is left out.
    """
    request, response, *others = parts
    record = {**_renamed(request, _REQUEST_NAMES), **_renamed(response, _RESPONSE_NAMES)}
    for other in others:
        record.update(other)
    body = record.get("request_body")
    if body is not None and len(_dumps(body)) > _MAX_BODY_BYTES:
        del record["request_body"]
    labels = {**identity, **_record_labels(record)}
    line = {
        **_redacted({"message": _summarise(record), **record}),
        "endpoint": labels["endpoint"],
        "v": _RECORD_VERSION,
    }
    return Stream(labels, [Entry(timestamp_ns, _dumps(line).decode())])


_REQUEST_NAMES = {"headers": "request_headers", "body": "request_body"}
_RESPONSE_NAMES = {"headers": "response_headers", "body": "response_body", "status": "status_code"}


def _renamed(part: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in part.items()}


def _record_labels(record: Mapping[str, Any]) -> Labels:
    labels = {"level": _level(record.get("status_code")), "endpoint": str(record.get("endpoint") or UNMATCHED_ENDPOINT)}
    for name in ("method", "status_code", "exception_type"):
        if record.get(name):
            labels[name] = str(record[name])
    return labels


def _level(status_code: object) -> str:
    status = int(str(status_code)) if str(status_code).isdecimal() else 0
    if status >= 500:
        return "error"
    return "warning" if status >= 400 else "info"


def _summarise(record: Mapping[str, Any]) -> str:
    """Return the sentence for a person: `GET /products 200 12.3ms`."""
    words = [record.get("method"), record.get("path") or record.get("endpoint"), record.get("status_code")]
    duration = record.get("duration_ms")
    if isinstance(duration, int | float):
        words.append(f"{duration:.1f}ms")
    return " ".join(str(word) for word in words if word is not None)


def _redacted(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the fields as plain JSON without secrets."""
    redacted = redact_json(orjson.loads(_dumps(fields)))
    return redacted if isinstance(redacted, dict) else {"fields": redacted}


def _is_bounded(name: str, value: object) -> bool:
    snake = _CAMEL.sub("_", name).lower()
    if snake in _UNBOUNDED_NAMES or _UNBOUNDED_SUFFIX.search(snake) or snake.startswith("__") or is_secret_name(name):
        return False
    text = str(value)
    return not (isinstance(value, float) or len(text) > _MAX_LABEL_CHARS or _ID_VALUE.fullmatch(text))


def _valid_name(name: str) -> str:
    valid = _NOT_IN_A_NAME.sub("_", name)
    return f"_{valid}" if not valid or valid[0].isdigit() else valid


def _with_fields(message: str, fields: Mapping[str, Any]) -> str:
    try:
        document = orjson.loads(message)
    except orjson.JSONDecodeError:
        document = None
    base = document if isinstance(document, dict) else {"message": message}
    return _dumps({**base, **fields}).decode()


def _dumps(value: object) -> bytes:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # half a surrogate pair, or nested deeper than JSON can be
        return orjson.dumps(repr(value).encode("utf-8", "replace").decode())
