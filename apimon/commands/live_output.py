"""Lines to stdout while they come: at once, unbuffered, until the person or the reader of the pipe has enough."""

import asyncio
import os
import select
import signal
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

_READER_CHECK_S = 0.25
"""How soon it is noticed that a pipe's reader has gone while nothing is written."""
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LiveOutput:
    """Writes lines to stdout, past Python's buffer, until SIGINT, SIGTERM or the end of the reader."""

    def __init__(self) -> None:
        self._fd = sys.stdout.fileno()
        self._is_writing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    def write(self, lines: Iterable[str]) -> None:
        """Write the lines whole, each with a newline, as UTF-8.

        Raises BrokenPipeError where the reader has gone, and KeyboardInterrupt where a signal comes while a full pipe
        blocks.
        """
        data = memoryview("".join(f"{line}\n" for line in lines).encode())
        self._is_writing = True
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        finally:
            self._is_writing = False

    async def wait_for_end(self) -> None:
        """Return when a signal has come or the reader of the pipe has gone."""
        self._loop = asyncio.get_running_loop()
        while not self._ended.is_set() and not self._is_reader_gone():
            try:
                # Nothing tells a process that is not writing: it has to look.
                await asyncio.wait_for(self._ended.wait(), _READER_CHECK_S)
            except TimeoutError:
                continue

    @contextmanager
    def ended_by_signals(self) -> Iterator[None]:
        """While the context is open signals end the waiting, or raise KeyboardInterrupt where nothing waits yet."""
        before = {number: signal.signal(number, self._end) for number in _ENDING_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if self._loop is None or self._is_writing:
            raise KeyboardInterrupt
        self._loop.call_soon_threadsafe(self._ended.set)

    def _is_reader_gone(self) -> bool:
        mode = os.fstat(self._fd).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            return False
        poll = select.poll()
        poll.register(self._fd, 0)
        return bool(poll.poll(0))  # without asked-for events only errors and hang-ups are told
