"""Processes under test: started, watched line by line, ended by their own pid, never left behind."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

APIMON = (sys.executable, "-m", "apimon")


class RunningProcess:
    """A subprocess whose stdout and stderr are collected as they come; use `running` to start one."""

    def __init__(self, args: Sequence[str], *, env: Mapping[str, str] | None, cwd: Path | None) -> None:
        self.args = args
        self._popen = subprocess.Popen(
            args, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._text = {"stdout": "", "stderr": ""}
        self._open = {"stdout", "stderr"}
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._collect, args=(name, pipe), daemon=True)
            for name, pipe in (("stdout", self._popen.stdout), ("stderr", self._popen.stderr))
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdout(self) -> str:
        with self._changed:
            return self._text["stdout"]

    @property
    def stderr(self) -> str:
        with self._changed:
            return self._text["stderr"]

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    def wait_for(self, pattern: str, *, stream: str = "stderr", timeout_s: float = 30) -> re.Match[str]:
        """Return the first match of `pattern` in what the process has written; fails when it never comes."""

        def find() -> re.Match[str] | None:
            return re.search(pattern, self._text[stream], re.MULTILINE)

        with self._changed:
            self._changed.wait_for(lambda: find() or stream not in self._open, timeout_s)
            match = find()
        assert match, f"{self.args}: {pattern!r} is not in {stream}:\n{self.stdout}\n---\n{self.stderr}"
        return match

    def wait_for_lines(self, count: int, *, stream: str = "stdout", timeout_s: float = 30) -> list[str]:
        """Return the whole lines of `stream` once there are at least `count`."""
        with self._changed:
            self._changed.wait_for(lambda: self._text[stream].count("\n") >= count, timeout_s)
            lines = self._text[stream].splitlines()
        assert len(lines) >= count, f"{self.args}: {len(lines)} of {count} lines in {stream}:\n{self.stderr}"
        return lines

    def send(self, signal_number: signal.Signals) -> None:
        self._popen.send_signal(signal_number)

    def wait(self, timeout_s: float = 30) -> int:
        """Return the exit code once the process has ended and everything it wrote is collected."""
        code = self._popen.wait(timeout_s)
        for reader in self._readers:
            reader.join(timeout_s)
        return code

    def stop(self, signal_number: signal.Signals = signal.SIGTERM, timeout_s: float = 30) -> int:
        """Ask the process to end and return its exit code."""
        self.send(signal_number)
        return self.wait(timeout_s)

    def close(self) -> None:
        """End the process the hard way if it still runs."""
        if self.is_running:
            self._popen.kill()
            self._popen.wait()
        for reader in self._readers:
            reader.join(5)
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()

    def _collect(self, name: str, pipe: IO[bytes]) -> None:
        while chunk := os.read(pipe.fileno(), 65_536):
            with self._changed:
                self._text[name] += chunk.decode("utf-8", "replace")
                self._changed.notify_all()
        with self._changed:
            self._open.discard(name)
            self._changed.notify_all()


@contextmanager
def running(*args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Iterator[RunningProcess]:
    """Run a command for the length of the context; `env` is added to the test's environment."""
    process = RunningProcess(args, env={**os.environ, **(env or {})}, cwd=cwd)
    try:
        yield process
    finally:
        process.close()


@contextmanager
def running_apimon(
    *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[RunningProcess]:
    """Run an apimon command for the length of the context."""
    with running(*APIMON, *args, env=env, cwd=cwd) as process:
        yield process


def run_apimon(
    *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run an apimon command to its end; a pipe's text is UTF-8."""
    return subprocess.run(
        [*APIMON, *args],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_s,
        check=False,
    )
