"""Which Loki: found, waited for, started, shared, and left when nobody needs it."""

import http.server
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from apimon.config import LokiSettings, Settings
from apimon.errors import LokiUnreachableError
from apimon.loki.lease import open_lease
from apimon.loki.local import attach_loki
from tests.support.leftovers import end_processes_of, processes_of
from tests.support.lokis import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    yield Settings(loki=LokiSettings(url=f"http://127.0.0.1:{free_port()}"), data_dir=tmp_path / "data")
    end_processes_of(tmp_path / "home")


def await_end(home: Path) -> None:
    gone, alive = psutil.wait_procs(processes_of(home), timeout=20)
    assert not alive, gone


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers every request with the next of the server's answers, the last one again and again."""

    server: "AnsweringServer"

    def do_GET(self) -> None:
        answers = self.server.answers
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if self.path.startswith("/apimon/"):
            status, body = self.server.lease_status, b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class AnsweringServer(http.server.ThreadingHTTPServer):
    answers: list[tuple[int, bytes]]
    lease_status = 404


@contextmanager
def answering(*answers: tuple[int, bytes], lease_status: int = 404) -> Iterator[Settings]:
    with AnsweringServer(("127.0.0.1", 0), Answers) as server:
        server.answers, server.lease_status = list(answers), lease_status
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Settings(loki=LokiSettings(url=f"http://user:secret@127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
            thread.join()


def test_a_loki_that_answers_is_used(tmp_path: Path) -> None:
    with answering((200, json.dumps({"version": "3.4.1"}).encode())) as found, attach_loki(found) as loki:
        assert (loki.version, loki.embedded, loki.started) == ("3.4.1", False, False)
        assert loki.url == f"http://127.0.0.1:{found.loki.port}"


@pytest.mark.parametrize("lease_status", [204, 301, 401, 403, 405, 500, 502])
def test_a_loki_behind_a_proxy_needs_no_lease_whatever_that_says_of_its_path(lease_status: int) -> None:
    with answering((200, b'{"version":"3.4.1"}'), lease_status=lease_status) as found, attach_loki(found) as loki:
        assert (loki.version, loki.embedded) == ("3.4.1", False)


def test_a_loki_that_is_not_ready_yet_is_waited_for() -> None:
    version = (200, b'{"version":"3.4.1"}')
    with answering((503, b"starting"), (503, b"starting"), version) as found, attach_loki(found) as loki:
        assert loki.version == "3.4.1"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, b"<html>hello</html>"), "something else answered: '<html>hello</html>'"),
        ((200, b"[]"), "something else answered"),
        ((200, b'{"status":"healthy"}'), "something else answered"),
        ((404, b"not found"), "no Loki, status 404: 'not found'"),
        ((401, b"who are you"), "status 401"),
    ],
)
def test_something_else_on_the_port_is_said(answer: tuple[int, bytes], words: str) -> None:
    with answering(answer) as found, pytest.raises(LokiUnreachableError) as caught, attach_loki(found):
        pass
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_nobody_is_started_elsewhere_or_when_not_wanted(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(LokiUnreachableError, match="refused"), attach_loki(settings, start=False):
        pass
    elsewhere = Settings(loki=LokiSettings(url="http://host.invalid:3100"))
    with pytest.raises(LokiUnreachableError, match=r"no Loki at http://host\.invalid:3100"), attach_loki(elsewhere):
        pass
    assert not processes_of(tmp_path / "home")


def test_one_is_started_shared_and_ends_after_its_last_lease(settings: Settings, tmp_path: Path) -> None:
    with attach_loki(settings, lease_grace_s=0.2) as first:
        assert (first.embedded, first.started, first.url) == (True, True, settings.loki.base_url)
        (server,) = processes_of(tmp_path / "home")
        assert os.getsid(server.pid) == server.pid, "Ctrl-C must not reach it"
        with attach_loki(settings) as second:
            assert (second.embedded, second.started) == (True, False)
        time.sleep(0.5)  # longer than the grace: the first lease still holds it
        assert server.is_running()
    await_end(tmp_path / "home")
    assert not list((settings.data_dir / "loki").glob("journal-*")), "it ended cleanly"


def test_many_that_start_at_once_share_one_server(settings: Settings, tmp_path: Path) -> None:
    started: list[bool] = []

    def use() -> None:
        with attach_loki(settings, lease_grace_s=0.2) as loki:
            started.append(loki.started)
            barrier.wait(30)

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(started) == [False, False, True]
    await_end(tmp_path / "home")


def test_one_that_comes_while_the_last_server_closes_gets_a_new_one(settings: Settings, tmp_path: Path) -> None:
    for _ in range(2):
        with attach_loki(settings, lease_grace_s=0.3) as loki:
            assert loki.embedded
        for server in processes_of(tmp_path / "home"):
            server.send_signal(signal.SIGTERM)
    await_end(tmp_path / "home")


def test_a_holder_that_was_killed_holds_nothing(settings: Settings, tmp_path: Path) -> None:
    with attach_loki(settings, lease_grace_s=0.2):
        pid = os.fork()
        if pid == 0:
            open_lease(settings.loki.base_url, 10)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
    await_end(tmp_path / "home")


def test_a_server_that_cannot_start_says_why(settings: Settings) -> None:
    folder = settings.data_dir / "loki"
    folder.mkdir(parents=True)
    (folder / "format").write_text("99")
    with pytest.raises(LokiUnreachableError, match=r"could not start: .* has format '99'"), attach_loki(settings):
        pass


def test_another_server_on_the_folder_is_named(settings: Settings, tmp_path: Path) -> None:
    other = Settings(loki=LokiSettings(url=f"http://127.0.0.1:{free_port()}"), data_dir=settings.data_dir)
    with attach_loki(settings, lease_grace_s=0.2):
        (server,) = processes_of(tmp_path / "home")
        with pytest.raises(LokiUnreachableError, match=f"in use by process {server.pid}"), attach_loki(other):
            pass
    await_end(tmp_path / "home")


def test_a_data_folder_that_cannot_be_used_is_said(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    broken = Settings(loki=settings.loki, data_dir=tmp_path / "file" / "data")
    with pytest.raises(LokiUnreachableError, match="can't use the data folder"), attach_loki(broken):
        pass
