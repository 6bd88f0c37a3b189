"""The client reads and pushes, and says in apimon's errors what went wrong."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from apimon.config import LokiSettings
from apimon.errors import LokiResponseError, LokiUnreachableError, QueryError, SettingError
from apimon.loki.client import AsyncLokiClient
from apimon.loki.model import Direction, Entry, Stream
from tests.loki.fake_loki import FakeLoki, running_fake_loki

QUERY = '{service="a"}'


@pytest.fixture
async def loki() -> AsyncIterator[FakeLoki]:
    async with running_fake_loki() as running:
        yield running


@pytest.fixture
async def client(loki: FakeLoki) -> AsyncIterator[AsyncLokiClient]:
    async with AsyncLokiClient(loki.url, service_name="shop", environment="test") as connected:
        yield connected


def pushed(loki: FakeLoki) -> dict[str, object]:
    (stream,) = json.loads(loki.pushes[-1][1])["streams"]
    assert isinstance(stream, dict)
    return stream


def line_of(stream: dict[str, object]) -> str:
    values = stream["values"]
    assert isinstance(values, list)
    line = values[0][1]
    assert isinstance(line, str)
    return line


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_log_is_pushed_as_it_is_under_bounded_labels(loki: FakeLoki, client: AsyncLokiClient) -> None:
    assert await client.push_log("hello", {"component": "cart", "http.route": "/x"}, "WARNING")
    stream = pushed(loki)
    assert stream["stream"] == {
        "service": "shop", "environment": "test", "level": "warning", "component": "cart", "http_route": "/x",
    }  # fmt: skip
    assert line_of(stream) == "hello"


async def test_ids_among_the_labels_go_into_the_line(loki: FakeLoki, client: AsyncLokiClient) -> None:
    await client.push_log("hello", {"user_id": 7, "path": "/x/1", "requestid": ""})
    assert pushed(loki)["stream"] == {"service": "shop", "environment": "test", "level": "info"}
    assert json.loads(line_of(pushed(loki))) == {"message": "hello", "user_id": 7, "path": "/x/1"}
    await client.push_log('{"message": "m", "a": 1}', {"user_id": 7})
    assert json.loads(line_of(pushed(loki))) == {"message": "m", "a": 1, "user_id": 7}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("orderId", 7), ("requestID", "x"), ("trace", "x"), ("email", "a@b"), ("created_at", "now"), ("__error__", "x"),
        ("price", 12.5), ("number", 1234567), ("ref", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"), ("kind", "x" * 3000),
    ],
)  # fmt: skip
async def test_no_value_without_bounds_is_a_label(
    loki: FakeLoki, client: AsyncLokiClient, name: str, value: object
) -> None:
    await client.push_log("hello", {name: value})
    assert pushed(loki)["stream"] == {"service": "shop", "environment": "test", "level": "info"}
    assert json.loads(line_of(pushed(loki))) == {"message": "hello", name: value}


async def test_a_secret_is_neither_label_nor_line(loki: FakeLoki, client: AsyncLokiClient) -> None:
    await client.push_log("hello", {"password": "hunter2", "user_id": {"apiKey": "hunter2"}})
    await client.push_api_log({"query": {"token": "hunter2"}, "user_agent": "Bearer hunter2-hunter2"})
    for _, body in loki.pushes:
        assert b"hunter2" not in body


async def test_more_labels_than_loki_takes_go_into_the_line(loki: FakeLoki, client: AsyncLokiClient) -> None:
    await client.push_log("hello", {f"label{number}": number for number in range(20)})
    stream = pushed(loki)
    assert isinstance(stream["stream"], dict)
    assert len(stream["stream"]) == 13
    assert json.loads(line_of(stream))["label19"] == 19


async def test_an_api_log_is_a_record(loki: FakeLoki, client: AsyncLokiClient) -> None:
    assert await client.push_api_log(
        {"method": "POST", "path": "/products/1", "endpoint": "/products/{id}", "headers": {"Authorization": "x"},
         "body": {"deep": [{"password": "p", "quantity": 1}]}},
        {"status": 503, "duration_ms": 12.34},
        {"cpu_percent": 3},
    )  # fmt: skip
    stream = pushed(loki)
    assert stream["stream"] == {
        "service": "shop", "environment": "test", "level": "error", "method": "POST", "endpoint": "/products/{id}",
        "status_code": "503",
    }  # fmt: skip
    assert json.loads(line_of(stream)) == {
        "message": "POST /products/1 503 12.3ms", "method": "POST", "path": "/products/1", "endpoint": "/products/{id}",
        "request_headers": {"Authorization": "[redacted]"},
        "request_body": {"deep": [{"password": "[redacted]", "quantity": 1}]},
        "status_code": 503, "duration_ms": 12.34, "cpu_percent": 3, "v": 1,
    }  # fmt: skip


async def test_an_api_log_without_a_template_has_no_path_for_a_label(loki: FakeLoki, client: AsyncLokiClient) -> None:
    await client.push_api_log({"method": "GET", "path": "/users/7", "body": "x" * 2000})
    stream = pushed(loki)
    assert stream["stream"] == {
        "service": "shop", "environment": "test", "level": "info", "method": "GET", "endpoint": "<unmatched>",
    }  # fmt: skip
    assert "request_body" not in line_of(stream)


@pytest.mark.parametrize("value", [object(), "\udc80", {1: {2: b"x"}}, float("nan")])
async def test_a_push_takes_any_value(loki: FakeLoki, client: AsyncLokiClient, value: object) -> None:
    assert await client.push_log("x", {"user_id": value, "kind": value})
    assert await client.push_api_log({"anything": value})
    assert len(loki.pushes) == 2


async def test_a_push_says_whether_loki_took_it(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.refusal = (500, "no")
    assert not await client.push_log("hello")
    async with AsyncLokiClient(f"http://127.0.0.1:{free_port()}") as nobody:
        assert not await nobody.push_log("hello")


async def test_a_disabled_client_pushes_nothing(loki: FakeLoki) -> None:
    async with AsyncLokiClient(loki.url, enabled=False) as client:
        assert await client.push_log("hello")
        assert await client.push_api_log({})
    assert loki.pushes == []


async def test_a_push_carries_the_credentials(loki: FakeLoki) -> None:
    settings = LokiSettings(url=loki.url, username="u", password="p", org_id="tenant")
    async with AsyncLokiClient(settings=settings) as client:
        await client.push_log("hello")
    headers, _ = loki.pushes[0]
    assert headers["Content-Encoding"] == "gzip"
    assert (headers["Authorization"], headers["X-Scope-OrgID"]) == ("Basic dTpw", "tenant")


async def test_ranges_are_read_with_limit_and_direction(loki: FakeLoki, client: AsyncLokiClient) -> None:
    for number in range(5):
        loki.store.add({"service": "a"}, number, f"line {number}")
    for direction, expected in ((Direction.BACKWARD, ["line 4", "line 3"]), (Direction.FORWARD, ["line 1", "line 2"])):
        result = await client.query_range(QUERY, start_ns=1, end_ns=5, limit=2, direction=direction)
        assert [entry.line for stream in result.streams for entry in stream.entries] == expected


async def test_a_long_query_is_sent_too(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.store.add({"service": "a"}, 1, "line")
    query = QUERY + " != " + '"' + "é" * 60_000 + '"'
    assert len((await client.query_range(query, start_ns=0, end_ns=5)).streams) == 1


async def test_instants_labels_values_and_series_are_read(loki: FakeLoki, client: AsyncLokiClient) -> None:
    assert await client.labels() == []
    loki.store.add({"service": "a", "level": "info"}, 1, "line")
    assert (await client.query("sum(x)", time_ns=5)).series[0].samples[0].value == 2.5
    assert await client.labels() == ["level", "service"]
    assert await client.label_values("service") == ["a"]
    assert await client.label_values("no/such name?") == []
    assert await client.series(QUERY) == [{"service": "a", "level": "info"}]
    assert await client.series(QUERY, start_ns=5, end_ns=9) == []


async def test_a_parse_error_of_loki_has_its_position(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.refusal = (400, "parse error at line 1, col 3: syntax error: unexpected }\n")
    with pytest.raises(QueryError) as caught:
        await client.query("{a}")
    assert (caught.value.line, caught.value.column, caught.value.caret()) == (1, 3, "{a}\n  ^")


async def test_another_refusal_has_its_status_and_text(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.refusal = (429, "too many\noutstanding requests")
    with pytest.raises(LokiResponseError, match="Loki answered 429: too many outstanding requests") as caught:
        await client.labels()
    assert caught.value.status == 429


async def test_what_is_no_loki_is_unreachable(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.refusal = (200, "<html>Welcome</html>")
    with pytest.raises(LokiUnreachableError, match="as no Loki does"):
        await client.labels()


async def test_nobody_there_is_unreachable_and_names_the_url_without_credentials() -> None:
    port = free_port()
    async with AsyncLokiClient(f"http://user:secret@127.0.0.1:{port}") as client:
        with pytest.raises(LokiUnreachableError, match=f"no Loki at http://127.0.0.1:{port}: Connection refused"):
            await client.query("vector(1)")
        with pytest.raises(LokiUnreachableError):
            async for _ in client.tail(QUERY):
                pass


@asynccontextmanager
async def serving(answer: Callable[[asyncio.StreamWriter], None], port: int = 0) -> AsyncIterator[str]:
    """Serve what `answer` writes to each request's connection, which is closed then; yields the URL."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer(writer)
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", port) as server:
        yield f"http://user:hunter2@127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "it closed the connection"),
        (b"garbage\r\n\r\n", "what answered doesn't speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "its answer broke off or can't be decoded"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxxx", "its answer broke off or can't"),
    ],
)
async def test_a_broken_answer_is_one_line_without_secrets_and_no_push_raises(answer: bytes, reason: str) -> None:
    async with serving(lambda writer: writer.write(answer)) as url, AsyncLokiClient(url) as client:
        with pytest.raises(LokiUnreachableError, match=reason) as caught:
            await client.query("vector(1)")
        assert not await client.push_log("hello")
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_https_to_a_server_without_it_says_so(loki: FakeLoki) -> None:
    async with AsyncLokiClient(loki.url.replace("http:", "https:")) as client:
        with pytest.raises(LokiUnreachableError, match=r"(?i)ssl|tls"):
            await client.labels()


async def test_a_tail_that_gets_no_websocket_is_no_lokis(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.refusal = (200, "welcome")
    with pytest.raises(LokiUnreachableError, match="with 200 and no websocket"):
        await anext(client.tail(QUERY))


async def test_closing_ends_pushes_that_wait_for_a_connection_without_raising() -> None:
    arrived = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        client = AsyncLokiClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        pushes = [asyncio.create_task(client.push_log("hello")) for _ in range(20)]
        await arrived.wait()
        await client.close()
        assert await asyncio.gather(*pushes) == [False] * 20


async def test_fifty_tasks_share_one_client(loki: FakeLoki, client: AsyncLokiClient) -> None:
    assert await asyncio.gather(*(client.push_log(f"line {number}") for number in range(50))) == [True] * 50
    assert len(loki.pushes) == 50


def test_a_client_goes_on_in_another_event_loop() -> None:
    port = free_port()
    client = AsyncLokiClient(f"http://127.0.0.1:{port}")

    async def push() -> bool:
        answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        async with serving(lambda writer: writer.write(answer), port):
            return await client.push_log("hello")

    assert asyncio.run(push())
    assert asyncio.run(push())
    asyncio.run(client.close())


@pytest.mark.parametrize("url", ["", "u:hunter2@host", "ftp://u:hunter2@host", "http://[", "http://u:hunter2@h:99999"])
def test_a_url_that_no_loki_can_have_is_refused_at_once_without_its_password(url: str) -> None:
    with pytest.raises(SettingError, match="allowed is an http:// or https:// URL") as caught:
        AsyncLokiClient(url)
    assert "hunter2" not in str(caught.value)


async def test_a_client_can_be_used_again_after_it_was_closed(client: AsyncLokiClient) -> None:
    await client.labels()
    await client.close()
    assert await client.labels() == []


async def test_a_tail_gives_history_and_then_what_comes(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.store.add({"service": "a"}, 5, "before")
    async with aclosing(client.tail(QUERY, start_ns=0)) as tail:
        assert await anext(tail) == Stream({"service": "a"}, [Entry(5, "before")])
        await loki.push({"service": "b"}, time.time_ns(), "not selected")
        await loki.push({"service": "a"}, 6, "live")
        assert await anext(tail) == Stream({"service": "a"}, [Entry(6, "live")])


async def test_a_tail_that_loki_closes_says_why(loki: FakeLoki, client: AsyncLokiClient) -> None:
    async with client.open_tail(QUERY) as tail:
        await loki.tail_opened.wait()
        await loki.end_tails(1011, b"reached tail max duration limit")
        with pytest.raises(LokiUnreachableError, match=r"code 1011 \(reached tail max duration limit\)"):
            await anext(tail)


async def test_a_refused_tail_has_lokis_words(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.refusal = (400, "parse error at line 1, col 2: syntax error")
    with pytest.raises(QueryError, match="syntax error"):
        await anext(client.tail("{"))
