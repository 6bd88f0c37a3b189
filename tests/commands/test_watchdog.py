import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO

import pytest

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]

WATCHDOG = ("-m", "apimon.commands.watchdog")
SLEEPER = ("-c", "import sys; print('up', flush=True); sys.stdin.read()")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python processes in sessions of their own; what is left of them ends with the test."""
    with ExitStack() as stack:

        def start(*arguments: str) -> Process:
            process = subprocess.Popen(
                [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def start_group(start: Start) -> Process:
    process = start(*SLEEPER)
    assert pipe(process.stdout).readline() == b"up\n"
    return process


def tell(watchdog: Process, sign: str, process: Process) -> None:
    pipe(watchdog.stdin).write(f"{sign}{process.pid}\n".encode())
    pipe(watchdog.stdin).flush()


def test_what_is_left_at_the_end_is_ended(start: Start) -> None:
    watchdog, left = start(*WATCHDOG), start_group(start)
    tell(watchdog, "+", left)
    pipe(watchdog.stdin).close()
    assert left.wait(30) == -signal.SIGTERM
    assert watchdog.wait(30) == 0


def test_what_was_reported_ended_is_left_alone(start: Start) -> None:
    watchdog, kept = start(*WATCHDOG), start_group(start)
    tell(watchdog, "+", kept)
    tell(watchdog, "-", kept)
    pipe(watchdog.stdin).close()
    assert watchdog.wait(30) == 0
    assert kept.poll() is None


def test_a_group_that_is_gone_is_no_error(start: Start) -> None:
    watchdog, gone, left = start(*WATCHDOG), start_group(start), start_group(start)
    tell(watchdog, "+", gone)
    tell(watchdog, "+", left)
    gone.kill()
    gone.wait(30)
    pipe(watchdog.stdin).close()
    assert left.wait(30) == -signal.SIGTERM
    assert watchdog.wait(30) == 0
