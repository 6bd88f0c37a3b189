"""What the evaluation asks of a store: entries in time order and, where it can, whole windows counted in columns.

The evaluation never sees SQL, and the store never sees a stage.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, runtime_checkable

from apimon.loki.logql.nodes import LineFilterExpr, Matcher
from apimon.loki.model import Direction, Labels

Row = tuple[Labels, int, str, Labels]
"""Labels of the stream (one shared object a stream while a select runs), Unix ns, line, structured metadata."""

Batch = Sequence[Row]
"""Some rows; a store chooses how many, so that a query with a small limit doesn't read much more than it needs."""

Bucket = tuple[Labels, list[tuple[int, float]]]
"""A stream's labels with its (step's Unix ns, value) pairs, oldest first; a step whose window is empty is left out."""


class EntrySource(Protocol):
    """A store of log entries."""

    def select(
        self,
        matchers: Sequence[Matcher],
        start_ns: int,
        end_ns: int,
        *,
        line_filters: Sequence[LineFilterExpr],
        direction: Direction,
    ) -> Iterator[Batch]:
        """Yield the entries of `[start_ns, end_ns)` whose stream satisfies every matcher and whose line every filter.

        Rows come in time order of the direction; entries of one timestamp in the order they were inserted, which a
        backward select turns round as well: so does Loki 3.7.6. The caller may
        stop pulling at any batch and then drops the iterator.
        """
        ...


@runtime_checkable
class ColumnSource(EntrySource, Protocol):
    """A store that also counts windows by itself."""

    def bucket(
        self,
        matchers: Sequence[Matcher],
        line_filters: Sequence[LineFilterExpr],
        start_ns: int,
        end_ns: int,
        range_ns: int,
        step_ns: int,
        aggregate: Literal["count", "bytes"],
    ) -> list[Bucket] | None:
        """Return, for each stream and each step t of `start_ns, start_ns + step_ns, … ≤ end_ns`, entries or bytes.

        The window of a step is `(t − range_ns, t]`. Streams are told apart by labels and structured metadata merged,
        as the evaluation of rows does. Bytes are those of the lines in UTF-8. None where the store can't give exactly
        what the evaluation of rows gives.
        """
        ...
