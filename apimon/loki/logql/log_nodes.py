"""The nodes of a log query: a selector and the stages after it.

`str(node)` is LogQL that parses back to an equal node: every string is quoted by `model.quote`, so that no value can
end its string. Build queries from these nodes, never from text.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from apimon.loki.model import quote
from apimon.units import format_duration_ns


class MatchOp(StrEnum):
    """How a matcher compares a label with a string; regular expressions are RE2 and anchored at both ends."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


class LineOp(StrEnum):
    """How a line filter looks at the line; regular expressions are RE2 and match anywhere."""

    CONTAINS = "|="
    NOT_CONTAINS = "!="
    REGEX = "|~"
    NOT_REGEX = "!~"
    PATTERN = "|>"
    NOT_PATTERN = "!>"


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
class SelectorExpr:
    """A stream selector; a stream must satisfy every matcher."""

    matchers: tuple[Matcher, ...]

    def __str__(self) -> str:
        return "{" + ", ".join(map(str, self.matchers)) + "}"


@dataclass(frozen=True, slots=True)
class LineTerm:
    """One alternative of a line filter: a string, or `ip("10.0.0.0/8")`."""

    value: str
    is_ip: bool = False

    def __str__(self) -> str:
        return f"ip({quote(self.value)})" if self.is_ip else quote(self.value)


@dataclass(frozen=True, slots=True)
class LineFilterExpr:
    """A line filter with its alternatives: `|= "a" or "b"` keeps a line with one of them, `!=` one with none."""

    op: LineOp
    terms: tuple[LineTerm, ...]

    @classmethod
    def of(cls, op: LineOp, *values: str) -> "LineFilterExpr":
        """Return the filter of plain strings."""
        return cls(op, tuple(LineTerm(value) for value in values))

    def __str__(self) -> str:
        return f"{self.op} " + " or ".join(map(str, self.terms))


@dataclass(frozen=True, slots=True)
class Extraction:
    """A label and the expression that finds its value in the line: `first="servers[0]"`."""

    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.name}={quote(self.path)}"


@dataclass(frozen=True, slots=True)
class JsonExpr:
    """`| json`: every field, flattened with `_`, or the named extractions only."""

    extractions: tuple[Extraction, ...] = ()

    def __str__(self) -> str:
        return " ".join(["| json", ", ".join(map(str, self.extractions))]).rstrip()


@dataclass(frozen=True, slots=True)
class LogfmtExpr:
    """`| logfmt`: every `key=value` pair, or the named extractions only."""

    extractions: tuple[Extraction, ...] = ()
    strict: bool = False
    keep_empty: bool = False

    def __str__(self) -> str:
        flags = " --strict" * self.strict + " --keep-empty" * self.keep_empty
        return " ".join([f"| logfmt{flags}", ", ".join(map(str, self.extractions))]).rstrip()


@dataclass(frozen=True, slots=True)
class RegexpExpr:
    """`| regexp`: the named groups of an RE2 expression become labels."""

    pattern: str

    def __str__(self) -> str:
        return f"| regexp {quote(self.pattern)}"


@dataclass(frozen=True, slots=True)
class PatternExpr:
    """`| pattern`: the `<name>` captures of a pattern become labels."""

    pattern: str

    def __str__(self) -> str:
        return f"| pattern {quote(self.pattern)}"


@dataclass(frozen=True, slots=True)
class UnpackExpr:
    """`| unpack`: the inverse of Promtail's pack stage."""

    def __str__(self) -> str:
        return "| unpack"


@dataclass(frozen=True, slots=True)
class DecolorizeExpr:
    """`| decolorize`: ANSI colour sequences are removed from the line."""

    def __str__(self) -> str:
        return "| decolorize"


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


@dataclass(frozen=True, slots=True)
class LineFormatExpr:
    """`| line_format`: the line becomes what the template gives."""

    template: str

    def __str__(self) -> str:
        return f"| line_format {quote(self.template)}"


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """One assignment of `label_format`: a template, or the label that is renamed to `name`."""

    name: str
    source: str
    is_rename: bool = False

    def __str__(self) -> str:
        return f"{self.name}={self.source if self.is_rename else quote(self.source)}"


@dataclass(frozen=True, slots=True)
class LabelFormatExpr:
    """`| label_format a=b, c="{{.d}}"`: labels are renamed and set."""

    formats: tuple[LabelFormat, ...]

    def __str__(self) -> str:
        return "| label_format " + ", ".join(map(str, self.formats))


@dataclass(frozen=True, slots=True)
class DropExpr:
    """`| drop a, b="c"`: removes labels, by name or where a matcher holds."""

    labels: tuple[str | Matcher, ...]

    def __str__(self) -> str:
        return "| drop " + ", ".join(map(str, self.labels))


@dataclass(frozen=True, slots=True)
class KeepExpr:
    """`| keep a, b="c"`: removes all other labels."""

    labels: tuple[str | Matcher, ...]

    def __str__(self) -> str:
        return "| keep " + ", ".join(map(str, self.labels))


ParserExpr = JsonExpr | LogfmtExpr | RegexpExpr | PatternExpr | UnpackExpr
StageExpr = (
    LineFilterExpr
    | ParserExpr
    | LabelFilterExpr
    | LineFormatExpr
    | LabelFormatExpr
    | DropExpr
    | KeepExpr
    | DecolorizeExpr
)


@dataclass(frozen=True, slots=True)
class PipelineExpr:
    """A log query: a selector and its stages, in order.

    LogQL has no text for `drop` or `keep` that ends in a name, followed by a line filter `!=` or `!~`: it reads as a
    matcher of that name. Put another stage between them.
    """

    selector: SelectorExpr
    stages: tuple[StageExpr, ...] = field(default=())

    def __str__(self) -> str:
        return " ".join(map(str, (self.selector, *self.stages)))
