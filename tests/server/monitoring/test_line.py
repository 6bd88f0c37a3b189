"""The line and its labels: ids, limits, and text that could break them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.server.monitoring.asgi import Receive, Scope, Send
from apimon.server.monitoring.failure import TRACEBACK_LIMIT, Failure
from apimon.server.monitoring.headers import VALUE_LIMIT
from apimon.server.monitoring.identity import clean_user_id, identify, parse_trace_id
from apimon.server.monitoring.line import MAX_ENDPOINTS, OTHER_ENDPOINT, TEXT_LIMIT, LineEncoder, level_of
from apimon.server.monitoring.record import RequestRecord
from apimon.server.monitoring.sampler import Snapshot
from tests.server.monitoring.monitoring_support import MemoryLoki, answer_ok, call, drain, make_scope, monitor

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def make_record(path: str = "/", **scope: object) -> RequestRecord:
    record = RequestRecord()
    record.status, record.duration_ns, record.timestamp_ns, record.in_flight = 200, 1, 1, 1
    record.snapshot = Snapshot({})
    record.take_scope(make_scope(path, **scope))
    return record


def line_of(record: RequestRecord) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(LineEncoder("s", "e").encode(record).line)
    return line


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"01-{TRACE}-00f067aa0ba902b7-01-later", TRACE),
        (f"00-{TRACE}-00f067aa0ba902b7-01-more", ""),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE}-00f067aa0ba902b7-01\n", ""),
        (f"00-{TRACE}-00f067aa0ba902b7", ""),
        ("", ""),
    ],
)
def test_traceparent_is_taken_only_in_its_exact_form(traceparent: str, trace_id: str) -> None:
    assert parse_trace_id(traceparent.encode()) == trace_id


@given(st.binary(max_size=200), st.binary(max_size=80), st.binary(max_size=80))
def test_ids_are_always_there_and_plain(request_id: bytes, traceparent: bytes, run_id: bytes) -> None:
    identity = identify(request_id, traceparent, run_id)
    assert 1 <= len(identity.request_id) <= 128
    assert identity.request_id.isascii()
    assert identity.request_id.isprintable()
    assert len(identity.trace_id) == 32
    assert identity.run_id in {"", run_id.decode("latin-1")}


def test_request_without_ids_gets_one_for_both() -> None:
    identity = identify(b"", b"", b"")
    assert identity.request_id == identity.trace_id
    assert identity != identify(b"", b"", b"")


def test_id_that_was_sent_twice_or_is_not_valid_is_not_shown() -> None:
    twice = make_record(headers=[(b"x-request-id", b"one"), (b"x-request-id", b"two")])
    bad = make_record(headers=[(b"x-request-id", b"<script>"), (b"x-apimon-run", b"a b")])
    assert len(line_of(twice)["request_id"]) == 32
    assert "script" not in json.dumps(line_of(bad))
    assert "run_id" not in line_of(bad)


@pytest.mark.parametrize(
    ("value", "user_id"),
    [
        ("ann", "ann"),
        ("", "anonymous"),
        (None, "anonymous"),
        ("a\nb", "anonymous"),
        ("x" * 129, "anonymous"),
        ("林", "林"),
    ],
)
def test_user_id_is_printable_or_anonymous(value: str | None, user_id: str) -> None:
    assert clean_user_id(value) == user_id


def test_level_follows_status_and_failure() -> None:
    levels = [level_of(status) for status in (101, 200, 399, 400, 499, 500, 599)]
    assert levels == ["info", "info", "info", "warning", "warning", "error", "error"]
    assert level_of(200, has_failed=True) == "error"


def test_half_a_surrogate_pair_is_no_obstacle() -> None:
    assert line_of(make_record("/a\ud800"))["path"] == "/a?"


@given(st.text(max_size=50), st.binary(max_size=50), st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9))))
def test_any_request_makes_a_line(path: str, query: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    names = [(b"host", b""), *headers, *((b"accept", value) for _, value in headers)]
    line = line_of(make_record(path, query_string=query, headers=names))
    assert line["v"] == 1


def test_headers_as_lists_are_read_too() -> None:
    assert line_of(make_record(headers=[[b"accept", b"a"], [b"accept", b"b"]]))["request_headers"] == {"accept": "a, b"}


def test_long_texts_are_cut() -> None:
    headers = [(b"user-agent", b"u" * 9_000), (b"referer", b"r" * 9_000)]
    line = line_of(make_record("/" + "p" * 60_000, query_string=b"q=" + b"x" * 60_000, headers=headers))
    lengths = {len(line["path"]), len(line["query"]), len(line["user_agent"])}
    assert lengths == {TEXT_LIMIT}
    assert len(line["request_headers"]["referer"]) == VALUE_LIMIT
    assert len(json.dumps(line)) < 10_000


def test_long_traceback_keeps_its_beginning_and_its_end() -> None:
    def dig(depth: int) -> None:
        if depth == 0:
            raise ValueError("x" * 100_000)
        dig(depth - 1)

    with pytest.raises(ValueError, match="x") as caught:
        dig(200)
    failure = Failure.capture(caught.value)
    assert failure.format().startswith("Traceback")
    assert len(failure.format()) < TRACEBACK_LIMIT + 100
    assert len(failure.message) == 2_000


def test_exception_that_cannot_be_printed_is_described() -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert Failure.capture(UnprintableError()).type == "UnprintableError"


def test_routes_past_the_limit_share_a_label() -> None:
    encoder = LineEncoder("s", "e")
    record = make_record()
    endpoints = set()
    for number in range(MAX_ENDPOINTS + 50):
        record.route = (type("Route", (), {"path_format": f"/r{number}", "endpoint": None}), *record.route[1:])
        endpoints.add(json.loads(encoder.encode(record).line)["endpoint"])
    assert len(endpoints) == MAX_ENDPOINTS + 1
    assert OTHER_ENDPOINT in endpoints


async def test_no_secret_leaves() -> None:
    secret = "sEcReT9876"
    failing = f"db: password={secret} Bearer {secret} https://u:{secret}@h/"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/fail":
            await receive()
            raise ValueError(failing)
        await receive()
        headers = [
            (b"location", f"/next?token={secret}".encode()),
            (b"set-cookie", f"session={secret}".encode()),
            (b"x-auth", secret.encode()),
        ]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body"})

    loki = MemoryLoki()
    monitored = monitor(app, loki)
    body = {"password": secret, "a": [{"token": 98761234567, "b": {"apiKey": [secret]}}], "note": f"Bearer {secret}"}
    request: dict[str, Any] = {
        "method": "POST",
        "query_string": f"page=1&token={secret}&%61pi_key={secret}".encode(),
        "headers": [
            (b"authorization", f"Bearer {secret}".encode()),
            (b"cookie", f"sid={secret}".encode()),
            (b"x-api-key", secret.encode()),
            (b"referer", f"http://h/?access_token={secret}".encode()),
            (b"user-agent", f"probe (token={secret})".encode()),
            (b"content-type", b"application/json"),
        ],
    }
    await call(monitored, f"/a;token={secret}", body=json.dumps(body).encode(), **request)
    with pytest.raises(ValueError, match="db"):
        await call(monitored, "/fail", body=json.dumps(body).encode(), **request)
    await drain(monitored)
    assert len(loki.records()) == 2
    pushed = b"".join(loki.bodies)
    assert secret.encode() not in pushed
    assert b"98761234567" not in pushed
    assert b"page=1" in pushed


async def test_request_between_two_drains_is_recorded_too() -> None:
    loki = MemoryLoki()
    app = monitor(answer_ok, loki)
    for _ in range(2):
        await call(app)
        await drain(app)
    assert len(loki.records()) == 2
