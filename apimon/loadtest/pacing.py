"""When users act: think time and back-off. Pure arithmetic, no clock and no loop."""

from dataclasses import dataclass
from random import Random

_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 1.0


@dataclass(frozen=True)
class ThinkTime:
    """Seconds between two iterations of a user: evenly drawn from `low_s` to `high_s`."""

    low_s: float = 0.0
    high_s: float = 0.0

    def draw_s(self, random: Random) -> float:
        """Return the next pause; draws nothing where there is no choice."""
        if self.low_s == self.high_s:
            return self.low_s
        return random.uniform(self.low_s, self.high_s)


def backoff_s(failures: int) -> float:
    """Return the wait after the n-th connection error in a row, n >= 1: 100 ms, doubling up to 1 s."""
    return float(min(_FIRST_BACKOFF_S * 2 ** min(failures - 1, 10), _LONGEST_BACKOFF_S))
