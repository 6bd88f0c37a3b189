"""The two Lokis under test: the real one, built by tests/realloki/build.sh, and the embedded one."""

import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import RunningProcess, running, running_apimon

# Read when the tests are imported: every test's environment is emptied of APIMON_*.
REAL_LOKI_DIR = os.environ.get("APIMON_TEST_LOKI", "")

_CONFIG = """\
auth_enabled: false
server:
  http_listen_address: 127.0.0.1
  http_listen_port: {http_port}
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: {grpc_port}
  log_level: warn
common:
  instance_addr: 127.0.0.1
  path_prefix: {folder}
  replication_factor: 1
  storage:
    filesystem:
      chunks_directory: {folder}/chunks
      rules_directory: {folder}/rules
  ring:
    kvstore:
      store: inmemory
schema_config:
  configs:
    - from: 2024-01-01
      store: tsdb
      object_store: filesystem
      schema: v13
      index: {{prefix: index_, period: 24h}}
ingester:
  lifecycler:
    min_ready_duration: 0s
limits_config:
{limits}
analytics:
  reporting_enabled: false
"""
_TEST_LIMITS = "  allow_structured_metadata: true"
BENCH_LIMITS = """\
  ingestion_rate_mb: 1000
  ingestion_burst_size_mb: 1000
  per_stream_rate_limit: 1GB
  per_stream_rate_limit_burst: 1GB"""
"""Raised ingestion limits: what a bench pushes must not be throttled."""


def real_loki_binary(name: str) -> str:
    """Return the path of `loki` or `logcli`; fails when they were not built."""
    if not REAL_LOKI_DIR:
        pytest.fail("APIMON_TEST_LOKI is not set: run the tests marked loki with 'make test-loki'", pytrace=False)
    return str(Path(REAL_LOKI_DIR) / name)


def free_port() -> int:
    """Return a port that was free a moment ago: only for servers that can't be asked for port 0."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def running_real_loki(
    folder: Path, *, limits: str = _TEST_LIMITS, http_port: int = 0
) -> Iterator[tuple[str, RunningProcess]]:
    """Run a real Loki on `folder`, ready when the context opens; yields its URL and process."""
    http_port = http_port or free_port()
    config = folder / "loki.yaml"
    config.write_text(_CONFIG.format(http_port=http_port, grpc_port=free_port(), folder=folder, limits=limits))
    url = f"http://127.0.0.1:{http_port}"
    with running(real_loki_binary("loki"), f"-config.file={config}", cwd=folder, env={"HOME": str(folder)}) as process:
        await_ready(url, process)
        try:
            yield url, process
        finally:
            # A clean stop flushes for ten seconds what no test will read again.
            process.close()


@contextmanager
def running_embedded_loki(*args: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[str, RunningProcess]]:
    """Run `apimon loki` on a free port; yields its URL and process."""
    with running_apimon("loki", "--port", "0", *args, env=env) as process:
        yield listening_url(process), process


def listening_url(process: RunningProcess) -> str:
    """Return the URL that a listening command names on stderr."""
    return process.wait_for(r"(http://127\.0\.0\.1:\d+)")[1]


def await_ready(url: str, process: RunningProcess, timeout_s: float = 60) -> None:
    """Wait until `url` answers /ready with 200; fails when `process` ends before that."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.is_running, f"{process.args} ended: {process.stderr[-2000:]}"
        try:
            with urllib.request.urlopen(url + "/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)  # the server is another process and tells nobody when it is ready
    pytest.fail(f"{url} is not ready after {timeout_s} s: {process.stderr[-2000:]}")
