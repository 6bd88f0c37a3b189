"""The Loki that a server's records go to: found, or started, before it serves; and what the user is told of it."""

import os
import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from apimon.config import DEFAULT_LOKI_URL, Settings
from apimon.errors import ApimonError, NotLokiError
from apimon.loki.local import Attachment, attach_loki

_LOOK_S = 1.0
"""How long a server waits to be told of a Loki elsewhere; one that is slow, or away, is waited for beside it."""

Say = Callable[[str], None]


@contextmanager
def hold_loki(settings: Settings, say: Say) -> Iterator[bool]:
    """Hold the lease on the Loki of the settings, and yield whether one has been found.

    Raises LokiUnreachableError where none can be started at a loopback address, and NotLokiError where something else
    answers; where that is noticed only while the server runs, by ending it with SIGTERM first.
    """
    if not settings.enabled:
        say("nothing is recorded: LOKI_ENABLED is false")
        yield False
    elif settings.loki.is_loopback:
        with attach_loki(settings) as loki:
            _say_where_logs_go(settings, loki, say)
            yield True
    else:
        settings.loki.ssl_context()  # raises here, not there
        with _RemoteLook(settings, say) as is_found:
            yield is_found


class _RemoteLook:
    """Looks for a Loki elsewhere in a thread of its own, and says once what came of it."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings = settings
        self._say = say
        self._is_found = False
        self._is_serving = False
        self._refusal: NotLokiError | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> bool:
        thread = threading.Thread(target=self._look, name="loki-look", daemon=True)
        thread.start()
        thread.join(_LOOK_S)
        with self._lock:
            self._is_serving = True
            self._raise_refusal()
        return self._is_found

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_serving = False
        self._raise_refusal()

    def _look(self) -> None:
        try:
            with attach_loki(self._settings, start=False) as loki:
                _say_where_logs_go(self._settings, loki, self._say)
                self._is_found = True
        except NotLokiError as exc:
            with self._lock:
                self._refusal = exc
                if self._is_serving:
                    os.kill(os.getpid(), signal.SIGTERM)
        except ApimonError as exc:
            self._say(f"logs can't be shipped for now: {exc}")

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            raise self._refusal


def _say_where_logs_go(settings: Settings, loki: Attachment, say: Say) -> None:
    kind = f"{'the embedded Loki' if loki.embedded else f'Loki {loki.version}'} at {loki.url}"
    flag = "" if settings.loki.url == DEFAULT_LOKI_URL else f" --loki {loki.url}"
    say(f"logs go to {kind}; follow them with: apimon tail --service {shlex.quote(settings.service_name)}{flag}")
