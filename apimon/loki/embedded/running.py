"""Run queries in threads of their own, each over a view of the store, within a time limit, cancelled when unwanted."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from apimon.errors import ApimonError
from apimon.loki.embedded.selection import QueryCancelledError, StoreSource
from apimon.loki.embedded.store import Store

T = TypeVar("T")

_THREADS = 4


class QueryTimeoutError(ApimonError):
    """A query that took longer than it may."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(
            f"request timed out after {timeout_s:g} s, decrease the duration of the request or add more label matchers "
            "(prefer exact match over regex match) to reduce the amount of data processed"
        )


@dataclass(frozen=True, slots=True)
class ReadStats:
    """What a query cost."""

    seconds: float
    lines: int
    bytes: int

    def summary(self, entries_returned: int) -> Mapping[str, object]:
        """Return Loki's `stats` object, as far as its parts mean something here."""
        rate = 1 / self.seconds if self.seconds else 0.0
        return {
            "summary": {
                "bytesProcessedPerSecond": int(self.bytes * rate),
                "linesProcessedPerSecond": int(self.lines * rate),
                "totalBytesProcessed": self.bytes,
                "totalLinesProcessed": self.lines,
                "execTime": round(self.seconds, 6),
                "queueTime": 0,
                "subqueries": 0,
                "totalEntriesReturned": entries_returned,
                "splits": 0,
                "shards": 0,
                "totalPostFilterLines": self.lines,
                "totalStructuredMetadataBytesProcessed": 0,
            }
        }


class QueryRunner:
    """The threads that evaluate."""

    def __init__(self, store: Store, timeout_s: float) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="query")

    async def run(self, work: Callable[[StoreSource], T]) -> tuple[T, ReadStats]:
        """Return what `work` returns for a fresh source; raises QueryTimeoutError.

        Cancelling the caller interrupts the work.
        """
        source = StoreSource(self._store)
        started = time.monotonic()

        def evaluate() -> T:
            try:
                return work(source)
            finally:
                source.close()

        future = asyncio.get_running_loop().run_in_executor(self._pool, evaluate)
        future.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await asyncio.shield(future)
        except TimeoutError:
            source.cancel()
            raise QueryTimeoutError(self._timeout_s) from None
        except asyncio.CancelledError:
            source.cancel()
            raise
        except QueryCancelledError:
            raise QueryTimeoutError(self._timeout_s) from None
        return result, ReadStats(time.monotonic() - started, source.lines_read, source.bytes_read)

    def close(self) -> None:
        """Wait for the queries that run."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _retrieve(future: "asyncio.Future[T]") -> None:
    # The exception of work that nobody waits for any more is not news.
    if not future.cancelled():
        future.exception()
