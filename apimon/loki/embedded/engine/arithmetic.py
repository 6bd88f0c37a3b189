"""The binary operators on numbers: division and modulo by zero are NaN, a comparison keeps or drops."""

import math
import operator
from collections.abc import Callable

from apimon.loki.logql.nodes import BinaryOp

_COMPARE: dict[BinaryOp, Callable[[float, float], bool]] = {
    BinaryOp.EQUAL: operator.eq,
    BinaryOp.NOT_EQUAL: operator.ne,
    BinaryOp.GREATER: operator.gt,
    BinaryOp.GREATER_OR_EQUAL: operator.ge,
    BinaryOp.LESS: operator.lt,
    BinaryOp.LESS_OR_EQUAL: operator.le,
}


def _divide(left: float, right: float) -> float:
    return math.nan if right == 0 else left / right


def _modulo(left: float, right: float) -> float:
    if right == 0 or math.isinf(left):
        return math.nan
    return math.fmod(left, right)


def _raise(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and right % 2 == 1 else math.inf
    except ValueError:
        # By IEEE 754, as in Go: a negative base with a fraction has no power, 0 to a negative one is infinite.
        if left != 0:
            return math.nan
        return math.copysign(math.inf, left) if right % 2 == 1 else math.inf


_CALCULATE: dict[BinaryOp, Callable[[float, float], float]] = {
    BinaryOp.ADD: operator.add,
    BinaryOp.SUB: operator.sub,
    BinaryOp.MUL: operator.mul,
    BinaryOp.DIV: _divide,
    BinaryOp.MOD: _modulo,
    BinaryOp.POW: _raise,
}

Combine = Callable[[float, float], float | None]


def compile_operator(op: BinaryOp, *, returns_bool: bool) -> Combine:
    """Return the operator on two values; a comparison without `bool` gives the left value, or None for no value."""
    if not op.is_comparison:
        return _CALCULATE[op]
    compare = _COMPARE[op]
    if returns_bool:
        return lambda left, right: 1.0 if compare(left, right) else 0.0
    return lambda left, right: left if compare(left, right) else None


def combine_scalars(op: BinaryOp, left: float, right: float) -> float:
    """Return the operator on two scalars, of which a comparison always gives 0 or 1."""
    value = compile_operator(op, returns_bool=True)(left, right)
    return math.nan if value is None else value
