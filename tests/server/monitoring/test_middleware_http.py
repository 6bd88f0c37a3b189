"""The middleware behind uvicorn, over real sockets: the app and its client notice nothing, the record says what was."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from apimon.config import Settings
from apimon.server.monitoring import LokiMonitoringMiddleware
from apimon.server.monitoring.asgi import ASGIApp, Message, Receive, Scope, Send
from tests.server.monitoring.monitoring_support import (
    QUICK,
    MemoryLoki,
    answer_ok,
    fetch,
    monitor,
    request_bytes,
    serving,
)


def monitored_fastapi(loki: MemoryLoki, **options: Any) -> FastAPI:  # noqa: ANN401 - the middleware's
    app = FastAPI()
    app.add_middleware(
        LokiMonitoringMiddleware, **{"settings": Settings(), "transport": loki, "limits": QUICK, **options}
    )
    return app


async def test_plain_request_is_recorded_with_labels_and_line() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki, service_name="shop", environment="staging")

    @app.get("/products/{product_id}")
    async def product(product_id: int) -> dict[str, int]:
        return {"id": product_id}

    async with serving(app) as port:
        headers = {"user-agent": "tester/1", "x-request-id": "req-1", "x-user-id": "ann", "x-apimon-run": "run-7"}
        answer = await fetch(port, "GET", "/products/3?sort=name", headers=headers)
    assert answer.status == 200
    labels, timestamp_ns, line = loki.record()
    assert labels == {
        "service": "shop",
        "environment": "staging",
        "level": "info",
        "method": "GET",
        "endpoint": "/products/{product_id}",
        "status_code": "200",
    }
    known = {
        "method": "GET",
        "path": "/products/3",
        "endpoint": "/products/{product_id}",
        "query": "sort=name",
        "status_code": 200,
        "request_bytes": 0,
        "response_bytes": len(b'{"id":3}'),
        "client_ip": "127.0.0.1",
        "user_agent": "tester/1",
        "user_id": "ann",
        "request_id": "req-1",
        "run_id": "run-7",
        "in_flight": 1,
        "v": 1,
    }
    assert {key: line[key] for key in known} == known
    assert line["message"] == f"GET /products/3 200 {line['duration_ms']:.1f}ms"
    assert 0 <= line["ttfb_ms"] <= line["duration_ms"]
    assert line["request_headers"] == {"host": "test"}
    assert line["response_headers"] == {"content-length": "8", "content-type": "application/json"}
    assert {"cpu_percent", "memory_rss_mb", "active_tasks", "loop_lag_ms", "trace_id"} <= line.keys()
    assert not {"event", "exception", "aborted", "incomplete", "sample_rate", "request_body"} & line.keys()
    assert timestamp_ns > 1_700_000_000 * 10**9


async def test_app_reads_the_identical_body_and_the_record_has_a_redacted_copy() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)
    seen: list[bytes] = []

    @app.post("/login")
    async def login(request: Request) -> Response:
        seen.append(await request.body())
        return Response(status_code=201)

    body = json.dumps({"user": "ann", "password": "hunter2", "deep": [{"api_key": 12345}]}).encode()
    async with serving(app) as port:
        answer = await fetch(port, "POST", "/login", body, {"content-type": "application/json; charset=utf-8"})
    assert (answer.status, seen) == (201, [body])
    line = loki.record().line
    expected = {"user": "ann", "password": "[redacted]", "deep": [{"api_key": "[redacted]"}]}
    assert json.loads(line["request_body"]) == expected
    assert line["request_bytes"] == len(body)


async def test_body_capture_is_off_by_setting() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki, settings=Settings(capture_body=False))

    @app.post("/")
    async def read(request: Request) -> Response:
        await request.body()
        return Response()

    async with serving(app) as port:
        await fetch(port, "POST", "/", b'{"a": 1}', {"content-type": "application/json"})
        await fetch(port, "POST", "/", b'"' + b"x" * 5_000 + b'"', {"content-type": "application/json"})
    assert [record.line.get("request_body") for record in loki.records()] == [None, None]
    assert [record.line["request_bytes"] for record in loki.records()] == [8, 5_002]


@pytest.mark.parametrize(
    ("content_type", "body", "captured"),
    [
        ("application/json", b'{"a":1}', '{"a":1}'),
        ("application/problem+json", b"[1,2]", "[1,2]"),
        ("application/json", b"{broken", None),
        ("application/json", b'"' + b"x" * 1023 + b'"', "[too large]"),
        ("application/json", b'"' + b"x" * 1022 + b'"', '"' + "x" * 1022 + '"'),
        ("application/x-www-form-urlencoded", b"password=hunter2", None),
        ("text/plain", b"hello", None),
    ],
)
async def test_only_small_json_bodies_are_captured(content_type: str, body: bytes, captured: str | None) -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)

    @app.post("/")
    async def read(request: Request) -> Response:
        await request.body()
        return Response()

    async with serving(app) as port:
        await fetch(port, "POST", "/", body, {"content-type": content_type})
    assert loki.record().line.get("request_body") == captured


async def test_large_chunked_upload_passes_in_the_chunks_it_came_in_and_is_not_kept() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)
    sizes: list[int] = []
    kept = 0

    @app.post("/upload")
    async def upload(request: Request) -> dict[str, int]:
        async for chunk in request.stream():
            sizes.append(len(chunk))
        nonlocal kept
        kept = tracemalloc.get_traced_memory()[0]
        return {"bytes": sum(sizes)}

    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            request_bytes(
                "POST", "/upload", headers={"transfer-encoding": "chunked", "content-type": "application/json"}
            )
        )
        tracemalloc.start()
        for _ in range(200):
            writer.write(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert b'{"bytes":6553600}' in await reader.read()
        tracemalloc.stop()
        writer.close()
    assert kept < 1_000_000
    line = loki.record().line
    assert line["request_bytes"] == sum(sizes) == 200 * 0x8000
    assert line["request_body"] == "[too large]"


async def test_body_that_the_app_does_not_read_is_not_read_for_it() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)

    @app.post("/")
    async def ignore() -> dict[str, bool]:
        return {"ok": True}

    async with serving(app) as port:
        answer = await fetch(port, "POST", "/", b'{"a": 1}', {"content-type": "application/json"})
    assert answer.status == 200
    line = loki.record().line
    assert line["request_bytes"] == 8  # what the client declared
    assert "request_body" not in line


async def test_stream_counts_every_chunk_and_its_first_byte_is_early() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)
    go_on = asyncio.Event()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"x" * 100
            await go_on.wait()
            for _ in range(19):
                yield b"x" * 100

        return StreamingResponse(chunks())

    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("GET", "/stream"))
        await reader.readuntil(b"x" * 100)
        go_on.set()
        await reader.read()
        writer.close()
    line = loki.record().line
    assert line["response_bytes"] == 2_000
    assert line["ttfb_ms"] < line["duration_ms"]


async def test_client_that_leaves_an_endless_stream_is_one_aborted_record() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)
    ended = asyncio.Event()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def beats() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"data: beat\n\n"
                    await asyncio.sleep(0.01)
            finally:
                ended.set()

        return StreamingResponse(beats(), media_type="text/event-stream")

    @app.get("/after")
    async def after() -> dict[str, bool]:
        return {"ok": True}

    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("GET", "/events"))
        await reader.readuntil(b"beat")
        writer.close()
        await asyncio.wait_for(ended.wait(), 10)
        await fetch(port, "GET", "/after")
    left, next_one = loki.records()
    assert (left.line["status_code"], left.line["aborted"]) == (200, True)
    assert "exception" not in left.line
    assert next_one.line["in_flight"] == 1


async def test_truncated_upload_is_a_499_and_its_exception_goes_on() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)
    raised: list[BaseException] = []
    has_raised = asyncio.Event()

    @app.post("/upload")
    async def upload(request: Request) -> Response:
        async for _ in request.stream():
            pass
        return Response()

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except BaseException as exc:
            raised.append(exc)
            has_raised.set()
            raise

    async with serving(outer) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("POST", "/upload", b"only this", {"content-length": "1000"}))
        await writer.drain()
        writer.close()
        await asyncio.wait_for(has_raised.wait(), 10)
    assert isinstance(raised[0], ClientDisconnect)
    labels, _, line = loki.record()
    assert (labels["status_code"], labels["level"], line["status_code"]) == ("499", "warning", 499)
    assert "exception" not in line
    assert "aborted" not in line


async def test_unhandled_exception_is_recorded_and_reaches_the_server() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)
    error = ValueError("no such thing, token=abc123xyz")
    raised: list[BaseException] = []

    @app.get("/fail")
    async def fail() -> None:
        raise error

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except BaseException as exc:
            raised.append(exc)
            raise

    async with serving(outer) as port:
        answer = await fetch(port, "GET", "/fail")
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert raised == [error]
    labels, _, line = loki.record()
    assert (labels["level"], labels["status_code"], labels["exception_type"]) == ("error", "500", "ValueError")
    assert line["exception"]["type"] == "ValueError"
    assert line["exception"]["message"] == "no such thing, token=[redacted]"
    assert "in fail" in line["exception"]["traceback"]
    assert "abc123xyz" not in json.dumps(line)


async def test_middleware_outermost_makes_the_same_record() -> None:
    async def failing() -> None:
        raise ValueError("no")

    lines = []
    for outermost in (False, True):
        loki = MemoryLoki()
        app = FastAPI() if outermost else monitored_fastapi(loki)
        app.get("/fail")(failing)
        async with serving(monitor(app, loki) if outermost else app) as port:
            assert (await fetch(port, "GET", "/fail")).status == 500
        record = loki.record()
        lines.append((record.labels["exception_type"], record.line["status_code"], record.line["exception"]["message"]))
    assert lines == [("ValueError", 500, "no")] * 2


async def test_exception_after_the_first_chunk_keeps_the_status_and_is_incomplete() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first"
            raise RuntimeError("broke")

        return StreamingResponse(chunks())

    async with serving(app) as port:
        answer = await fetch(port, "GET", "/half")
    assert answer.status == 200
    assert not answer.body.endswith(b"0\r\n\r\n")  # the end of a chunked body never came
    labels, _, line = loki.record()
    assert (line["status_code"], line["incomplete"], line["exception"]["type"]) == (200, True, "RuntimeError")
    assert (labels["status_code"], labels["level"]) == ("200", "error")


async def test_request_cancelled_at_shutdown_is_recorded() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)
    is_cancelled = asyncio.Event()
    arrived = asyncio.Event()

    @app.get("/slow")
    async def slow() -> None:
        arrived.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    async with serving(app, timeout_graceful_shutdown=0.1) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("GET", "/slow"))
        await arrived.wait()
    writer.close()
    assert is_cancelled.is_set()
    assert loki.record().labels["exception_type"] == "CancelledError"


async def test_background_task_is_not_in_the_duration_and_its_failure_is_an_event() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)
    answered = asyncio.Event()

    @app.get("/order")
    async def order(tasks: BackgroundTasks) -> dict[str, bool]:
        async def mail() -> None:
            await asyncio.wait_for(answered.wait(), 10)
            raise LookupError("no mail server")

        tasks.add_task(mail)
        return {"ok": True}

    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("GET", "/order", headers={"x-request-id": "order-1"}))
        await reader.readuntil(b'{"ok":true}')
        answered.set()
        writer.close()
    request, event = loki.records()
    assert "event" not in request.line
    assert "exception" not in request.line
    assert event.line["event"] == "background"
    assert event.line["request_id"] == request.line["request_id"] == "order-1"
    assert (event.labels["level"], event.labels["exception_type"]) == ("error", "LookupError")
    assert event.line["exception"]["message"] == "no mail server"


async def test_failing_background_task_after_an_apps_own_503_is_an_event_too() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)

    def fail() -> None:
        raise LookupError("no mail server")

    @app.get("/returned")
    async def returned() -> Response:
        return PlainTextResponse("later", 503, background=BackgroundTask(fail))

    @app.exception_handler(KeyError)
    async def handle(_request: Request, _exc: Exception) -> Response:
        return PlainTextResponse("later", 503, background=BackgroundTask(fail))

    @app.get("/handled")
    async def handled() -> None:
        raise KeyError("one that has a handler")

    async with serving(app) as port:
        answers = [await fetch(port, "GET", path) for path in ("/returned", "/handled")]
    assert [answer.status for answer in answers] == [503, 503]
    lines = [record.line for record in loki.records()]
    assert [(line["path"], line.get("event", "request")) for line in lines] == [
        ("/returned", "request"),
        ("/returned", "background"),
        ("/handled", "request"),
        ("/handled", "background"),
    ]
    assert [line.get("exception", {}).get("type") for line in lines] == [None, "LookupError"] * 2
    assert lines[0]["request_id"] == lines[1]["request_id"] != lines[2]["request_id"]


async def test_exception_that_its_own_handler_answers_is_the_requests_whatever_the_status() -> None:
    loki = MemoryLoki()
    app = FastAPI()

    @app.exception_handler(Exception)
    async def handle(_request: Request, _exc: Exception) -> Response:
        return PlainTextResponse("short and stout", 418)

    @app.get("/")
    async def fail() -> None:
        raise ValueError("no")

    async with serving(monitor(app, loki)) as port:
        assert (await fetch(port, "GET", "/")).status == 418
    labels, _, line = loki.record()
    assert (line["status_code"], line["exception"]["message"]) == (418, "no")
    assert (labels["level"], labels["exception_type"]) == ("error", "ValueError")
    assert "incomplete" not in line


async def test_head_that_the_server_refuses_is_a_500() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)

    @app.get("/")
    async def answer() -> Response:
        return Response(headers={"x-broken": "a\r\nb"})

    async with serving(app) as port:
        assert (await fetch(port, "GET", "/")).status in {0, 500}  # the server's choice: an answer of its own, or none
    labels, _, line = loki.record()
    assert (labels["status_code"], labels["exception_type"]) == ("500", "RuntimeError")
    assert not {"ttfb_ms", "incomplete"} & line.keys()


async def test_client_that_leaves_a_plain_slow_handler_is_recorded_as_answered() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)
    arrived, has_left = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> dict[str, bool]:
        arrived.set()
        await has_left.wait()
        return {"ok": True}

    @app.get("/after")
    async def after() -> None:
        has_left.set()

    async with serving(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("GET", "/slow"))
        await arrived.wait()
        writer.close()
        await writer.wait_closed()
        assert (await fetch(port, "GET", "/after")).status == 200
    lines = {record.line["path"]: record.line for record in loki.records()}
    assert len(loki.records()) == len(lines) == 2
    assert lines["/slow"]["status_code"] == 200
    assert not {"aborted", "incomplete", "exception"} & lines["/slow"].keys()


async def test_pipelined_and_interleaved_requests_do_not_mix() -> None:
    loki = MemoryLoki()
    app = monitored_fastapi(loki)

    @app.post("/echo/{number}")
    async def echo(number: int, request: Request) -> Response:
        await asyncio.sleep(0.001 * (number % 7))
        return PlainTextResponse(await request.body())

    async def talk(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, first + 5):
            body = b"x" * (number + 1)
            ids = {"x-request-id": f"r{number}", "x-user-id": f"u{number}"}
            writer.write(request_bytes("POST", f"/echo/{number}", body, ids, close=number == first + 4))
        await reader.read()
        writer.close()

    async with serving(app) as port:
        await asyncio.gather(*(talk(first) for first in range(0, 100, 5)))
    lines = {record.line["path"]: record.line for record in loki.records()}
    assert len(loki.records()) == len(lines) == 100
    for number in range(100):
        line = lines[f"/echo/{number}"]
        assert (line["request_id"], line["user_id"]) == (f"r{number}", f"u{number}")
        assert line["request_bytes"] == line["response_bytes"] == number + 1


async def return_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await answer_ok(scope, receive, send)


@pytest.mark.parametrize("bare", [answer_ok, return_at_once])
async def test_app_without_lifespan_is_served_and_drained(bare: ASGIApp) -> None:
    loki = MemoryLoki()
    async with serving(monitor(bare, loki)) as port:
        assert b"ok" in (await fetch(port, "GET", "/")).body
    assert loki.record().labels["endpoint"] == "<unmatched>"


async def test_app_whose_startup_fails_still_fails() -> None:
    sent: list[str] = []

    async def failing(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise ConnectionError("no database")

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    with pytest.raises(ConnectionError):
        await monitor(failing, MemoryLoki())({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.failed"]


async def test_instrumented_app_inside_an_instrumented_app_is_recorded_once() -> None:
    loki = MemoryLoki()
    inner, outer = monitored_fastapi(loki), monitored_fastapi(loki)

    @inner.get("/things/{thing}")
    async def thing(thing: str) -> dict[str, str]:
        return {"thing": thing}

    outer.mount("/sub", inner)
    async with serving(outer) as port:
        assert (await fetch(port, "GET", "/sub/things/x")).status == 200
    assert loki.record().labels["endpoint"] == "/sub/things/{thing}"
