"""Find the Loki of the settings, or start the embedded server where none is: what the contract calls "Which Loki".

The server that is started is a process of its own, in a session of its own, so that Ctrl-C doesn't reach it; leases,
one open connection a command, keep it alive. Nothing here needs an event loop.
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from apimon.config import LokiSettings, Settings
from apimon.errors import LokiUnreachableError, NotLokiError
from apimon.loki.lease import Lease, open_lease

LEASE_GRACE_S = 10.0
"""How long a started server outlives its last lease."""
RETENTION_S = 7 * 86_400.0
LOG_FILE = "loki.log"

_BUILDINFO_PATH = "/loki/api/v1/status/buildinfo"
_READY_WAIT_S = 15.0
_START_WAIT_S = 30.0
_ANSWER_WAIT_S = 20.0
"""A server that has just been started answers only once its store is open."""
_POLL_S = 0.1
_MAX_LOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Attachment:
    """The Loki to use."""

    url: str
    """Without credentials: safe to print."""
    version: str
    embedded: bool
    """Whether it is apimon's own server."""
    started: bool
    """Whether this call started it."""


class _NobodyAnswersError(Exception):
    """Nothing listens there, or it went away in the middle of a request."""


@contextmanager
def attach_loki(
    settings: Settings, *, start: bool = True, lease_grace_s: float = LEASE_GRACE_S
) -> Iterator[Attachment]:
    """Yield the Loki at the settings' URL, kept alive while the context is open; raises LokiUnreachableError.

    With `start`, one that doesn't answer at a loopback address is started on the data folder.
    """
    attachment, lease = _attach(settings, start, lease_grace_s)
    try:
        yield attachment
    finally:
        if lease is not None:
            lease.release()


def _attach(settings: Settings, start: bool, lease_grace_s: float) -> tuple[Attachment, Lease | None]:
    loki = settings.loki
    deadline_s = time.monotonic() + _START_WAIT_S
    process: _ServerProcess | None = None
    while True:
        try:
            version = _await_version(loki)
            lease = _lease(loki) if loki.is_loopback else None
            started = lease is not None and process is not None and lease.server_pid == process.pid
            return Attachment(loki.base_url, version, lease is not None, started), lease
        except _NobodyAnswersError as exc:
            if not (start and loki.is_loopback):
                raise LokiUnreachableError(loki.base_url, str(exc)) from None
        # Nobody yet: the first of those who find that starts it, the others' server ends at once, its port taken.
        if process is None or process.has_ended():
            if process is not None:
                process.raise_if_failed(loki)
            process = _ServerProcess(settings, lease_grace_s)
        if time.monotonic() > deadline_s:
            raise LokiUnreachableError(
                loki.base_url, f"the embedded server did not answer within {_START_WAIT_S:g} s, see {process.log_path}"
            )
        time.sleep(_POLL_S)


def _lease(loki: LokiSettings) -> Lease | None:
    try:
        return open_lease(loki.base_url, _ANSWER_WAIT_S)
    except (OSError, ValueError, http.client.HTTPException) as exc:
        raise _NobodyAnswersError(str(exc)) from exc


def _await_version(loki: LokiSettings) -> str:
    """Return the version of the Loki that answers; one that says 503 is given time to get ready."""
    deadline_s = time.monotonic() + _READY_WAIT_S
    while True:
        status, body = _get(loki, _BUILDINFO_PATH)
        if status == 200:
            version = _version(body)
            if version is not None and _get(loki, "/ready")[0] != 503:
                return version
            if version is None:
                raise NotLokiError(loki.base_url, f"something else answered: {_excerpt(body)}")
        elif status != 503:
            raise NotLokiError(loki.base_url, f"what answered is no Loki, status {status}: {_excerpt(body)}")
        if time.monotonic() > deadline_s:
            raise LokiUnreachableError(loki.base_url, f"it is not ready after {_READY_WAIT_S:g} s: {_excerpt(body)}")
        time.sleep(_POLL_S)


def _version(body: bytes) -> str | None:
    try:
        info = json.loads(body)
    except ValueError:
        return None
    version = info.get("version") if isinstance(info, dict) else None
    return version if isinstance(version, str) else None


def _get(loki: LokiSettings, path: str) -> tuple[int, bytes]:
    parts = urlsplit(loki.base_url)
    context = loki.ssl_context()
    connection = (
        http.client.HTTPConnection(loki.host, loki.port, timeout=_ANSWER_WAIT_S)
        if context is None
        else http.client.HTTPSConnection(loki.host, loki.port, timeout=_ANSWER_WAIT_S, context=context)
    )
    try:
        connection.request("GET", parts.path + path, headers=loki.headers())
        response = connection.getresponse()
        return response.status, response.read(64 << 10)
    except (ConnectionError, http.client.RemoteDisconnected) as exc:
        raise _NobodyAnswersError(getattr(exc, "strerror", None) or "it closed the connection") from exc
    except TimeoutError as exc:
        raise LokiUnreachableError(loki.base_url, f"no answer within {_ANSWER_WAIT_S:g} s") from exc
    except OSError as exc:
        raise _NobodyAnswersError(exc.strerror or str(exc)) from exc
    except http.client.HTTPException as exc:
        raise NotLokiError(loki.base_url, f"what answered doesn't speak HTTP: {exc!r}") from exc
    finally:
        connection.close()


def _excerpt(body: bytes) -> str:
    return repr(" ".join(body[:80].decode("utf-8", "replace").split()))


class _ServerProcess:
    """The embedded server that this process started; it lives on without it."""

    def __init__(self, settings: Settings, lease_grace_s: float) -> None:
        loki, folder = settings.loki, settings.data_dir.absolute()
        self.log_path = folder / LOG_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise LokiUnreachableError(
                loki.base_url, f"the embedded server can't use the data folder {folder}: {exc.strerror}"
            ) from exc
        try:
            size = os.fstat(log).st_size
            if size > _MAX_LOG_BYTES:
                os.ftruncate(log, 0)
                size = 0
            self._log_start = size
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [
                    sys.executable, "-m", "apimon.loki.embedded",
                    "--host", loki.host, "--port", str(loki.port), "--data-dir", str(folder),
                    "--lease-grace", str(lease_grace_s), "--retention", str(RETENTION_S),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=folder,
            )  # fmt: skip
        finally:
            os.close(log)
        # Takes the exit status whenever it comes, so that a long-lived parent keeps no zombie.
        threading.Thread(target=self._process.wait, name="embedded-loki", daemon=True).start()

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Whether it isn't running any more."""
        return self._process.poll() is not None

    def raise_if_failed(self, loki: LokiSettings) -> None:
        """Raise what the ended server said, unless it only was not the first at the port."""
        said = self._last_line()
        if self._process.returncode and "cannot listen on" not in said:
            raise LokiUnreachableError(
                loki.base_url, f"the embedded server could not start: {said or 'it said nothing'}"
            )

    def _last_line(self) -> str:
        lines = _read_from(self.log_path, self._log_start).strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else ""


def _read_from(path: Path, offset: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(_MAX_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
