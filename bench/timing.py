"""What the bench scripts share: rounds that take turns, medians, and the one line that a comparison prints."""

import statistics
import time
from collections.abc import Callable, Mapping

Figure = Callable[[], float]
"""Does the work once and returns its figure: seconds, CPU-seconds, a rate."""


def timed(work: Callable[[], object]) -> Figure:
    """Return a figure that is the wall time of `work` in seconds."""

    def measure() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return measure


def medians(contenders: Mapping[str, Figure], rounds: int) -> dict[str, float]:
    """Return each contender's median over `rounds` in which they take turns, after one that doesn't count.

    Taking turns spreads what the machine does meanwhile over all of them.
    """
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(rounds + 1):
        for name, measure in contenders.items():
            figure = measure()
            if round_number:
                figures[name].append(figure)
    return {name: statistics.median(values) for name, values in figures.items()}


def ratio_line(what: str, ours: float, peer: float, *, peer_name: str, unit: str) -> str:
    """Return `what: ratio × peer (ours unit : peer unit)`."""
    ratio = ours / peer if peer else float("nan")
    return f"{what}: {ratio:.3g} × {peer_name} ({ours:.4g} : {peer:.4g} {unit})"


def alone_line(what: str, ours: float, *, unit: str) -> str:
    """Return the line of a figure whose peer isn't there."""
    return f"{what}: {ours:.4g} {unit}"
