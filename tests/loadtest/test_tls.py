"""HTTPS: the certificate is checked, and requests over TLS are counted like any others."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from apimon.errors import UnreachableError
from apimon.loadtest.engine import LoadRun, run_on_uvloop
from apimon.loadtest.plan import LoadPlan
from apimon.loadtest.report import LoadReport
from apimon.loadtest.target import Dialer, parse_target
from tests.loadtest.servers import CLOSE_DELIMITED, CLOSING, OK, Server, get_root, scenario_of, serving

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of our own for 127.0.0.1, and its key."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key),
        "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_requests_over_tls_are_counted_by_both_sides(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    async def main() -> tuple[LoadReport, Server]:
        async with serving(OK, CLOSING, CLOSE_DELIMITED, ssl=server_context(certificate)) as server:
            plan = LoadPlan(parse_target(server.url), scenario_of(get_root), users=2, duration_s=0.2)
            report = await LoadRun(plan).execute()
            await server.drain()
            return report, server

    report, server = run_on_uvloop(main())
    assert report.requests == report.total.ok == len(server.requests) > 3
    assert report.errors == []


def test_certificate_that_nobody_vouches_for_is_not_accepted(certificate: tuple[Path, Path]) -> None:
    async def main() -> None:
        # The server's side of the broken handshake is not what is tested: asyncio would print it.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        async with serving(OK, ssl=server_context(certificate)) as server:
            await Dialer(parse_target(server.url)).probe(5)

    with pytest.raises(UnreachableError, match=r"TLS certificate not accepted: self.signed"):
        run_on_uvloop(main())
