"""Which Loki a server records to, where that is elsewhere: 0.0.0.0 is no loopback address, and still this machine."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from apimon.config import LokiSettings, Settings
from apimon.errors import NotLokiError
from apimon.server.recording import hold_loki
from tests.support.processes import running_apimon


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.allowed.wait(30)  # type: ignore[attr-defined]  # set by `elsewhere`
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"members only")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def elsewhere(*, at_once: bool = True) -> Iterator[tuple[str, threading.Event]]:
    """A server that is no Loki; unless `at_once` it answers once the event is set."""
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), Page) as server:
        server.allowed = allowed = threading.Event()  # type: ignore[attr-defined]  # for Page
        if at_once:
            allowed.set()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://0.0.0.0:{server.server_port}", allowed
        finally:
            allowed.set()
            server.shutdown()
            thread.join()


def settings_for(url: str) -> Settings:
    return Settings(loki=LokiSettings(url=url))


@contextmanager
def nobody() -> Iterator[str]:
    """A URL whose port refuses connections: bound, and not listening."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        yield f"http://0.0.0.0:{taken.getsockname()[1]}"


def test_what_is_no_loki_ends_the_server_before_it_serves() -> None:
    with (
        elsewhere() as (url, _),
        pytest.raises(NotLokiError, match="status 403: 'members only'"),
        hold_loki(settings_for(url), pytest.fail),
    ):
        pytest.fail("it served")


def test_where_nobody_answers_it_serves_and_says_so_once() -> None:
    said: list[str] = []
    with nobody() as url, hold_loki(settings_for(url), said.append) as is_found:
        assert not is_found
        assert [line.partition(": ")[0] for line in said] == ["logs can't be shipped for now"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_turns_out_to_be_no_loki_ends_the_server_with_3(workers: str) -> None:
    with (
        elsewhere(at_once=False) as (url, allowed),
        running_apimon("serve", "--port", "0", "--loki", url, "--workers", workers) as process,
    ):
        process.wait_for("serving http")
        allowed.set()
        assert process.wait() == 3
    assert process.stderr.splitlines()[-1].startswith(f"error: no Loki at {url}: what answered is no Loki, status 403")
    assert process.stderr.count("\n") == 2
