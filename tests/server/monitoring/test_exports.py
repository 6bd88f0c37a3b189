"""What `import apimon` offers, and that it costs nothing until it is used."""

import subprocess
import sys

import pytest

import apimon


def test_exports_are_sorted_and_there() -> None:
    assert apimon.__all__ == ["AsyncLokiClient", "LokiMonitoringMiddleware", "PerformanceCollector"]
    assert [getattr(apimon, name).__name__ for name in apimon.__all__] == apimon.__all__
    assert set(apimon.__all__) <= set(dir(apimon))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Middelware"):
        apimon.Middelware  # noqa: B018 - the access is the test


def test_importing_the_package_imports_no_room_of_it() -> None:
    script = "import sys, apimon; print(*(name for name in sys.modules if name.startswith('apimon.')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
