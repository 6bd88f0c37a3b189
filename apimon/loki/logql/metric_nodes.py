"""The nodes of a metric query. `str(node)` is LogQL that parses back to an equal node."""

from dataclasses import dataclass
from enum import StrEnum

from apimon.loki.logql.label_nodes import LabelFilterExpr, format_number
from apimon.loki.logql.log_nodes import PipelineExpr
from apimon.loki.model import quote
from apimon.units import format_duration_ns


class RangeOp(StrEnum):
    """The range aggregations."""

    COUNT = "count_over_time"
    RATE = "rate"
    RATE_COUNTER = "rate_counter"
    BYTES = "bytes_over_time"
    BYTES_RATE = "bytes_rate"
    SUM = "sum_over_time"
    AVG = "avg_over_time"
    MIN = "min_over_time"
    MAX = "max_over_time"
    STDDEV = "stddev_over_time"
    STDVAR = "stdvar_over_time"
    QUANTILE = "quantile_over_time"
    FIRST = "first_over_time"
    LAST = "last_over_time"
    ABSENT = "absent_over_time"


class VectorOp(StrEnum):
    """The aggregations over the series of a vector."""

    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    COUNT = "count"
    STDDEV = "stddev"
    STDVAR = "stdvar"
    TOPK = "topk"
    BOTTOMK = "bottomk"
    APPROX_TOPK = "approx_topk"
    SORT = "sort"
    SORT_DESC = "sort_desc"


class BinaryOp(StrEnum):
    """The binary operators."""

    OR = "or"
    AND = "and"
    UNLESS = "unless"
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    POW = "^"
    EQUAL = "=="
    NOT_EQUAL = "!="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="

    @property
    def is_set(self) -> bool:
        """Whether the operator combines vectors by label set, values untouched."""
        return self in {BinaryOp.OR, BinaryOp.AND, BinaryOp.UNLESS}

    @property
    def is_comparison(self) -> bool:
        """Whether the operator compares: it filters, or gives 0 and 1 with `bool`."""
        return self.value[0] in "=!<>"


class Conversion(StrEnum):
    """How `unwrap` reads a label's value; NUMBER is the plain form."""

    NUMBER = ""
    BYTES = "bytes"
    DURATION = "duration"
    DURATION_SECONDS = "duration_seconds"


class GroupSide(StrEnum):
    """The "many" side of a vector matching."""

    NONE = ""
    LEFT = "group_left"
    RIGHT = "group_right"


@dataclass(frozen=True, slots=True)
class UnwrapExpr:
    """`| unwrap duration_ms | __error__=""`: the label whose value is the sample, and the filters after it."""

    name: str
    conversion: Conversion = Conversion.NUMBER
    filters: tuple[LabelFilterExpr, ...] = ()

    def __str__(self) -> str:
        label = f"{self.conversion}({self.name})" if self.conversion else self.name
        return " ".join([f"| unwrap {label}", *map(str, self.filters)])


@dataclass(frozen=True, slots=True)
class RangeExpr:
    """A log query over a window `(t − range − offset, t − offset]`; a negative offset looks ahead."""

    pipeline: PipelineExpr
    range_ns: int
    offset_ns: int = 0
    unwrap: UnwrapExpr | None = None

    def __str__(self) -> str:
        parts = [str(self.pipeline), str(self.unwrap or ""), f"[{format_duration_ns(self.range_ns)}]"]
        if self.offset_ns:
            parts.append(f"offset {format_duration_ns(self.offset_ns)}")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Grouping:
    """`by (names)` or `without (names)`."""

    names: tuple[str, ...] = ()
    without: bool = False

    def __str__(self) -> str:
        return f"{'without' if self.without else 'by'} ({', '.join(self.names)})"


@dataclass(frozen=True, slots=True)
class RangeAggregationExpr:
    """One value a series and step from the entries of a window; `parameter` is the quantile's."""

    op: RangeOp
    range: RangeExpr
    parameter: float | None = None
    grouping: Grouping | None = None

    def __str__(self) -> str:
        parameter = "" if self.parameter is None else f"{format_number(self.parameter)}, "
        return f"{self.op}({parameter}{self.range})" + (f" {self.grouping}" if self.grouping else "")


@dataclass(frozen=True, slots=True)
class VectorAggregationExpr:
    """The series of a vector put together by group; `parameter` is the k of topk and bottomk."""

    op: VectorOp
    operand: "MetricExpr"
    parameter: int | None = None
    grouping: Grouping | None = None

    def __str__(self) -> str:
        grouping = f" {self.grouping} " if self.grouping else ""
        parameter = "" if self.parameter is None else f"{self.parameter}, "
        return f"{self.op}{grouping}({parameter}{self.operand})"


@dataclass(frozen=True, slots=True)
class VectorMatching:
    """Which series of both sides meet: those equal `on` the labels, or equal `ignoring` them."""

    on: bool
    labels: tuple[str, ...]
    group: GroupSide = GroupSide.NONE
    include: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{'on' if self.on else 'ignoring'} ({', '.join(self.labels)})"
        return f"{text} {self.group} ({', '.join(self.include)})" if self.group else text


@dataclass(frozen=True, slots=True)
class BinaryExpr:
    """Two operands under an operator; `returns_bool` is the `bool` modifier."""

    op: BinaryOp
    left: "MetricExpr"
    right: "MetricExpr"
    returns_bool: bool = False
    matching: VectorMatching | None = None

    def __str__(self) -> str:
        modifiers = [self.op.value, "bool" if self.returns_bool else "", str(self.matching or "")]
        return f"({self.left} {' '.join(part for part in modifiers if part)} {self.right})"


@dataclass(frozen=True, slots=True)
class LiteralExpr:
    """A scalar."""

    value: float

    def __str__(self) -> str:
        return format_number(self.value)


@dataclass(frozen=True, slots=True)
class VectorExpr:
    """`vector(1)`: one series without labels."""

    value: float

    def __str__(self) -> str:
        return f"vector({format_number(self.value)})"


@dataclass(frozen=True, slots=True)
class LabelReplaceExpr:
    """`label_replace(v, "target", "$1", "source", "(.*)")`."""

    operand: "MetricExpr"
    target: str
    replacement: str
    source: str
    pattern: str

    def __str__(self) -> str:
        strings = (self.target, self.replacement, self.source, self.pattern)
        return f"label_replace({self.operand}, {', '.join(map(quote, strings))})"


MetricExpr = RangeAggregationExpr | VectorAggregationExpr | BinaryExpr | LiteralExpr | VectorExpr | LabelReplaceExpr
Expr = PipelineExpr | MetricExpr
