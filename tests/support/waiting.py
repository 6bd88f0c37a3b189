"""Waiting for what another process does and tells nobody: asked again until it is so, or until time is up."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until_equal(ask: Callable[[], T], expected: T, timeout_s: float = 15) -> None:
    """Ask until the answer is `expected`; fails with the last answer."""
    deadline = time.monotonic() + timeout_s
    while (answer := ask()) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer == expected
