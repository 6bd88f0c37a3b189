"""A followed query has neither gaps nor doubles, whatever breaks."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from apimon.errors import LokiResponseError, LokiUnreachableError
from apimon.loki.client import AsyncLokiClient
from apimon.loki.follow import Follower
from tests.loki.fake_loki import FakeLoki, running_fake_loki

QUERY = '{service="a"}'
LABELS = {"service": "a"}


class Following:
    """A follower at work: the lines it gave, what it said, and ways to wait for them."""

    def __init__(self, loki: FakeLoki, client: AsyncLokiClient, history: int = 10) -> None:
        self.loki = loki
        self.lines: list[str] = []
        self.said: list[str] = []
        self._changed = asyncio.Event()
        follower = Follower(client, QUERY, None, say=self.said.append, restore=self._restore)
        self.restore_failures = 0
        self.restored = asyncio.Event()
        self.task = asyncio.create_task(self._collect(follower, history))

    async def wait_for(self, *lines: str) -> None:
        """Return once exactly these lines have come."""
        async with asyncio.timeout(10):
            while len(self.lines) < len(lines) and not self.task.done():
                self._changed.clear()
                waiting = asyncio.create_task(self._changed.wait())
                await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        if self.task.done():
            self.task.result()
        assert self.lines == list(lines)

    async def push(self, line: str, *, age_ns: int = 0, drop: bool = False) -> None:
        await self.loki.push(LABELS, time.time_ns() - age_ns, line, drop=drop)

    async def _restore(self) -> None:
        if self.restore_failures:
            self.restore_failures -= 1
            raise LokiUnreachableError("x", "not yet")
        self.restored.set()

    async def _collect(self, follower: Follower, history: int) -> None:
        async for entries in follower.follow(history):
            self.lines += [entry.line for _, entry in entries]
            self._changed.set()


@pytest.fixture
async def loki() -> AsyncIterator[FakeLoki]:
    async with running_fake_loki() as running:
        yield running


@pytest.fixture
async def client(loki: FakeLoki) -> AsyncIterator[AsyncLokiClient]:
    async with AsyncLokiClient(loki.url) as connected:
        yield connected


@pytest.fixture
async def following(loki: FakeLoki, client: AsyncLokiClient) -> AsyncIterator[Following]:
    started = Following(loki, client)
    yield started
    started.task.cancel()
    await asyncio.gather(started.task, return_exceptions=True)


async def test_history_comes_first_and_oldest_first(loki: FakeLoki, client: AsyncLokiClient) -> None:
    now_ns = time.time_ns()
    for age_s in (7200, 3000, 200, 100, 3, 1):
        loki.store.add(LABELS, now_ns - age_s * 10**9, f"{age_s} s ago")
    following = Following(loki, client, history=4)
    await following.wait_for("200 s ago", "100 s ago", "3 s ago", "1 s ago")
    await loki.tail_opened.wait()
    await following.push("live")
    await following.wait_for("200 s ago", "100 s ago", "3 s ago", "1 s ago", "live")
    following.task.cancel()


async def test_without_history_only_what_comes_is_given(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.store.add(LABELS, time.time_ns() - 10**9, "before")
    following = Following(loki, client, history=0)
    await loki.tail_opened.wait()
    await following.push("live")
    await following.wait_for("live")
    following.task.cancel()


async def test_what_comes_while_the_tail_is_broken_is_given_once(following: Following, loki: FakeLoki) -> None:
    await loki.tail_opened.wait()
    await following.push("one")
    await following.wait_for("one")
    await loki.end_tails(1011, b"reached tail max duration limit")
    await following.push("missed by the tail")
    await following.push("late", age_ns=2 * 10**9)
    await loki.tail_opened.wait()
    await following.push("two")
    await following.wait_for("one", "late", "missed by the tail", "two")
    assert "reached tail max duration limit" in following.said[0]


async def test_lines_that_look_the_same_are_all_given(following: Following, loki: FakeLoki) -> None:
    await loki.tail_opened.wait()
    timestamp_ns = time.time_ns()
    await loki.push(LABELS, timestamp_ns, "same")
    await loki.push(LABELS, timestamp_ns, "same")
    await following.wait_for("same", "same")
    await loki.end_tails()
    await loki.push(LABELS, timestamp_ns, "same")
    await following.wait_for("same", "same", "same")


async def test_it_waits_while_loki_refuses_or_is_gone(following: Following, loki: FakeLoki) -> None:
    await loki.tail_opened.wait()
    following.restore_failures = 2
    loki.refusal = (503, "starting")
    await loki.end_tails()
    await following.push("meanwhile")
    await following.restored.wait()
    loki.refusal = None
    await following.wait_for("meanwhile")
    assert len([said for said in following.said if "reconnecting" in said]) == 1
    await loki.tail_opened.wait()


async def test_a_reconnection_is_told_where_its_break_was(following: Following, loki: FakeLoki) -> None:
    for _ in range(3):
        await loki.tail_opened.wait()
        await loki.end_tails()
    await loki.tail_opened.wait()
    await following.push("one")
    await following.wait_for("one")
    assert [said.split()[0] for said in following.said] == ["the", "reconnected;"]


async def test_entries_that_the_tail_dropped_are_read(following: Following, loki: FakeLoki) -> None:
    await loki.tail_opened.wait()
    await following.push("one")
    await following.wait_for("one")
    await following.push("dropped", drop=True)
    await following.wait_for("one", "dropped")


async def test_a_late_line_of_a_live_tail_is_given(following: Following, loki: FakeLoki) -> None:
    await loki.tail_opened.wait()
    await following.push("on time")
    await following.push("an hour late", age_ns=3600 * 10**9)
    await following.wait_for("on time", "an hour late")


async def test_a_refused_query_ends_it(loki: FakeLoki, client: AsyncLokiClient) -> None:
    loki.refusal = (400, "no")
    with pytest.raises(LokiResponseError):
        await anext(Follower(client, QUERY, None, say=print).follow(10))


async def test_a_refusal_after_a_break_ends_it(following: Following, loki: FakeLoki) -> None:
    await loki.tail_opened.wait()
    loki.refusal = (401, "no org id")
    await loki.end_tails()
    with pytest.raises(LokiResponseError, match="401"):
        await asyncio.wait_for(following.task, 10)
