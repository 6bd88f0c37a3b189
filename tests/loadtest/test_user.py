"""One user on a real server: what it sends, what it gets, how its requests are counted."""

import asyncio
import time
from collections import Counter

import pytest

from apimon.loadtest.exchange import Answer
from apimon.loadtest.scenario import Task
from apimon.loadtest.stats import RunStats
from apimon.loadtest.user import VirtualUser
from tests.loadtest.servers import (
    CLOSE_DELIMITED,
    CLOSING,
    CUT_CHUNK,
    GARBAGE,
    HALF_BODY,
    HALF_HEAD,
    HTTP_1_0,
    INTERIM,
    NOTHING,
    OK,
    TOO_LONG,
    Behaviour,
    answering,
    bytewise,
    reset,
    serving,
    silence,
    status,
    user_of,
)


def outcomes(stats: RunStats) -> dict[str, int]:
    return {str(name): count for name, count in stats.total().outcomes.items() if count}


@pytest.mark.parametrize(
    ("behaviour", "body"),
    [
        (OK, b"{}"), (bytewise, b"abc"), (CLOSE_DELIMITED, b"to the end"), (CLOSING, b"ok"), (HTTP_1_0, b"old"),
        (INTERIM, b"ok"), (TOO_LONG, b"ab"),
    ],
)  # fmt: skip
async def test_whole_answers_are_ok_however_they_are_sent(behaviour: Behaviour, body: bytes) -> None:
    async with serving(behaviour) as server, user_of(server.url) as (user, state):
        for _ in range(3):
            answer = await user.get("/")
            assert (answer.status, answer.body) == (200, body)
        user.close()
        assert outcomes(state.stats) == {"ok": 3}
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (HALF_BODY, "answer cut short"),
        (HALF_HEAD, "answer cut short"),
        (CUT_CHUNK, "answer cut short"),
        (GARBAGE, "malformed answer: Expected HTTP/, RTSP/ or ICE/"),
        (NOTHING, "connection closed before the answer"),
        (reset, "connection reset by the server"),
    ],
)
async def test_broken_answer_is_a_connection_error_without_a_status(behaviour: Behaviour, message: str) -> None:
    async with serving(behaviour) as server, user_of(server.url) as (user, state):
        answer = await user.get("/")
        assert (answer.status, answer.body, answer.headers, answer.latency_ms) == (0, b"", {}, 0.0)
        with pytest.raises(ValueError, match="has no answer"):
            answer.json()
        assert answer.check("whatever", False) is False
        user.close()
        assert state.stats.errors == Counter({("connection_error", message): 1})
        assert state.stats.total().statuses == {}
        assert state.stats.total().latency.count == 0
        assert len(server.requests) == 1, "a request that was written is never sent again"


async def test_refused_connection_is_a_connection_error(unused_tcp_port: int) -> None:
    async with user_of(f"http://127.0.0.1:{unused_tcp_port}") as (user, state):
        await user.get("/")
        user.close()
        assert state.stats.errors == Counter({("connection_error", "connection refused"): 1})
        assert state.stats.total().bytes_sent == 0


async def test_connection_is_kept_from_request_to_request() -> None:
    async with serving(OK) as server, user_of(server.url) as (user, _):
        for _ in range(5):
            await user.get("/")
        assert server.connections == 1


async def test_idle_connection_that_the_server_closed_is_replaced_before_the_next_request() -> None:
    ok_then_close = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", close=True)
    async with serving(ok_then_close) as server, user_of(server.url) as (user, state):
        await user.get("/")
        await server.drain()
        await asyncio.sleep(0)
        connection = user.client._connection
        while connection is not None and connection.usable:  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0)
        assert (await user.get("/")).status == 200
        user.close()
        assert outcomes(state.stats) == {"ok": 2}
        assert server.connections == len(server.requests) == 2


async def test_request_carries_what_it_was_given() -> None:
    async with serving(OK) as server, user_of(server.url) as (user, state):
        await user.post("/a", json={"ä": 1})
        await user.put("/b?x=1", body="text", headers={"X-Own": "1"})
        await user.patch("/c", body=b"raw", name="c")
        await user.delete("/d")
        await user.request("options", "/e")
        user.close()
        first, second, third, fourth, fifth = server.requests
        assert (first.method, first.body, first.headers["content-type"]) == (
            "POST",
            '{"ä":1}'.encode(),
            "application/json",
        )
        assert (second.path, second.body, second.headers["x-own"]) == ("/b?x=1", b"text", "1")
        assert (third.method, third.body) == ("PATCH", b"raw")
        assert (fourth.method, fifth.method) == ("DELETE", "OPTIONS")
        assert set(state.stats.routes) == {
            ("POST", "/a"), ("PUT", "/b"), ("PATCH", "c"), ("DELETE", "/d"), ("OPTIONS", "/e"),
        }  # fmt: skip
        assert {request.headers["x-apimon-run"] for request in server.requests} == {"run1"}
        assert len({request.headers["traceparent"] for request in server.requests}) == 5


async def test_answer_shows_headers_body_json_and_latency() -> None:
    raw = b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 7\r\n\r\n{"a":1}'
    async with serving(answering(raw)) as server, user_of(server.url) as (user, _):
        answer = await user.get("/")
        assert answer.headers == {"x-a": "1, 2", "content-length": "7"}
        assert answer.json() == {"a": 1}
        assert answer.latency_ms > 0


async def test_head_needs_no_body() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    async with serving(answering(raw)) as server, user_of(server.url) as (user, _):
        assert [(await user.request("HEAD", "/")).status for _ in range(3)] == [200, 200, 200]
        assert server.connections == 1


@pytest.mark.parametrize(
    ("code", "expect", "outcome", "message"),
    [
        (200, None, "ok", ""),
        (301, None, "ok", ""),
        (404, None, "http_error", "404 Not Found"),
        (799, None, "http_error", "799"),
        (409, (200, 409), "ok", ""),
        (409, 409, "ok", ""),
        (404, (200, 409), "http_error", "404 Not Found"),
        (200, 409, "check_failed", "status 200 was not expected"),
    ],
)
async def test_status_is_judged_by_what_is_expected(
    code: int, expect: int | tuple[int, ...] | None, outcome: str, message: str
) -> None:
    async with serving(status(code)) as server, user_of(server.url) as (user, state):
        await (user.get("/") if expect is None else user.get("/", expect=expect))
        user.close()
        assert outcomes(state.stats) == {outcome: 1}
        assert state.stats.errors == (Counter({(outcome, message): 1}) if message else Counter())
        assert state.stats.total().latency.count == 1


async def test_failed_check_fails_the_request_and_is_counted_by_name() -> None:
    async with serving(OK) as server, user_of(server.url) as (user, state):
        answer = await user.get("/")
        assert answer.check("is there", True)
        assert not answer.check("first", [])
        assert not answer.check("second", None)
        await user.get("/")
        user.close()
        assert outcomes(state.stats) == {"ok": 1, "check_failed": 1}
        assert state.stats.errors == Counter({("check_failed", "first"): 1})
        assert {name: (check.passed, check.failed) for name, check in state.stats.checks.items()} == {
            "is there": (1, 0), "first": (0, 1), "second": (0, 1),
        }  # fmt: skip


async def test_request_is_settled_only_when_the_next_is_sent_or_the_iteration_ends() -> None:
    async with serving(OK) as server, user_of(server.url) as (user, state):
        await user.get("/")
        assert (state.stats.scheduled, state.stats.total().requests) == (1, 0)
        await user.get("/")
        assert (state.stats.scheduled, state.stats.total().requests) == (2, 1)


async def iterate(user: VirtualUser, function: object) -> None:
    await user._iterate(Task("task", function))  # type: ignore[arg-type] # any coroutine function


async def test_task_that_raises_fails_its_last_request_by_the_exceptions_name() -> None:
    async def task(user: VirtualUser) -> None:
        await user.get("/")
        answer = await user.get("/")
        answer.json()["missing"]

    async with serving(OK) as server, user_of(server.url) as (user, state):
        await iterate(user, task)
        assert outcomes(state.stats) == {"ok": 1, "check_failed": 1}
        assert state.stats.errors == Counter({("check_failed", "KeyError"): 1})


async def test_task_that_raises_after_a_broken_answer_keeps_its_kind() -> None:
    async def task(user: VirtualUser) -> None:
        (await user.get("/")).json()

    async with serving(reset) as server, user_of(server.url) as (user, state):
        await iterate(user, task)
        assert outcomes(state.stats) == {"connection_error": 1}


async def test_task_that_raises_before_any_request_is_a_scenario_error_outside_the_totals() -> None:
    async def task(user: VirtualUser) -> None:
        raise LookupError

    async with serving(OK) as server, user_of(server.url) as (user, state):
        await iterate(user, task)
        assert state.stats.errors == Counter({("scenario", "LookupError"): 1})
        assert state.stats.scheduled == 0


@pytest.mark.parametrize("path", ["no-slash", ""])
async def test_request_that_http_does_not_allow_is_the_tasks_mistake(path: str) -> None:
    async def task(user: VirtualUser) -> None:
        await user.get(path)

    async with serving(OK) as server, user_of(server.url) as (user, state):
        await iterate(user, task)
        assert state.stats.errors == Counter({("scenario", "ValueError"): 1})
        assert server.requests == []


async def test_request_that_nobody_awaited_is_awaited_at_the_iterations_end() -> None:
    async def task(user: VirtualUser) -> None:
        user.get("/")

    async with serving(OK) as server, user_of(server.url) as (user, state):
        await iterate(user, task)
        assert outcomes(state.stats) == {"ok": 1}


async def test_second_request_while_one_is_in_flight_is_refused() -> None:
    async def task(user: VirtualUser) -> None:
        await asyncio.gather(user.get("/"), user.get("/"))

    async with serving(silence) as server, user_of(server.url) as (user, state):
        await iterate(user, task)
        assert state.stats.scheduled == state.stats.total().requests == 1
        assert outcomes(state.stats) == {"aborted": 1}


async def test_request_that_the_task_gave_up_is_aborted_and_the_next_has_a_new_connection() -> None:
    async with serving(silence, OK) as server, user_of(server.url) as (user, state):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(user.get("/"), 0.05)
        assert (await user.get("/")).status == 200
        user.close()
        assert outcomes(state.stats) == {"ok": 1, "aborted": 1}
        assert server.connections == 2


async def test_latency_counts_from_the_intended_start_not_from_the_late_wake() -> None:
    async with serving(OK) as server, user_of(server.url) as (user, state):
        await user.get("/")
        asyncio.get_running_loop().call_soon(time.sleep, 0.05)
        await user.pause()
        answer = await user.get("/")
        assert answer.written_ns - answer.intended_ns > 40_000_000
        assert answer.latency_ms > 40
        again = await user.get("/")
        assert again.intended_ns > answer.ended_ns, "one late wake is charged to one request"
        assert state.stats.send_lag.maximum > 40_000_000


async def test_users_of_one_seed_draw_the_same_and_different_users_differ() -> None:
    async with user_of("http://127.0.0.1:1") as (first, state), user_of("http://127.0.0.1:1") as (again, _):
        other = VirtualUser(2, state)
        draws = [[user.random.random() for _ in range(5)] for user in (first, again, other)]
        assert draws[0] == draws[1] != draws[2]


async def test_bytes_are_those_on_the_wire() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with serving(answering(raw)) as server, user_of(server.url) as (user, state):
        await user.get("/")
        await user.get("/")
        user.close()
        assert state.stats.total().bytes_received == 2 * len(raw)
        sent = sum(
            len(f"{seen.method} {seen.path} HTTP/1.1\r\n\r\n")
            + sum(len(n) + len(v) + 4 for n, v in seen.headers.items())
            for seen in server.requests
        )
        assert state.stats.total().bytes_sent == sent


async def test_user_waits_longer_after_each_connection_error_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async with serving(reset, reset, OK, reset) as server, user_of(server.url) as (user, _):
        loop = asyncio.get_running_loop()

        def call_soon(delay: float, resolve: object, *args: object) -> None:
            waits.append(delay)
            loop.call_soon(resolve, *args)  # type: ignore[arg-type] # the user's own callback

        class Clockless:
            create_future, create_task, call_later = loop.create_future, loop.create_task, staticmethod(call_soon)

        monkeypatch.setattr(user.client, "_loop", Clockless)
        answers: list[Answer] = [await user.get("/") for _ in range(4)]
    assert [answer.status for answer in answers] == [0, 0, 200, 0]
    assert waits == [0.1, 0.2, 0.1]
