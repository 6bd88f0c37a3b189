"""What the settings and arguments change, and the middleware's manners: called without a server."""

import logging
from typing import Any

import pytest

from apimon import LokiMonitoringMiddleware
from apimon.config import LokiSettings, Settings
from apimon.errors import SettingError
from apimon.loki.shipper import PushAnswer
from apimon.server.monitoring.asgi import Message, Receive, Scope, Send
from tests.server.monitoring.monitoring_support import (
    QUICK,
    MemoryLoki,
    answer_ok,
    call,
    drain,
    make_scope,
    monitor,
)


def answering(status: int) -> Any:  # noqa: ANN401 - an ASGI app
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def test_disabled_calls_the_app_with_the_servers_own_functions() -> None:
    called: list[tuple[object, ...]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.append((scope, receive, send))

    async def receive() -> Message:
        raise AssertionError

    async def send(_message: Message) -> None:
        raise AssertionError

    loki = MemoryLoki()
    middleware = LokiMonitoringMiddleware(app, settings=Settings(enabled=False), transport=loki)
    scopes = [make_scope("/"), {"type": "lifespan"}, {"type": "websocket"}]
    for scope in scopes:
        await middleware(scope, receive, send)
    assert called == [(scope, receive, send) for scope in scopes]
    assert scopes[0] == make_scope("/")
    assert middleware.counts() is None


async def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_NAME", "from-env")
    monkeypatch.setenv("ENVIRONMENT", "production")
    loki = MemoryLoki()
    app = LokiMonitoringMiddleware(answer_ok, transport=loki, limits=QUICK)
    await call(app)
    await drain(app)
    assert (loki.record().labels["service"], loki.record().labels["environment"]) == ("from-env", "production")


def test_setting_that_does_not_parse_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APIMON_SAMPLE", "most")
    with pytest.raises(SettingError, match="APIMON_SAMPLE"):
        LokiMonitoringMiddleware(answer_ok)


async def test_websockets_pass_untouched() -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(_message: Message) -> None: ...

    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([scope, receive, send])

    scope = {"type": "websocket", "path": "/ws"}
    await monitor(app, MemoryLoki())(scope, receive, send)
    assert seen == [{"type": "websocket", "path": "/ws"}, receive, send]


@pytest.mark.parametrize(
    ("path", "root_path", "is_recorded"),
    [("/health", "", False), ("/health/", "", True), ("/api/health", "/api", False), ("/products", "", True)],
)
async def test_excluded_paths_are_not_recorded(path: str, root_path: str, is_recorded: bool) -> None:
    loki = MemoryLoki()
    app = monitor(answer_ok, loki, Settings(exclude=frozenset({"/health"})))
    await call(app, path, root_path=root_path)
    await drain(app)
    assert len(loki.records()) == is_recorded


async def test_sampling_keeps_errors_and_slow_requests() -> None:
    loki = MemoryLoki()
    for status in (200, 404, 500):
        app = monitor(answering(status), loki, Settings(sample=0))
        await call(app)
        await drain(app)
    slow = monitor(answering(200), loki, Settings(sample=0, slow_ns=0))
    await call(slow)
    await drain(slow)
    assert [record.line["status_code"] for record in loki.records()] == [404, 500, 200]
    assert not any("sample_rate" in record.line for record in loki.records())


async def test_sampled_line_says_its_rate() -> None:
    loki = MemoryLoki()
    app = monitor(answering(200), loki, Settings(sample=0.5))
    for _ in range(200):
        await call(app)
    await drain(app)
    assert 50 < len(loki.records()) < 150
    assert {record.line["sample_rate"] for record in loki.records()} == {0.5}


async def test_sampling_keeps_or_leaves_a_trace_as_a_whole() -> None:
    loki = MemoryLoki()
    app = monitor(answering(200), loki, Settings(sample=0.5))
    kept = b"00-4bf92f3577b34da6a300000000000001-00f067aa0ba902b7-01"
    left = b"00-4bf92f3577b34da6a3ffffffffffffff-00f067aa0ba902b7-01"
    for traceparent in [kept, left] * 10:
        await call(app, headers=[(b"traceparent", traceparent)])
    await drain(app)
    assert [record.line["trace_id"] for record in loki.records()] == [kept[3:35].decode()] * 10


async def test_hook_names_the_user() -> None:
    loki = MemoryLoki()
    app = monitor(answer_ok, loki, get_user_id=lambda scope: scope["user"])
    for user in ("ann", 17, None):
        await call(app, user=user)
    await drain(app)
    assert [record.line["user_id"] for record in loki.records()] == ["ann", "17", "anonymous"]


async def test_hook_that_fails_costs_neither_request_nor_record() -> None:
    def hook(scope: Scope) -> object:
        if scope["path"] == "/raise":
            raise KeyError("user")
        return object()

    loki = MemoryLoki()
    app = LokiMonitoringMiddleware(answer_ok, settings=Settings(), transport=loki, limits=QUICK, get_user_id=hook)
    for path in ("/raise", "/object"):
        assert (await call(app, path))[0]["status"] == 200
    await drain(app)
    assert [record.line["user_id"] for record in loki.records()] == ["anonymous"] * 2
    assert app._recorder is not None
    assert app._recorder.hook_errors == 2


async def test_scope_that_is_not_as_asgi_says_costs_only_its_record() -> None:
    loki = MemoryLoki()
    app = LokiMonitoringMiddleware(answering(200), settings=Settings(), transport=loki, limits=QUICK)
    scope = make_scope("/")
    del scope["method"]

    async def send(_message: Message) -> None: ...

    async def receive() -> Message:
        raise AssertionError

    await app(scope, receive, send)
    await drain(app)
    assert app._recorder is not None
    assert (app._recorder.record_errors, app._recorder.in_flight) == (1, 0)


async def test_ten_thousand_unknown_paths_and_methods_make_two_streams() -> None:
    loki = MemoryLoki()
    app = monitor(answering(404), loki)
    for number in range(10_000):
        await call(app, f"/scan/{number}", method="GET" if number % 2 else f"M{number}")
    await drain(app)
    assert len(loki.records()) == 10_000
    streams = {tuple(sorted(record.labels.items())) for record in loki.records()}
    assert {dict(stream)["method"] for stream in streams} == {"GET", "_OTHER"}
    assert len(streams) == 2


async def test_app_that_returns_without_answering_is_a_500() -> None:
    async def silent(_scope: Scope, _receive: Receive, _send: Send) -> None: ...

    loki = MemoryLoki()
    app = monitor(silent, loki)
    await call(app)
    await drain(app)
    assert (loki.record().line["status_code"], loki.record().line["incomplete"]) == (500, True)


async def test_app_that_stops_because_its_client_left_is_a_499() -> None:
    async def patient(scope: Scope, receive: Receive, _send: Send) -> None:
        while scope["type"] == "http" and (await receive())["type"] != "http.disconnect":
            pass

    loki = MemoryLoki()
    app = monitor(patient, loki)
    await call(app)
    await drain(app)
    assert loki.record().labels["status_code"] == "499"
    assert not {"aborted", "incomplete"} & loki.record().line.keys()


async def test_send_that_fails_for_a_gone_client_is_an_aborted_record() -> None:
    loki = MemoryLoki()
    app = monitor(answering(200), loki)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await app(make_scope("/"), receive, send)
    await drain(app)
    line = loki.record().line
    assert (line["status_code"], line["aborted"]) == (200, True)
    assert "exception" not in line


@pytest.mark.parametrize(
    "final",
    [
        [{"type": "http.response.pathsend", "path": "/file"}],
        [{"type": "http.response.body", "body": b"ab"}, {"type": "http.response.trailers", "headers": []}],
        [{"type": "http.response.zerocopysend", "file": 3, "more_body": True}, {"type": "http.response.body"}],
    ],
)
async def test_other_ends_of_a_response_close_the_record(final: list[Message]) -> None:
    has_trailers = any(message["type"] == "http.response.trailers" for message in final)

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": has_trailers})
        for message in final:
            await send(message)

    loki = MemoryLoki()
    monitored = monitor(app, loki)
    sent = await call(monitored)
    await drain(monitored)
    assert sent[1:] == final
    assert "incomplete" not in loki.record().line


async def test_loki_that_is_down_costs_the_requests_nothing_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    class Down(MemoryLoki):
        def push(self, body: bytes, timeout_s: float) -> PushAnswer:
            raise ConnectionRefusedError("down")

    limits = QUICK.__class__(linger_s=0.01, first_retry_s=0.01, longest_retry_s=0.02, drain_timeout_s=0.1)
    app = LokiMonitoringMiddleware(answer_ok, settings=Settings(), transport=Down(), limits=limits)
    for _ in range(500):
        assert (await call(app))[0]["status"] == 200
    await drain(app)
    counts = app.counts()
    assert counts is not None
    assert (counts.recorded, counts.dropped) == (500, {"shutdown": 500})
    assert any(record.levelno == logging.WARNING for record in caplog.records)


def test_construction_starts_nothing_and_asks_nobody() -> None:
    app = LokiMonitoringMiddleware(answer_ok, settings=Settings(loki=LokiSettings(url="http://127.0.0.1:1")))
    counts = app.counts()
    assert counts is not None
    assert (counts.recorded, counts.last_error) == (0, "")
