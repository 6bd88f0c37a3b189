"""Headers of requests and responses: which are shown, and which mean something to the record.

Shown are those of the allow-list only, so that a header nobody thought of can't leak. Most requests of a client carry
the same ones, so their JSON is made once for each distinct set.
"""

from collections.abc import Iterable
from typing import NamedTuple

import orjson

from apimon.redaction import redact_headers
from apimon.server.monitoring.record import RawHeaders

REQUEST_SHOWN = frozenset({
    b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"content-encoding", b"content-length",
    b"content-type", b"forwarded", b"host", b"if-modified-since", b"if-none-match", b"origin", b"range", b"referer",
    b"transfer-encoding", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip",
})  # fmt: skip
RESPONSE_SHOWN = frozenset({
    b"allow", b"cache-control", b"content-encoding", b"content-language", b"content-length", b"content-range",
    b"content-type", b"etag", b"last-modified", b"location", b"retry-after", b"transfer-encoding", b"vary",
})  # fmt: skip

VALUE_LIMIT = 500
"""Characters of a header's value that are shown."""
_CACHE_SETS = 512

_ShownHeaders = tuple[tuple[bytes, bytes], ...]


class RequestHeaders(NamedTuple):
    """What a record takes from a request's headers; empty where a header was not sent."""

    shown: _ShownHeaders
    request_id: bytes
    traceparent: bytes
    run_id: bytes
    user_id: bytes
    user_agent: bytes
    content_type: bytes
    content_length: bytes


_READ_NAMES = (
    b"x-request-id", b"traceparent", b"x-apimon-run", b"x-user-id", b"user-agent", b"content-type", b"content-length",
)  # fmt: skip
_READ = {name: (index, name in REQUEST_SHOWN) for index, name in enumerate(_READ_NAMES)}
_ONLY_SHOWN = (-1, True)
_PLACES = {**dict.fromkeys(REQUEST_SHOWN, _ONLY_SHOWN), **_READ}
"""Where a header goes: its index among the values that are read, -1 for none, and whether it is shown."""


def read_request_headers(headers: RawHeaders) -> RequestHeaders:
    """Return what the record needs, in one pass; a header that says who the request is counts only if sent once."""
    shown: list[tuple[bytes, bytes]] = []
    values = [b""] * len(_READ)
    find = _PLACES.get
    for name, value in headers:
        place = find(name)
        if place is None:
            continue
        index, is_shown = place
        if is_shown:
            shown.append((name, value))
        if index >= 0:
            # Two different ids would be joined by some proxies and split by others: neither is believed.
            values[index] = b"\n" if values[index] else value
    return RequestHeaders(tuple(shown), *values)


class HeaderJson:
    """The shown headers as JSON, each distinct set encoded once."""

    def __init__(self) -> None:
        self._known: dict[_ShownHeaders, orjson.Fragment] = {}

    def encode(self, shown: _ShownHeaders) -> orjson.Fragment:
        """Return the JSON object of `shown`; values of the same name are joined as HTTP does."""
        fragment = self._known.get(shown)
        if fragment is None:
            if len(self._known) >= _CACHE_SETS:
                self._known.clear()
            fragment = self._known[shown] = orjson.Fragment(orjson.dumps(redact_headers(_decode(shown))))
        return fragment

    def encode_response(self, headers: RawHeaders) -> orjson.Fragment:
        """Return the JSON object of a response's shown headers."""
        return self.encode(tuple([(name, value) for name, value in headers if name in RESPONSE_SHOWN]))


def _decode(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    decoded: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        decoded[name] = f"{decoded[name]}, {value}" if name in decoded else value
    return {name: value[:VALUE_LIMIT] for name, value in decoded.items()}
