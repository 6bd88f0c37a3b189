"""Go's regular expressions by RE2, which no pattern can make hang. Needs re2 only when a pattern is compiled."""

from functools import lru_cache
from typing import TYPE_CHECKING

from apimon.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Regex:
    """A compiled RE2 expression over text; `matches` looks anywhere in it unless the expression is anchored."""

    __slots__ = ("_search", "names", "pattern")

    def __init__(self, pattern: str, *, anchored: bool) -> None:
        import re2

        options = re2.Options()
        options.log_errors = False
        try:
            compiled = re2.compile(f"^(?s:{pattern})$" if anchored else pattern, options)
        except re2.error as exc:
            reason = exc.args[0].decode("utf-8", "replace").split(": ")[0]
            raise QueryError(f"parse error : error parsing regexp: {reason}: `{pattern}`") from None
        self.pattern = pattern
        self.names: Sequence[str] = sorted(compiled.groupindex, key=compiled.groupindex.__getitem__)
        self._search: Callable[[bytes], object | None] = compiled.search

    def matches(self, text: str) -> bool:
        """Whether the expression is found in `text`."""
        # Bytes: for a str the wrapper walks it twice more to translate offsets that nobody asks for.
        return self._search(text.encode("utf-8", "replace")) is not None


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> Regex:
    """Return the expression that looks anywhere, as line filters do. Raises QueryError."""
    return Regex(pattern, anchored=False)


@lru_cache(maxsize=256)
def compile_anchored(pattern: str) -> Regex:
    """Return the expression that must take the whole text, dots crossing lines, as matchers do. Raises QueryError."""
    return Regex(pattern, anchored=True)
