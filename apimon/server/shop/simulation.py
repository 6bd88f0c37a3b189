"""Simulated delays and shortages, all from one seeded source.

Draws depend on the seed, the worker's number and the order of the requests only: a client that sends its requests
one after the other sees the same delays and shortages in every run. A delay is drawn even where the scale makes it
nothing, so that `--delay-scale 0` does not move the shortages.
"""

import asyncio
import random


class Simulation:
    """The source of one worker: `seed` None is a new one for every start; `stock_failure` is a share, 0 to 1."""

    def __init__(
        self, *, seed: int | None = None, worker: int = 0, delay_scale: float = 1.0, stock_failure: float = 0.1
    ) -> None:
        # A string seeds through SHA-512: neighbouring seeds and workers give unrelated sequences.
        self._random = random.Random(None if seed is None else f"{seed}/{worker}")  # noqa: S311 - not a secret
        self._delay_scale = delay_scale
        self._stock_failure = stock_failure

    def draw_delay_s(self, low_ms: int, high_ms: int) -> float:
        """Return the next delay between the two bounds, scaled, in seconds."""
        return self._random.uniform(low_ms, high_ms) / 1000 * self._delay_scale

    def draw_out_of_stock(self) -> bool:
        """Return whether the next purchase meets a shortage."""
        return self._random.random() < self._stock_failure

    async def delay(self, low_ms: int, high_ms: int) -> None:
        """Wait for the next delay between the two bounds."""
        delay_s = self.draw_delay_s(low_ms, high_ms)
        if delay_s > 0:
            await asyncio.sleep(delay_s)
