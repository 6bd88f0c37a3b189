"""The commands that a command runs as processes of its own: started, watched, and ended however their parent ends."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from apimon.errors import ApimonError

_START_WAIT_S = 30.0
_END_WAIT_S = 15.0
_LINES_KEPT = 10
_URL = re.compile(r"https?://\S+")


class ChildError(ApimonError):
    """A process that should have gone on has ended."""


class Child:
    """A running apimon command; a server's stderr is kept here, another's goes where ours goes."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read_stderr())

    async def wait(self) -> int:
        """Return the exit code once the process has ended and what it said is read."""
        code = await self.process.wait()
        await asyncio.shield(self._reader)
        return code

    async def await_url(self) -> str:
        """Return the URL at which the server says that it listens; raises ChildError where it ends before, or hangs."""
        try:
            async with asyncio.timeout(_START_WAIT_S):
                return await asyncio.shield(self._url)
        except TimeoutError:
            raise ChildError(f"'apimon {self.name}' did not start within {_START_WAIT_S:g} s") from None

    def explain_end(self) -> ChildError:
        """Return the error that says with what the process ended in the middle."""
        said = self._lines[-1].removeprefix("error: ") if self._lines else "it said nothing"
        return ChildError(f"'apimon {self.name}' ended in the middle, exit code {self.process.returncode}: {said}")

    async def stop(self) -> None:
        """End the process politely, then for good."""
        if self.process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_END_WAIT_S):
                    await self.process.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
        await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    async def _read_stderr(self) -> None:
        stderr = self.process.stderr
        while stderr is not None and (line := await stderr.readline()):
            self._hear(line.decode("utf-8", "replace").rstrip())
        if not self._url.done():
            await self.process.wait()
            self._url.set_exception(self.explain_end())
            self._url.exception()  # retrieved: nobody may be waiting for it

    def _hear(self, line: str) -> None:
        self._lines.append(line)
        url = _URL.search(line)
        if line.startswith("apimon: serving ") and url and not self._url.done():
            self._url.set_result(url[0])


class Children:
    """Runs apimon commands in `folder` with `environment`; leaving the context ends all of them, the latest first.

    They are in sessions of their own: Ctrl-C reaches the parent alone, which ends them in order. Should the parent die
    without that, a watchdog ends them.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._servers: list[Child] = []

    async def __aenter__(self) -> Self:
        self._watchdog = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "apimon.commands.watchdog",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
            cwd=self._folder, env=self._environment,
        )  # fmt: skip
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for server in reversed(self._servers):
            await self._stop(server)
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
        await self._watchdog.wait()

    async def serve(self, name: str, *arguments: str) -> str:
        """Start a server and return its URL; raises ChildError."""
        server = await self._start(name, *arguments, is_server=True)
        self._servers.append(server)
        return await server.await_url()

    async def run(self, name: str, *arguments: str) -> int:
        """Run a command to its end and return its exit code; raises ChildError where a server ends before it."""
        command = await self._start(name, *arguments, is_server=False)
        waits = {asyncio.create_task(child.wait()): child for child in (command, *self._servers)}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for ended in map(waits.__getitem__, done):
                if ended is not command:
                    raise ended.explain_end()
            return await command.wait()
        finally:
            for wait in waits:
                wait.cancel()
            await self._stop(command)

    async def _start(self, name: str, *arguments: str, is_server: bool) -> Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "apimon", name, *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL if is_server else None,
            stderr=asyncio.subprocess.PIPE if is_server else None,
            start_new_session=True, cwd=self._folder, env=self._environment,
        )  # fmt: skip
        self._tell_watchdog(f"+{process.pid}")
        return Child(name, process)

    async def _stop(self, child: Child) -> None:
        await child.stop()
        self._tell_watchdog(f"-{child.process.pid}")

    def _tell_watchdog(self, line: str) -> None:
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.write(f"{line}\n".encode())
