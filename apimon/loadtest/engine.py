"""Runs users against a target for a time: start, wait, let requests in flight finish, abort the rest, report."""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter_ns
from types import FrameType
from typing import TypeVar

from apimon.loadtest.descriptors import reserve_descriptors
from apimon.loadtest.encode import RequestEncoder
from apimon.loadtest.plan import LoadPlan
from apimon.loadtest.progress import Progress, ProgressMeter
from apimon.loadtest.report import LoadReport, RunTimes, build_report
from apimon.loadtest.target import Dialer
from apimon.loadtest.user import RunState, VirtualUser
from apimon.units import NS_PER_S, format_duration_ns

T = TypeVar("T")

Watch = Callable[[Progress], None]
"""What is told how the run goes, a few times a second; it must be quick: the users wait for it."""

_PROGRESS_INTERVAL_S = 0.25
_STOP_WITHIN_S = 1.0
_COARSEST_SWEEP_S = 0.02


def run_load(plan: LoadPlan, watch: Watch | None = None) -> LoadReport:
    """Run the plan on an event loop of its own and return what happened.

    The first SIGINT or SIGTERM ends the run at once, the second raises KeyboardInterrupt. Raises UnreachableError
    where not even a first connection can be made, UsageError where there are more users than connections
    may be open; a signal before that raises KeyboardInterrupt as well.
    """
    reserve_descriptors(plan.users)
    run = LoadRun(plan, watch)
    with _interruptible(run):
        return run_on_uvloop(run.execute())


def run_on_uvloop(main: Coroutine[object, object, T]) -> T:
    """Run a coroutine on a new uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@contextmanager
def _interruptible(run: "LoadRun") -> Iterator[None]:
    def on_signal(signum: int, frame: FrameType | None) -> None:
        if run.interrupted or not run.started:
            raise KeyboardInterrupt
        run.interrupt()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class LoadRun:
    """One run of a plan."""

    def __init__(self, plan: LoadPlan, watch: Watch | None = None) -> None:
        self.started = False
        """Whether users have been started: from here on there is something to report."""
        self.interrupted = False
        self._plan = plan
        self._watch = watch
        self._state = RunState(
            scenario=plan.scenario,
            encoder=RequestEncoder(plan.target, plan.run_id),
            dialer=Dialer(plan.target),
            seed=plan.seed,
        )
        self._users: list[VirtualUser] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def interrupt(self) -> None:
        """End the run at once: from a signal handler, or from any thread."""
        self.interrupted = True
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def execute(self) -> LoadReport:
        """Run the plan. Raises UnreachableError where not even a first connection can be made."""
        self._stop = stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        await self._state.dialer.probe(self._plan.timeout_s)
        started_at_ns, started_cpu_s = time.time_ns(), time.process_time()
        meter = ProgressMeter(self._plan, self._state.stats, perf_counter_ns())
        self._start_users()
        background = [asyncio.create_task(self._expire_requests()), asyncio.create_task(self._report_progress(meter))]
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._plan.duration_s)
            await self._wind_down(stop)
        finally:
            for task in background:
                task.cancel()
        times = RunTimes(started_at_ns, meter.elapsed_s(perf_counter_ns()), time.process_time() - started_cpu_s)
        self._raise_failures()
        return build_report(self._plan, self._state.stats, times, interrupted=self.interrupted)

    def _start_users(self) -> None:
        self._users = [VirtualUser(number, self._state) for number in range(1, self._plan.users + 1)]
        self._tasks = [asyncio.create_task(user.run()) for user in self._users]
        self.started = True

    async def _wind_down(self, stop: asyncio.Event) -> None:
        """Let requests in flight finish within the grace, or until `stop`; abort the rest, settle everything."""
        self._state.ending = True
        # A user whose answer has come but who has not looked at it yet does so in this turn of the loop.
        await asyncio.sleep(0)
        if not self.interrupted:
            for user, task in zip(self._users, self._tasks, strict=True):
                if user.client.in_flight is None:
                    task.cancel()
            await self._wait_for_users(stop)
        for user, task in zip(self._users, self._tasks, strict=True):
            user.client.break_off("aborted", "")
            task.cancel()
        await asyncio.wait(self._tasks, timeout=_STOP_WITHIN_S)
        for user in self._users:
            user.close()

    async def _wait_for_users(self, stop: asyncio.Event) -> None:
        finished = asyncio.create_task(asyncio.wait(self._tasks))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({finished, stopped}, timeout=self._plan.grace_s, return_when=asyncio.FIRST_COMPLETED)
        finished.cancel()
        stopped.cancel()

    async def _expire_requests(self) -> None:
        """Break off requests at their deadline: one sweep over the users where a timer a request would be the cost.

        A sweep sleeps until the earliest deadline that it saw; what starts meanwhile is due later than that.
        """
        timeout_ns = round(self._plan.timeout_s * NS_PER_S)
        message = f"no whole answer within {format_duration_ns(timeout_ns)}"
        shortest_sleep_s = min(_COARSEST_SWEEP_S, self._plan.timeout_s / 50)
        while True:
            now = perf_counter_ns()
            earliest = now + timeout_ns
            for user in self._users:
                answer = user.client.in_flight
                if answer is None:
                    continue
                if answer.intended_ns + timeout_ns <= now:
                    user.client.break_off("timeout", message)
                else:
                    earliest = min(earliest, answer.intended_ns + timeout_ns)
            await asyncio.sleep(max((earliest - now) / NS_PER_S, shortest_sleep_s))

    async def _report_progress(self, meter: ProgressMeter) -> None:
        while self._watch is not None:
            await asyncio.sleep(_PROGRESS_INTERVAL_S)
            in_flight = sum(user.client.in_flight is not None for user in self._users)
            self._watch(meter.measure(perf_counter_ns(), in_flight))

    def _raise_failures(self) -> None:
        """Raise what ended a user that should have gone on: our mistake must not look like a result."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (exc := task.exception()) is not None:
                raise exc
