"""What is asked of a label: the matchers of a selector, and the predicates of a label filter.

`str(node)` is LogQL that parses back to an equal node, as in `log_nodes`.
"""

from dataclasses import dataclass
from enum import StrEnum

from apimon.loki.model import quote
from apimon.units import format_duration_ns


class MatchOp(StrEnum):
    """How a matcher compares a label with a string; regular expressions are RE2 and anchored at both ends."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


class CompareOp(StrEnum):
    """How a label filter compares a label's value with a number, duration or byte size."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="


def format_number(value: float) -> str:
    """Return the shortest LogQL number that parses back to `value`, whole numbers without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label compared with a string. A label that is missing compares as the empty string."""

    name: str
    op: MatchOp
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.op}{quote(self.value)}"


@dataclass(frozen=True, slots=True)
class NumberPredicate:
    """A label's value compared as a number."""

    name: str
    op: CompareOp
    value: float

    def __str__(self) -> str:
        return f"{self.name}{self.op}{format_number(self.value)}"


@dataclass(frozen=True, slots=True)
class DurationPredicate:
    """A label's value, such as `250ms`, compared as a duration."""

    name: str
    op: CompareOp
    value_ns: int

    def __str__(self) -> str:
        return f"{self.name}{self.op}{format_duration_ns(self.value_ns)}"


@dataclass(frozen=True, slots=True)
class BytesPredicate:
    """A label's value, such as `1.5KB`, compared as a byte size."""

    name: str
    op: CompareOp
    value: int

    def __str__(self) -> str:
        size = f"{self.value}B" if self.value else "0KB"  # Loki reads 0B as the beginning of a binary number
        return f"{self.name}{self.op}{size}"


@dataclass(frozen=True, slots=True)
class IpPredicate:
    """A label's value compared with an address, range or network."""

    name: str
    op: MatchOp
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.op}ip({quote(self.value)})"


@dataclass(frozen=True, slots=True)
class AndPredicate:
    """Both predicates hold. Where the left one doesn't, the right one isn't looked at."""

    left: "Predicate"
    right: "Predicate"

    def __str__(self) -> str:
        return f"({self.left} and {self.right})"


@dataclass(frozen=True, slots=True)
class OrPredicate:
    """One of the predicates holds. Where the left one does, the right one isn't looked at."""

    left: "Predicate"
    right: "Predicate"

    def __str__(self) -> str:
        return f"({self.left} or {self.right})"


Predicate = Matcher | NumberPredicate | DurationPredicate | BytesPredicate | IpPredicate | AndPredicate | OrPredicate


@dataclass(frozen=True, slots=True)
class LabelFilterExpr:
    """`| status_code >= 500 and method="GET"`: keeps a line whose labels satisfy the predicate."""

    predicate: Predicate

    def __str__(self) -> str:
        return f"| {self.predicate}"
