"""Label filters as functions of a line. A label that doesn't parse keeps the line, marked; a missing one drops it."""

import operator
from collections.abc import Callable

from apimon.errors import UnsupportedQueryError
from apimon.loki.embedded.engine.line import LogLine
from apimon.loki.embedded.engine.values import parse_duration_label_ns, parse_number, parse_size_label
from apimon.loki.logql.nodes import (
    AndPredicate,
    BytesPredicate,
    CompareOp,
    DurationPredicate,
    IpPredicate,
    Matcher,
    MatchOp,
    NumberPredicate,
    OrPredicate,
    Predicate,
)
from apimon.loki.logql.regex import Regex

Keep = Callable[[LogLine], bool]

_COMPARE: dict[CompareOp, Callable[[float, float], bool]] = {
    CompareOp.EQUAL: operator.eq,
    CompareOp.NOT_EQUAL: operator.ne,
    CompareOp.GREATER: operator.gt,
    CompareOp.GREATER_OR_EQUAL: operator.ge,
    CompareOp.LESS: operator.lt,
    CompareOp.LESS_OR_EQUAL: operator.le,
}


def compile_predicate(predicate: Predicate) -> Keep:
    """Return the function that keeps or drops a line. Raises UnsupportedQueryError for `ip()`."""
    match predicate:
        case Matcher():
            return _compile_matcher(predicate)
        case NumberPredicate():
            return _compile_number(predicate)
        case DurationPredicate():
            return _compile_comparison(predicate.name, predicate.op, predicate.value_ns, parse_duration_label_ns)
        case BytesPredicate():
            return _compile_comparison(predicate.name, predicate.op, predicate.value, parse_size_label)
        case AndPredicate():
            left, right = compile_predicate(predicate.left), compile_predicate(predicate.right)
            return lambda line: left(line) and right(line)
        case OrPredicate():
            left, right = compile_predicate(predicate.left), compile_predicate(predicate.right)
            return lambda line: left(line) or right(line)
        case IpPredicate():
            raise UnsupportedQueryError("the label filter ip() is not supported yet: compare with =~")


def predicate_names(predicate: Predicate) -> set[str]:
    """Return the labels that the predicate reads."""
    if isinstance(predicate, AndPredicate | OrPredicate):
        return predicate_names(predicate.left) | predicate_names(predicate.right)
    return {predicate.name}


def compile_text_test(matcher: Matcher) -> Callable[[str], bool]:
    """Return the matcher as a function of a label's value, the empty string where it is missing."""
    value = matcher.value
    if matcher.op is MatchOp.EQUAL:
        return lambda text: text == value
    if matcher.op is MatchOp.NOT_EQUAL:
        return lambda text: text != value
    if not value:  # to Loki the empty expression finds itself in everything
        return lambda _text: matcher.op is MatchOp.REGEX
    # Unlike in a selector, a dot does not cross lines here.
    matches = _remember(Regex(f"^(?:{value})$", anchored=False).matches)
    return matches if matcher.op is MatchOp.REGEX else lambda text: not matches(text)


def _compile_matcher(matcher: Matcher) -> Keep:
    name, test = matcher.name, compile_text_test(matcher)
    return lambda line: test(line.get(name) or "")


_MAX_REMEMBERED = 1000


def _remember(matches: Callable[[str], bool]) -> Callable[[str], bool]:
    """Labels repeat: an answer is given twice without asking RE2 again."""
    known: dict[str, bool] = {}

    def recall(text: str) -> bool:
        answer = known.get(text)
        if answer is None:
            answer = matches(text)
            if len(known) < _MAX_REMEMBERED:
                known[text] = answer
        return answer

    return recall


def _compile_comparison(name: str, op: CompareOp, value: float, parse: Callable[[str], float]) -> Keep:
    compare = _COMPARE[op]

    def keep(line: LogLine) -> bool:
        text = line.get(name)
        if text is None:
            return False
        try:
            number = parse(text)
        except ValueError as exc:
            line.fail("LabelFilterErr", str(exc))
            return True
        return compare(number, value)

    return keep


def _compile_number(predicate: NumberPredicate) -> Keep:
    compare, name, value = _COMPARE[predicate.op], predicate.name, predicate.value

    def keep(line: LogLine) -> bool:
        number = line.get_number(name)
        if number is None:
            return False
        if isinstance(number, str):
            try:
                number = parse_number(number)
            except ValueError as exc:
                line.fail("LabelFilterErr", str(exc))
                return True
        return compare(number, value)

    return keep
