"""Binary operators between tables: which series meet, and what the result is called."""

from collections.abc import Callable
from dataclasses import dataclass

from apimon.errors import QueryError
from apimon.loki.embedded.engine.arithmetic import Combine
from apimon.loki.embedded.engine.table import LabelKey, Table
from apimon.loki.logql.nodes import BinaryOp, GroupSide, VectorMatching

_ALL = VectorMatching(on=False, labels=())

Signature = Callable[[LabelKey], LabelKey]


def combine_sets(op: BinaryOp, left: Table, right: Table, matching: VectorMatching | None) -> Table:
    """Return `left and|or|unless right`: values stay as they are."""
    sign = _compile_signature(matching or _ALL)
    if op is BinaryOp.OR:
        present = _present(left, sign)
        result = {key: dict(points) for key, points in left.items()}
        for key, points in right.items():
            taken = present.get(sign(key), set())
            added = {index: value for index, value in points.items() if index not in taken}
            if added:
                result[key] = result.get(key, {}) | added
        return result
    present = _present(right, sign)
    wanted = op is BinaryOp.AND
    kept = {
        key: {index: value for index, value in points.items() if (index in present.get(sign(key), ())) is wanted}
        for key, points in left.items()
    }
    return {key: points for key, points in kept.items() if points}


def combine_tables(combine: Combine, left: Table, right: Table, matching: VectorMatching | None) -> Table:
    """Return the operator on the series that match.

    Raises QueryError where more than one series of a side meet at a step and no `group_left` or `group_right` says
    that this side may be many.
    """
    matching = matching or _ALL
    swapped = matching.group is GroupSide.RIGHT
    many, one = (right, left) if swapped else (left, right)
    sign = _compile_signature(matching)
    partners = _single(one, sign)
    result = _Result(grouped=matching.group is not GroupSide.NONE)
    for key, points in many.items():
        for index, value in points.items():
            partner = partners.get((sign(key), index))
            if partner is None:
                continue
            partner_key, other = partner
            combined = combine(other, value) if swapped else combine(value, other)
            if combined is not None:
                result.add(_name(key, partner_key, matching), index, combined)
    return result.table


@dataclass(slots=True)
class _Result:
    grouped: bool
    table: Table

    def __init__(self, *, grouped: bool) -> None:
        self.grouped = grouped
        self.table = {}

    def add(self, key: LabelKey, index: int, value: float) -> None:
        points = self.table.setdefault(key, {})
        if index in points:
            raise _many(key, "multiple matches for labels: grouping labels must ensure unique matches")
        points[index] = value


def _name(many: LabelKey, one: LabelKey, matching: VectorMatching) -> LabelKey:
    """Return the labels of a result: the shared ones, or all of the "many" side with those to include."""
    if matching.group is GroupSide.NONE:
        return tuple(pair for pair in many if (pair[0] in matching.labels) == matching.on)
    included = dict(one)
    named = {name: value for name, value in many if name not in matching.include}
    named |= {name: included[name] for name in matching.include if name in included}
    return tuple(sorted(named.items()))


def _compile_signature(matching: VectorMatching) -> Signature:
    known: dict[LabelKey, LabelKey] = {}

    def sign(key: LabelKey) -> LabelKey:
        signature = known.get(key)
        if signature is None:
            signature = tuple(pair for pair in key if (pair[0] in matching.labels) == matching.on)
            known[key] = signature
        return signature

    return sign


def _present(table: Table, sign: Signature) -> dict[LabelKey, set[int]]:
    present: dict[LabelKey, set[int]] = {}
    for key, points in table.items():
        present.setdefault(sign(key), set()).update(points)
    return present


def _single(table: Table, sign: Signature) -> dict[tuple[LabelKey, int], tuple[LabelKey, float]]:
    """Return the one series of each signature and step, with its value."""
    partners: dict[tuple[LabelKey, int], tuple[LabelKey, float]] = {}
    for key, points in table.items():
        signature = sign(key)
        for index, value in points.items():
            if partners.setdefault((signature, index), (key, value))[0] != key:
                raise _many(signature, "found duplicate series on one side of the operation")
    return partners


def _many(key: LabelKey, what: str) -> QueryError:
    shown = ", ".join(f'{name}="{value}"' for name, value in key)
    return QueryError(f"{what} for {{{shown}}}: many-to-one matching must be explicit (group_left/group_right)")
