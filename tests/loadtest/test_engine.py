"""Whole runs on uvloop against real servers: the accounting holds and agrees with what the server saw."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apimon.errors import UnreachableError, UsageError
from apimon.loadtest.descriptors import reserve_descriptors
from apimon.loadtest.engine import LoadRun, run_load, run_on_uvloop
from apimon.loadtest.exchange import OUTCOMES
from apimon.loadtest.pacing import ThinkTime
from apimon.loadtest.plan import LoadPlan, new_run_id
from apimon.loadtest.progress import Progress
from apimon.loadtest.report import LoadReport
from apimon.loadtest.target import parse_target
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
    Server,
    bytewise,
    drip,
    get_root,
    reset,
    run_against,
    scenario_of,
    serving,
    silence,
    status,
)


def counts(report: LoadReport) -> dict[str, int]:
    return {str(name): count for name, count in report.total.outcomes.items() if count}


def assert_accounts(report: LoadReport) -> None:
    """The contract's identity, in the totals and between the totals, the routes and the distributions."""
    totals = report.as_json()["totals"]
    assert totals["scheduled"] == sum(totals[name] for name in (*OUTCOMES, "dropped"))
    assert totals["requests"] == totals["scheduled"] - totals["dropped"]
    assert totals["requests"] == sum(route.requests for route in report.routes)
    for route in (report.total, *report.routes):
        assert route.requests == sum(route.outcomes.values())
        assert sum(route.statuses.values()) == route.answers
        assert route.answers <= route.requests
    errors = sum(error.count for error in report.errors if error.kind != "scenario")
    assert errors == totals["requests"] - totals["ok"] - totals["aborted"]


def test_requests_reported_are_the_requests_the_server_saw() -> None:
    report, server = run_against([OK], users=10)
    assert report.requests == len(server.requests) == report.total.ok > 10
    assert server.connections == 11, "one a user, and the probe"
    assert_accounts(report)


BEHAVIOURS = [
    OK, status(404), status(500), CLOSE_DELIMITED, CLOSING, HTTP_1_0, INTERIM, TOO_LONG, bytewise,
    HALF_BODY, HALF_HEAD, CUT_CHUNK, GARBAGE, NOTHING, reset, silence, drip,
]  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(BEHAVIOURS), min_size=1, max_size=5), st.integers(1, 4), st.sampled_from([0, 0.02, 5]))
def test_identity_holds_and_counts_agree_whatever_the_server_does(
    behaviours: list[Behaviour], users: int, grace_s: float
) -> None:
    report, server = run_against(
        behaviours, users=users, duration_s=0.06, pause=ThinkTime(0, 0.01), timeout_s=0.04, grace_s=grace_s
    )
    assert_accounts(report)
    # A connection was open before every request: each of them was written, once.
    assert report.requests == len(server.requests)


@pytest.mark.parametrize("behaviour", [silence, drip])
def test_request_without_a_whole_answer_in_time_is_a_timeout(behaviour: Behaviour) -> None:
    report, server = run_against([behaviour], users=2, duration_s=0.2, timeout_s=0.05)
    assert_accounts(report)
    assert counts(report).keys() == {"timeout"}
    assert report.errors[0].message == "no whole answer within 50ms"
    assert report.total.latency is None
    assert report.requests == len(server.requests) == server.connections - 1
    assert report.requests >= 4


def test_connecting_counts_against_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*args: object) -> None:
        await asyncio.Event().wait()

    async def nothing(*args: object) -> None: ...

    monkeypatch.setattr("apimon.loadtest.target.Dialer.probe", nothing)
    monkeypatch.setattr("apimon.loadtest.target.Dialer.open", never)
    report, server = run_against([OK], duration_s=0.1, timeout_s=0.04)
    assert counts(report).keys() == {"timeout"}
    assert (report.total.bytes_sent, server.requests) == (0, [])


def test_request_in_flight_at_the_end_may_finish_within_the_grace() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.2)
        return await OK(reader, writer)

    report, _ = run_against([slow], users=3, duration_s=0.05)
    assert counts(report) == {"ok": 3}


def test_request_in_flight_after_the_grace_is_aborted() -> None:
    report, server = run_against([silence], users=3, duration_s=0.05, grace_s=0.05)
    assert counts(report) == {"aborted": 3}
    assert report.success_rate == 0.0
    assert report.errors == []
    assert len(server.requests) == 3
    assert_accounts(report)


def test_no_request_is_started_after_the_end() -> None:
    async def two(user: VirtualUser) -> None:
        await user.get("/first")
        await user.get("/second")

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.15)
        return await OK(reader, writer)

    report, server = run_against([slow], two, users=2, duration_s=0.05)
    assert counts(report) == {"ok": 2}
    assert {request.path for request in server.requests} == {"/first"}


def test_user_whose_last_answer_came_within_the_grace_does_not_think_any_more() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.1)
        return await OK(reader, writer)

    report, _ = run_against([slow], users=2, duration_s=0.05, pause=ThinkTime(3600, 3600), grace_s=3600)
    assert counts(report) == {"ok": 2}


def test_check_after_an_answer_within_the_grace_still_counts() -> None:
    async def checking(user: VirtualUser) -> None:
        answer = await user.get("/")
        answer.check("status is 200", answer.status == 200)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.1)
        return await OK(reader, writer)

    report, _ = run_against([slow], checking, duration_s=0.05)
    assert [(check.passed, check.failed) for check in report.checks] == [(1, 0)]


def test_thinking_users_do_not_hold_up_the_end() -> None:
    report, _ = run_against([OK], users=3, duration_s=0.1, pause=ThinkTime(3600, 3600))
    assert counts(report) == {"ok": 3}


def interrupted_run(
    function: Callable[[VirtualUser, LoadRun], Awaitable[None]], *behaviours: Behaviour
) -> tuple[LoadReport, Server]:
    async def main() -> tuple[LoadReport, Server]:
        async with serving(*behaviours) as server:
            run: LoadRun

            async def task(user: VirtualUser) -> None:
                await function(user, run)

            run = LoadRun(LoadPlan(parse_target(server.url), scenario_of(task), users=2, duration_s=60))
            report = await run.execute()
            await server.drain()
            return report, server

    return run_on_uvloop(main())


def test_interrupt_aborts_what_is_in_flight_at_once_and_reports_the_rest() -> None:
    async def task(user: VirtualUser, run: LoadRun) -> None:
        await user.get("/")
        waiting = user.get("/")
        if user.id == 2:
            run.interrupt()
        await waiting

    async def silent_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        return await silence(reader, writer)

    report, server = interrupted_run(task, OK, OK, silent_second, silent_second)
    assert report.interrupted
    assert not report.passed
    assert counts(report)["aborted"] == 2
    assert report.requests == len(server.requests)
    assert_accounts(report)


def test_interrupt_within_the_grace_ends_it() -> None:
    async def main() -> LoadReport:
        async with serving(silence) as server:
            plan = LoadPlan(parse_target(server.url), scenario_of(get_root), users=1, duration_s=0.05, grace_s=60)
            run = LoadRun(plan)
            asyncio.get_running_loop().call_later(0.15, run.interrupt)
            return await run.execute()

    report = run_on_uvloop(main())
    assert report.interrupted
    assert counts(report) == {"aborted": 1}


def test_task_that_swallows_its_cancellation_does_not_keep_the_run() -> None:
    released = []

    async def task(user: VirtualUser) -> None:
        await user.get("/")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            released.append(user.id)
            await user.get("/")

    report, _ = run_against([OK], task, users=2, duration_s=0.05, grace_s=0.05)
    assert sorted(released) == [1, 2]
    assert counts(report) == {"ok": 2}


def test_task_that_always_raises_before_a_request_does_not_spin() -> None:
    async def task(user: VirtualUser) -> None:
        raise LookupError

    report, _ = run_against([OK], task, duration_s=0.25)
    assert report.scheduled == 0
    assert not report.passed
    [error] = report.errors
    assert (error.kind, error.message) == ("scenario", "LookupError")
    assert error.count <= 4


def test_task_that_never_sends_does_not_block_the_loop() -> None:
    async def task(user: VirtualUser) -> None: ...

    report, _ = run_against([OK], task, duration_s=0.05)
    assert (report.scheduled, report.success_rate, report.total.latency) == (0, 0.0, None)


def test_mistake_of_the_engine_is_raised_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("apimon.loadtest.stats.RunStats.settle", broken)
    with pytest.raises(ZeroDivisionError):
        run_against([OK], duration_s=0.05)


def test_server_that_goes_away_costs_connection_errors_and_the_users_back_off() -> None:
    async def main() -> LoadReport:
        async with serving(OK) as server:
            plan = LoadPlan(parse_target(server.url), scenario_of(get_root), users=3, duration_s=0.6)
            running = asyncio.create_task(LoadRun(plan).execute())
            while len(server.requests) < 20:  # noqa: ASYNC110 (nothing announces it)
                await asyncio.sleep(0)
        return await running

    report = run_on_uvloop(main())
    assert_accounts(report)
    assert report.total.ok >= 17
    assert ("connection_error", "connection refused") in {(error.kind, error.message) for error in report.errors}
    # 100 + 200 + 400 ms: no more than four attempts a user fit in.
    assert 3 <= report.total.outcomes["connection_error"] <= 12


def test_target_that_refuses_connections_is_unreachable(unused_tcp_port: int) -> None:
    plan = LoadPlan(parse_target(f"http://127.0.0.1:{unused_tcp_port}"), scenario_of(get_root))
    with pytest.raises(UnreachableError, match="connection refused"):
        run_load(plan)


def test_progress_is_reported_while_the_run_goes_on() -> None:
    seen: list[Progress] = []

    async def main() -> LoadReport:
        async with serving(OK, status(500)) as server:
            plan = LoadPlan(parse_target(server.url), scenario_of(get_root), users=2, duration_s=0.4)
            return await LoadRun(plan, seen.append).execute()

    report = run_on_uvloop(main())
    assert seen
    last = seen[-1]
    assert (last.users, last.duration_s, len(last.routes)) == (2, 0.4, 1)
    assert 0 < last.requests <= report.requests
    assert 0 < last.failed < last.requests


def test_generator_that_wakes_late_measures_it() -> None:
    async def blocking(user: VirtualUser) -> None:
        await user.get("/")
        if user.id == 1:
            time.sleep(0.03)  # noqa: ASYNC251 (a script that blocks the loop is what this is about)

    report, _ = run_against([OK], blocking, users=2, duration_s=0.2, pause=ThinkTime(0.001, 0.001))
    assert report.send_lag_p99_ms > 5
    assert report.paced_sends > 1


def test_run_ids_stand_in_urls_as_they_are_and_differ() -> None:
    ids = {new_run_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(run_id.isalnum() and run_id.isascii() and len(run_id) <= 12 for run_id in ids)


def test_more_users_than_files_may_be_open_is_said_before_the_start() -> None:
    reserve_descriptors(1)
    with pytest.raises(UsageError, match=r"users need \d+ open files and the limit is \d+"):
        reserve_descriptors(10**12)
