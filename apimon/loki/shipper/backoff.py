"""When to try again: pure arithmetic, no clock and no sleeping."""

import random
from collections.abc import Callable

LONGEST_RETRY_AFTER_S = 300.0
"""A server that asks for more than this is asked again after this."""


class Backoff:
    """Doubling delays with jitter: each is drawn from the upper half of its step, so that processes spread out."""

    def __init__(self, first_s: float, longest_s: float, draw: Callable[[], float] = random.random) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._draw = draw
        self._failures = 0

    def reset(self) -> None:
        """Forget the failures so far: a push came through."""
        self._failures = 0

    def next_delay_s(self, retry_after_s: float | None = None) -> float:
        """Return the seconds to wait after one more failure; never less than the server asked for (`Retry-After`)."""
        # The exponent is capped: an outage of days must not overflow a float.
        step_s = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 60))
        self._failures += 1
        delay_s = step_s * (0.5 + self._draw() / 2)
        if retry_after_s is None:
            return delay_s
        return max(delay_s, min(retry_after_s, LONGEST_RETRY_AFTER_S))
