"""The wheel in an empty environment: nothing of this checkout, only the wheel and what its lock file names."""

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from apimon import __version__
from tests.support.loki_http import LokiHttp
from tests.support.lokis import listening_url
from tests.support.processes import running

pytestmark = pytest.mark.network

ROOT = Path(__file__).parent.parent
# Read at import: every test has a HOME of its own, and pip's cache is in the real one.
_PIP_CACHE = subprocess.run(
    [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True
).stdout.strip()


@dataclass(frozen=True)
class Installed:
    """The wheel, and the environment it is installed in."""

    wheel: Path
    bin: Path
    env: Mapping[str, str]

    def run(self, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / args[0]), *args[1:]],
            env={**os.environ, **self.env},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it into an environment that has nothing else, not even pip."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--cache-dir", _PIP_CACHE, "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    into = [*pip, "--python", str(folder / "venv/bin/python"), "install", "--no-compile", "--no-deps"]
    subprocess.run([*into, "--require-hashes", "-r", str(ROOT / "requirements.lock")], check=True)
    subprocess.run([*into, "--no-index", str(wheel)], check=True)
    return Installed(wheel, folder / "venv/bin", {"PYTHONPATH": "", "VIRTUAL_ENV": ""})


def test_the_wheel_holds_every_file_of_the_package(installed: Installed) -> None:
    packed = {name for name in zipfile.ZipFile(installed.wheel).namelist() if name.startswith("apimon/")}
    files = [path for path in (ROOT / "apimon").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.relative_to(ROOT).as_posix() for path in files} == packed
    assert "apimon/py.typed" in packed


def test_the_wheel_brings_its_licence_and_no_tests(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert [name for name in names if name.endswith("/licenses/LICENSE")]
    assert {name.partition("/")[0] for name in names} == {"apimon", f"apimon-{__version__}.dist-info"}


def test_the_lock_satisfies_what_the_wheel_requires(installed: Installed, tmp_path: Path) -> None:
    pip_check = [sys.executable, "-m", "pip", "--python", str(installed.bin / "python"), "check"]
    done = subprocess.run(pip_check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("command", [("apimon",), ("python", "-m", "apimon")])
def test_script_and_module_run(installed: Installed, tmp_path: Path, command: tuple[str, ...]) -> None:
    done = installed.run(*command, "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"apimon {__version__}\n", "")


def test_what_the_contract_lets_people_import_is_there(installed: Installed, tmp_path: Path) -> None:
    script = (
        "import apimon; from apimon import AsyncLokiClient, LokiMonitoringMiddleware, PerformanceCollector;"
        "print(apimon.__file__)"
    )
    done = installed.run("python", "-W", "error", "-c", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed.bin.parent)


def test_the_installed_server_starts_stores_and_parses(installed: Installed, tmp_path: Path) -> None:
    with running(str(installed.bin / "apimon"), "loki", "--port", "0", "--memory", env=installed.env) as process:
        loki = LokiHttp(listening_url(process))
        assert loki.push([({"app": "wheel"}, [[str(time.time_ns()), '{"a": 1}']])]).status == 204
        assert loki.lines('{app="wheel"} | json | a = 1') == ['{"a": 1}']
        assert process.stop() == 0
