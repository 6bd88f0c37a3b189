"""One virtual user: what a scenario's task is given, and the life around it."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from time import perf_counter_ns
from typing import Any, TypedDict, Unpack

from apimon.loadtest.client import Client
from apimon.loadtest.encode import RequestEncoder
from apimon.loadtest.exchange import Answer
from apimon.loadtest.pacing import backoff_s
from apimon.loadtest.scenario import Scenario, Task
from apimon.loadtest.stats import RunStats
from apimon.loadtest.target import Dialer
from apimon.units import NS_PER_S

# Timers of libuv and asyncio tick in milliseconds: a wake within one is on time, and no answer is charged for it.
_TIMER_RESOLUTION_NS = NS_PER_S // 1000


class RequestOptions(TypedDict, total=False):
    """What a request can be given beside its method and path."""

    name: str
    """The route that it is counted under; the URL's path where it is left out."""
    headers: Mapping[str, str]
    json: Any
    body: bytes | str
    expect: int | Collection[int]
    """The statuses that are ok; below 400 where it is left out."""


@dataclass
class RunState:
    """What all users of a run share."""

    scenario: Scenario
    encoder: RequestEncoder
    dialer: Dialer
    seed: int
    stats: RunStats = field(default_factory=RunStats)
    ending: bool = False
    """Whether no new request may be started."""


class VirtualUser:
    """A user with a connection, a random source and data of its own. Sends one request at a time."""

    def __init__(self, user_id: int, state: RunState) -> None:
        self.id = user_id
        """From 1."""
        self.random = Random(f"{state.seed}:{user_id}")  # noqa: S311 (a simulation, repeatable by its seed)
        self.data: dict[str, Any] = {}
        """The user's own, kept from task to task."""
        self.client = Client(state.dialer)
        """Sends the requests; the engine breaks them off through it."""
        self._state = state
        self._unsettled: Answer | None = None
        self._lag_ns = 0

    def get(self, path: str, **options: Unpack[RequestOptions]) -> Awaitable[Answer]:
        """Send a GET; await it for the answer."""
        return self._send("GET", path, **options)

    def post(self, path: str, **options: Unpack[RequestOptions]) -> Awaitable[Answer]:
        """Send a POST; await it for the answer."""
        return self._send("POST", path, **options)

    def put(self, path: str, **options: Unpack[RequestOptions]) -> Awaitable[Answer]:
        """Send a PUT; await it for the answer."""
        return self._send("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[RequestOptions]) -> Awaitable[Answer]:
        """Send a PATCH; await it for the answer."""
        return self._send("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[RequestOptions]) -> Awaitable[Answer]:
        """Send a DELETE; await it for the answer."""
        return self._send("DELETE", path, **options)

    def request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> Awaitable[Answer]:
        """Send a request of any method; await it for the answer.

        Raises ValueError for what HTTP doesn't allow, RuntimeError while another request of this user is in flight.
        """
        return self._send(method.upper(), path, **options)

    async def pause(self) -> None:
        """Think: wait for a time drawn from the scenario's pause."""
        await self._sleep(self._state.scenario.pause.draw_s(self.random))

    async def run(self) -> None:
        """Iterate until the run ends."""
        state = self._state
        thinks = state.scenario.pause.high_s > 0
        while not state.ending:
            sent = await self._iterate(state.scenario.choose_task(self.random))
            if thinks or not sent:
                await self.pause()

    def close(self) -> None:
        """Settle what is not settled yet, as aborted where it has no answer, and close the connection."""
        self._end_iteration(None)
        self.client.close()

    async def _iterate(self, task: Task) -> bool:
        """Run one task and settle its last request; return whether it sent any."""
        failure: BaseException | None = None
        try:
            await task.function(self)
            # A task that forgot to await its last request gets it counted all the same.
            if (awaited := self.client.awaited) is not None:
                await awaited
        except (Exception, asyncio.CancelledError) as exc:
            if isinstance(exc, asyncio.CancelledError) and self._state.ending:
                raise
            failure = exc
        finally:
            sent = self._unsettled is not None
            self._end_iteration(failure)
        if failure is not None and not sent:
            await self._sleep(backoff_s(1))
        return sent

    def _end_iteration(self, failure: BaseException | None) -> None:
        answer = self._unsettled
        if answer is None:
            if failure is not None:
                self._state.stats.count_error("scenario", type(failure).__name__)
            return
        self.client.break_off("aborted", "")
        if failure is not None:
            answer.fail_check(type(failure).__name__)
        self._settle(answer)

    def _settle(self, answer: Answer) -> None:
        if answer.outcome is None:
            if self.client.awaited is not None:
                raise RuntimeError("a request of this user is still in flight: await it before sending the next")
            # The task has cancelled its waiting, by a timeout of its own.
            self.client.break_off("aborted", "")
        self._unsettled = None
        self._state.stats.settle(answer, answer.outcome or "aborted")

    def _send(self, method: str, path: str, **options: Unpack[RequestOptions]) -> Awaitable[Answer]:
        # A plain function that returns a future: a coroutine would cost as much as the encoding.
        state = self._state
        if self._unsettled is not None:
            self._settle(self._unsettled)
        if state.ending:
            raise asyncio.CancelledError
        payload = self._encode(method, path, options)
        expect = options.get("expect")
        answer = Answer(
            method,
            options.get("name") or path.partition("?")[0],
            (expect,) if isinstance(expect, int) else expect,
            perf_counter_ns() - self._lag_ns,
        )
        self._lag_ns = 0
        self._unsettled = answer
        state.stats.scheduled += 1
        return self.client.send(answer, payload)

    def _encode(self, method: str, path: str, options: RequestOptions) -> bytes:
        encode = self._state.encoder.encode
        headers = options.get("headers")
        if "json" in options:
            import orjson

            return encode(method, path, headers, orjson.dumps(options["json"]), "application/json")
        body = options.get("body")
        return encode(method, path, headers, body.encode() if isinstance(body, str) else body)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, and remember how much later than due the loop came back: the next request's latency counts it.

        Ends the iteration, and so the user, once the run is ending.
        """
        if self._state.ending:
            raise asyncio.CancelledError
        due_ns = perf_counter_ns() + round(seconds * NS_PER_S)
        await asyncio.sleep(seconds)
        lag_ns = max(0, perf_counter_ns() - due_ns)
        self._state.stats.send_lag.record(lag_ns)
        self._lag_ns = max(0, lag_ns - _TIMER_RESOLUTION_NS)
