"""Records to labels and lines: the record's form as users query it.

Runs in the shipper's thread. Labels are bounded; everything that identifies a single request is in the line.

The line is one JSON object. Its keys, in order (those marked ? only where there is something to say):
`message`, `event`?, `method`, `path`, `endpoint`, `query`, `status_code`, `duration_ms`, `ttfb_ms`?, `request_bytes`,
`response_bytes`, `client_ip`, `user_agent`, `user_id`, `request_id`, `trace_id`, `run_id`?, `sample_rate`?,
`aborted`?, `incomplete`?, `request_headers`, `request_body`? (a string of JSON), `response_headers`,
`exception`? (`type`, `message`, `traceback`), `cpu_percent`, `memory_rss_mb`, `active_tasks`, `loop_lag_ms`,
`in_flight`, `v`. The header objects hold the allow-listed ones that were sent.
"""

from functools import lru_cache
from typing import Any

import orjson

from apimon.loki.shipper import EncodedRecord
from apimon.loki.wire.push_encode import encode_labels
from apimon.redaction import redact_json, redact_path, redact_query, redact_text
from apimon.server.monitoring.failure import Failure
from apimon.server.monitoring.headers import HeaderJson, RequestHeaders, read_request_headers
from apimon.server.monitoring.identity import ANONYMOUS, Identity, clean_user_id, identify
from apimon.server.monitoring.record import BackgroundRecord, Record, RequestRecord
from apimon.server.monitoring.route import RouteMatch

RECORD_VERSION = 1
BODY_LIMIT = 1024
"""Bytes up to which a JSON request body is recorded."""
TEXT_LIMIT = 2_000
"""Characters of a path, a query or a user agent that are kept."""
TOO_LARGE = "[too large]"
OTHER_METHOD = "_OTHER"
OTHER_ENDPOINT = "<other>"
MAX_ENDPOINTS = 1_000
"""Route templates that become labels; any further one is `OTHER_ENDPOINT`, since each makes streams of its own."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"})


class LineEncoder:
    """Encodes the records of one service; what repeats is encoded once."""

    def __init__(self, service: str, environment: str, *, with_body: bool = True) -> None:
        self._fixed = {"service": service, "environment": environment}
        self._with_body = with_body
        self._labels: dict[tuple[str, str, int, str], bytes] = {}
        self._endpoints: set[str] = set()
        self._headers = HeaderJson()

    def encode(self, record: Record) -> EncodedRecord:
        """Return the record's labels, time and line."""
        if isinstance(record, BackgroundRecord):
            return self._encode_background(record)
        return self._encode_request(record)

    def _encode_request(self, record: RequestRecord) -> EncodedRecord:
        method, endpoint = self._place(record)
        status = int(record.status)
        headers = read_request_headers(record.headers)
        identity = _identify(record, headers)
        duration_ms = record.duration_ns // 1000 / 1000
        path = redact_path(record.path[:TEXT_LIMIT])
        line: dict[str, Any] = {
            "message": f"{method} {path} {status} {duration_ms:.1f}ms",
            "method": method,
            "path": path,
            "endpoint": endpoint,
            "query": redact_query(record.query[:TEXT_LIMIT].decode("latin-1")) if record.query else "",
            "status_code": status,
            "duration_ms": duration_ms,
            "request_bytes": record.request_bytes or _declared_length(headers),
            "response_bytes": record.response_bytes,
            "client_ip": record.client[0] if record.client else "",
            "user_agent": _show_agent(headers.user_agent),
            "user_id": _user_of(record, headers),
            "request_id": identity.request_id,
            "trace_id": identity.trace_id,
            "request_headers": self._headers.encode(headers.shown),
            "response_headers": self._headers.encode_response(record.response_headers),
            **record.snapshot.fields,
            "in_flight": record.in_flight,
            "v": RECORD_VERSION,
        }
        self._add_rare(line, record, headers, identity)
        failure = record.failure
        labels = self._label(method, endpoint, status, failure.type if failure else "")
        return EncodedRecord(labels, record.timestamp_ns, _dumps(line))

    def _add_rare(
        self, line: dict[str, Any], record: RequestRecord, headers: RequestHeaders, identity: Identity
    ) -> None:
        if record.ttfb_ns:
            line["ttfb_ms"] = record.ttfb_ns // 1000 / 1000
        if identity.run_id:
            line["run_id"] = identity.run_id
        if record.sample_rate < 1:
            line["sample_rate"] = record.sample_rate
        if record.is_aborted:
            line["aborted"] = True
        if record.is_incomplete:
            line["incomplete"] = True
        if self._with_body and record.request_bytes:
            body = _describe_body(record, headers.content_type)
            if body:
                line["request_body"] = body
        if record.failure is not None:
            line["exception"] = _describe(record.failure)

    def _encode_background(self, record: BackgroundRecord) -> EncodedRecord:
        request, failure = record.request, record.failure
        method, endpoint = self._place(request)
        headers = read_request_headers(request.headers)
        identity = _identify(request, headers)
        exception = _describe(failure)
        path = redact_path(request.path[:TEXT_LIMIT])
        line: dict[str, Any] = {
            "message": f"{method} {path} background {failure.type}: {exception['message']}",
            "event": "background",
            "method": method,
            "path": path,
            "endpoint": endpoint,
            "status_code": int(request.status),
            "user_id": _user_of(request, headers),
            "request_id": identity.request_id,
            "trace_id": identity.trace_id,
            "exception": exception,
            "v": RECORD_VERSION,
        }
        if identity.run_id:
            line["run_id"] = identity.run_id
        labels = self._label(method, endpoint, int(request.status), failure.type)
        return EncodedRecord(labels, record.timestamp_ns, _dumps(line))

    def _place(self, record: RequestRecord) -> tuple[str, str]:
        endpoint = RouteMatch(record.route).template()
        if endpoint not in self._endpoints:
            if len(self._endpoints) >= MAX_ENDPOINTS:
                endpoint = OTHER_ENDPOINT
            else:
                self._endpoints.add(endpoint)
        return record.method if record.method in _METHODS else OTHER_METHOD, endpoint

    def _label(self, method: str, endpoint: str, status: int, exception_type: str) -> bytes:
        key = (method, endpoint, status, exception_type)
        labels = self._labels.get(key)
        if labels is None:
            values = {
                **self._fixed,
                "level": level_of(status, has_failed=bool(exception_type)),
                "method": method,
                "endpoint": endpoint,
                "status_code": str(status),
            }
            if exception_type:
                values["exception_type"] = exception_type
            labels = self._labels[key] = encode_labels(values)
        return labels


def level_of(status: int, *, has_failed: bool = False) -> str:
    """Return the level of a status; an exception is an error even where a 200 had been sent before it."""
    if status >= 500 or has_failed:
        return "error"
    return "warning" if status >= 400 else "info"


def _identify(record: RequestRecord, headers: RequestHeaders) -> Identity:
    # Kept in the record: a background failure says the same ids, though a new one is drawn at random.
    if record.identity is None:
        record.identity = identify(headers.request_id, headers.traceparent, headers.run_id)
    return record.identity


def _user_of(record: RequestRecord, headers: RequestHeaders) -> str:
    if not record.user_id and not headers.user_id:
        return ANONYMOUS
    return clean_user_id(record.user_id or headers.user_id.decode("utf-8", "replace"))


@lru_cache(maxsize=512)
def _show_agent(user_agent: bytes) -> str:
    return redact_text(user_agent.decode("latin-1")[:TEXT_LIMIT])


def _declared_length(headers: RequestHeaders) -> int:
    length = headers.content_length
    return int(length) if length.isdigit() and len(length) < 19 else 0


def _describe_body(record: RequestRecord, content_type: bytes) -> str:
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type != b"application/json" and not media_type.endswith(b"+json"):
        return ""
    if record.request_bytes > BODY_LIMIT:
        return TOO_LARGE
    try:
        body = orjson.loads(record.body)
    except orjson.JSONDecodeError:
        return ""  # there are no keys to redact by
    return orjson.dumps(redact_json(body)).decode()


def _describe(failure: Failure) -> dict[str, str]:
    return {
        "type": failure.type,
        "message": redact_text(failure.message),
        "traceback": redact_text(failure.format()),
    }


def _dumps(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line).decode()
    except TypeError:
        # Half a surrogate pair in a path, or a text from a hook: `?` stands for what UTF-8 can't hold.
        clean = {
            key: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
            for key, value in line.items()
        }
        return orjson.dumps(clean).decode()
