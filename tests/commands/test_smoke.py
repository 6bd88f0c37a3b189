import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from apimon.cli import run
from apimon.commands.smoke_calls import CALLS, Call, Outcome, make_calls
from apimon.server.runner import listen
from tests.support.lokis import listening_url
from tests.support.processes import running_apimon


@contextmanager
def answering(status: int, *, body: bytes = b"{}", length: int | None = None) -> Iterator[str]:
    """Serve one status for every request; `length` may promise more than `body` has."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_nine_calls_succeed_and_three_fail() -> None:
    basic = [call for call in CALLS if 200 in call.expected]
    assert (len(basic), len(CALLS)) == (9, 12)
    assert [(call.method, call.path, call.expected) for call in CALLS[9:]] == [
        ("GET", "/products/999", (404,)),
        ("POST", "/products/1/purchase", (400,)),
        ("POST", "/simulate-error", (500,)),
    ]
    assert next(call for call in basic if call.method == "POST").expected == (200, 409)


def test_a_served_shop_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_apimon(
        "serve",
        "--no-loki",
        "--port",
        "0",
        "--delay-scale",
        "0",
        "--stock-failure",
        "0.5",
        "--db",
        str(tmp_path / "db"),
    ) as process:
        assert run(["smoke", listening_url(process)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert lines[0].split() == ["METHOD", "PATH", "EXPECTED", "ACTUAL", "TIME"]
    assert lines[-1] == "12 of 12 calls answered as expected"
    assert len(lines) == 14


def test_a_mismatch_is_marked_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200) as url:
        assert run(["smoke", url]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "MISMATCH" in line] == lines[10:13]
    assert lines[-1] == "9 of 12 calls answered as expected"


def test_no_server_exits_3_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert run(["smoke", url]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: no server at {url}: connection refused; ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("url", ["", "shop", "ftp://shop", "http://", "http://shop:port"])
def test_what_is_no_url_exits_2(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["smoke", url]) == 2
    assert capsys.readouterr().err == f"error: {url!r} is not an http:// or https:// URL\n"


async def test_a_cut_answer_is_an_outcome_without_a_status() -> None:
    with answering(200, body=b"{", length=100) as url:
        outcomes = [outcome async for outcome in make_calls(url, [Call("GET", "/")])]
    assert [(outcome.status, outcome.passed) for outcome in outcomes] == [(None, False)]
    assert outcomes[0].error


def test_a_status_passes_if_it_is_one_of_those_expected() -> None:
    call = Call("GET", "/", expected=(200, 409))
    assert [Outcome(call, status, 1.0).passed for status in (200, 409, 404, None)] == [True, True, False, False]
