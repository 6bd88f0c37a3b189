"""What every test gets: no settings of the machine, a working directory and a HOME of its own."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.fixtures import embedded_loki, real_loki

__all__ = ["embedded_loki", "real_loki"]

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
settings.load_profile("default")

_SETTINGS = ("LOKI_", "APIMON_", "SERVICE_NAME", "ENVIRONMENT")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's settings out and the tests' files in: `.env`, data folder and HOME are the test's own."""
    for name in list(os.environ):
        if name.startswith(_SETTINGS):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("APIMON_DATA_DIR", str(home / "data"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
