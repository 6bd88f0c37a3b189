"""Real servers on free ports that answer as they are told, well or badly, and count what they were asked."""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from ssl import SSLContext

from apimon.loadtest.encode import RequestEncoder
from apimon.loadtest.engine import LoadRun, run_on_uvloop
from apimon.loadtest.pacing import ThinkTime
from apimon.loadtest.plan import LoadPlan
from apimon.loadtest.report import LoadReport
from apimon.loadtest.scenario import Scenario, Task, TaskFunction
from apimon.loadtest.target import Dialer, parse_target
from apimon.loadtest.user import RunState, VirtualUser


@dataclass
class Request:
    """A request as the server read it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Answers one request; returns whether the connection goes on."""


@dataclass
class Server:
    """What a running server has seen."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def drain(self) -> None:
        """Wait until every connection has been read to its end."""
        if self.tasks:
            await asyncio.wait(self.tasks)


Callback = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(
    callback: Callback, tasks: set[asyncio.Task[None]] | None = None, ssl: SSLContext | None = None
) -> AsyncIterator[str]:
    """Call back for every connection to a free port; gives the base URL, and leaves no connection open."""
    running: set[asyncio.Task[None]] = set() if tasks is None else tasks

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await callback(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            running.discard(task)

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0, ssl=ssl)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{'https' if ssl else 'http'}://{host}:{port}"
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        if running:
            await asyncio.wait(running)


@asynccontextmanager
async def serving(*behaviours: Behaviour, ssl: SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve on a free port; the n-th request gets the n-th behaviour, in a cycle."""
    state = Server()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        goes_on = True
        while goes_on and (request := await _read_request(reader)) is not None:
            behaviour = behaviours[len(state.requests) % len(behaviours)]
            state.requests.append(request)
            goes_on = await behaviour(reader, writer)

    async with listening(on_connection, state.tasks, ssl) as url:
        state.url = url
        yield state


@contextmanager
def serving_beside(*behaviours: Behaviour) -> Iterator[Server]:
    """Serve from a thread, for tests that wait for processes."""
    started: Future[tuple[Server, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        async with serving(*behaviours) as server:
            stop = asyncio.Event()
            started.set_result((server, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    server, loop, stop = started.result(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, path, _ = first.split(" ")
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def answering(raw: bytes, *, close: bool = False) -> Behaviour:
    """Write these bytes, then go on or close."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(raw)
        await writer.drain()
        return not close

    return behave


def status(code: int, body: bytes = b"{}") -> Behaviour:
    """Answer with this status and a JSON body."""
    return answering(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (code, len(body), body))


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Reset the connection without an answer."""
    # Closed with nothing to linger for, a socket sends a reset instead of its end.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Never answer; wait for the client to go."""
    await reader.read()
    return False


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send a body of a million bytes one by one, until the client goes."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    gone = asyncio.ensure_future(reader.read())
    gone.add_done_callback(lambda done: done.cancelled() or done.exception())
    while not gone.done():
        writer.write(b"x")
        await asyncio.wait({gone}, timeout=0.005)
    return False


async def bytewise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send a chunked answer, each byte in a write of its own."""
    for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    return True


OK = status(200)
HALF_BODY = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", close=True)
HALF_HEAD = answering(b"HTTP/1.1 200 OK\r\nContent-Le", close=True)
GARBAGE = answering(b"\x00\x01 this is no HTTP\r\n\r\n", close=True)
CUT_CHUNK = answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", close=True)
TOO_LONG = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcd")
CLOSE_DELIMITED = answering(b"HTTP/1.1 200 OK\r\n\r\nto the end", close=True)
CLOSING = answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", close=True)
HTTP_1_0 = answering(b"HTTP/1.0 200 OK\r\n\r\nold", close=True)
INTERIM = answering(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # fmt: skip
NOTHING = answering(b"", close=True)


async def get_root(user: VirtualUser) -> None:
    """Ask for /."""
    await user.get("/")


def scenario_of(function: TaskFunction, pause: ThinkTime | None = None) -> Scenario:
    """Return a scenario of one task."""
    return Scenario("test", [Task("task", function)], pause or ThinkTime())


@asynccontextmanager
async def user_of(url: str) -> AsyncIterator[tuple[VirtualUser, RunState]]:
    """A user outside a run, and what it counts in."""
    target = parse_target(url)
    state = RunState(
        scenario=scenario_of(get_root),
        encoder=RequestEncoder(target, "run1"),
        dialer=Dialer(target),
        seed=1,
    )
    user = VirtualUser(1, state)
    try:
        yield user, state
    finally:
        user.close()


def run_against(
    behaviours: Sequence[Behaviour],
    function: TaskFunction = get_root,
    *,
    users: int = 1,
    duration_s: float = 0.2,
    pause: ThinkTime | None = None,
    timeout_s: float = 10,
    grace_s: float = 5,
) -> tuple[LoadReport, Server]:
    """Run a load on a server of its own, on uvloop, and return what both sides counted."""

    async def main() -> tuple[LoadReport, Server]:
        async with serving(*behaviours) as server:
            plan = LoadPlan(
                target=parse_target(server.url),
                scenario=scenario_of(function, pause),
                users=users,
                duration_s=duration_s,
                timeout_s=timeout_s,
                grace_s=grace_s,
                seed=1,
            )
            report = await LoadRun(plan).execute()
            await server.drain()
            return report, server

    return run_on_uvloop(main())
