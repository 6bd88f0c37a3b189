"""What `push_log` and `push_api_log` send: one entry under the record's bounded labels.

Pure: the caller passes the time and who it is. The middleware's records are made in `apimon.server.monitoring`.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from apimon.loki.model import Entry, Labels, Stream

UNMATCHED_ENDPOINT = "<unmatched>"
"""The endpoint label where no route template is known: a raw path would be a stream for each value."""

_RECORD_VERSION = 1
_MAX_BODY_BYTES = 1024
_REDACTED = "[redacted]"

_UNBOUNDED_NAMES = frozenset({
    "id", "path", "url", "uri", "query", "user", "user_agent", "ip", "client_ip", "message", "line", "timestamp",
    "duration_ms", "ttfb_ms",
})  # fmt: skip
_UNBOUNDED_SUFFIX = re.compile(r"(?:_id|_ids|_path|_url|_ip|_ms|_bytes)$")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)
_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase|code)|pwd|secret|token|api[-_. ]?key|access[-_. ]?key|private[-_. ]?key|authorization|"
    r"credential|cookie|session|csrf|xsrf|jwt|bearer|signature|card[-_. ]?num|\b(?:cvv|cvc|ssn|iban|pin|otp)\b",
    re.IGNORECASE,
)


def build_log_stream(
    message: str, labels: Mapping[str, Any], level: str, identity: Labels, timestamp_ns: int
) -> Stream:
    """Return the entry of `message` under `labels`, `level` and `identity`; `labels` wins over both.

    Label names are made valid. Names with unbounded values move into the line: it is a JSON object then, with
    `message` beside them, or the message's own object with them added.
    """
    stream_labels = {**identity, "level": level.lower()}
    fields: dict[str, Any] = {}
    for name, value in labels.items():
        if _is_unbounded(name):
            fields[name] = value
        elif value is not None and value != "":
            stream_labels[_valid_name(name)] = str(value)
    line = str(message)
    return Stream(stream_labels, [Entry(timestamp_ns, _with_fields(line, fields) if fields else line)])


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
        "message": _summarise(record),
        **_redacted_fields(record),
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


def _redacted_fields(fields: Mapping[Any, Any]) -> dict[str, object]:
    return {
        str(name): _REDACTED if _SECRET_NAME.search(str(name)) else _redacted(value) for name, value in fields.items()
    }


def _redacted(value: object) -> object:
    if isinstance(value, Mapping):
        return _redacted_fields(value)
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value


def _is_unbounded(name: str) -> bool:
    return name.lower() in _UNBOUNDED_NAMES or _UNBOUNDED_SUFFIX.search(name.lower()) is not None


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
