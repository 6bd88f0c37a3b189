"""The nodes of a log query: a selector and the stages after it.

`str(node)` is LogQL that parses back to an equal node: every string is quoted by `model.quote`, so that no value can
end its string. Build queries from these nodes, never from text.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from apimon.loki.logql.label_nodes import LabelFilterExpr, Matcher
from apimon.loki.model import quote


class LineOp(StrEnum):
    """How a line filter looks at the line; regular expressions are RE2 and match anywhere."""

    CONTAINS = "|="
    NOT_CONTAINS = "!="
    REGEX = "|~"
    NOT_REGEX = "!~"
    PATTERN = "|>"
    NOT_PATTERN = "!>"


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
