"""What the server's process loads before it is ready."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["apimon.loki.embedded.server", "apimon.commands.loki"])
def test_what_opens_the_store_is_there_before_aiohttp(module: str) -> None:
    code = f"import sys, {module}; print('aiohttp' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert printed == "False\n"
