"""The stages of a pipeline as functions of a line that say whether it is kept."""

from collections.abc import Callable

from apimon.errors import UnsupportedQueryError
from apimon.loki.embedded.engine.json_paths import parse_path, read_paths
from apimon.loki.embedded.engine.json_scanner import JsonFaultError
from apimon.loki.embedded.engine.line import ERROR, ERROR_DETAILS, LogLine
from apimon.loki.embedded.engine.logfmt import LogfmtFaultError, read_pairs
from apimon.loki.embedded.engine.naming import sanitize_name
from apimon.loki.embedded.engine.predicates import compile_predicate, compile_text_test, predicate_names
from apimon.loki.embedded.engine.template import Template
from apimon.loki.logql.nodes import (
    DropExpr,
    JsonExpr,
    KeepExpr,
    LabelFilterExpr,
    LineFilterExpr,
    LineFormatExpr,
    LineOp,
    LogfmtExpr,
    Matcher,
    StageExpr,
)
from apimon.loki.logql.regex import compile_regex

Stage = Callable[[LogLine], bool]


def compile_stage(stage: StageExpr) -> Stage:
    """Return the stage as a function; raises UnsupportedQueryError naming what is not evaluated yet."""
    match stage:
        case LineFilterExpr():
            return _compile_line_filter(stage)
        case LabelFilterExpr():
            return compile_predicate(stage.predicate)
        case JsonExpr():
            return _extract_json(stage) if stage.extractions else _parse_json
        case LogfmtExpr():
            return _extract_logfmt(stage) if stage.extractions else _parse_logfmt(stage)
        case LineFormatExpr():
            return _compile_line_format(stage)
        case DropExpr():
            return _compile_drop(stage)
        case KeepExpr():
            return _compile_keep(stage)
        case _:
            raise UnsupportedQueryError(f"the stage '{stage}' is not supported yet")


def stage_names(stage: StageExpr) -> set[str]:
    """Return the labels that the stage reads."""
    match stage:
        case LabelFilterExpr():
            return predicate_names(stage.predicate)
        case LineFormatExpr():
            return set(Template(stage.template).fields)
        case _:
            return set()


def is_parser(stage: StageExpr) -> bool:
    """Whether the stage makes labels of the line."""
    return isinstance(stage, JsonExpr | LogfmtExpr)


def is_plain(line_filter: LineFilterExpr) -> bool:
    """Whether a store can apply the filter: strings and regular expressions, neither `ip()` nor a pattern."""
    return line_filter.op not in {LineOp.PATTERN, LineOp.NOT_PATTERN} and not any(
        term.is_ip for term in line_filter.terms
    )


def _compile_line_filter(line_filter: LineFilterExpr) -> Stage:
    if not is_plain(line_filter):
        raise UnsupportedQueryError(f"the line filter '{line_filter}' is not supported yet: use |= or |~")
    values = tuple(term.value for term in line_filter.terms)
    match line_filter.op:
        case LineOp.CONTAINS:
            return lambda line: any(value in line.text for value in values)
        case LineOp.NOT_CONTAINS:
            return lambda line: not any(value in line.text for value in values)
    tests = tuple(compile_regex(value).matches for value in values)
    wanted = line_filter.op is LineOp.REGEX
    return lambda line: any(test(line.text) for test in tests) is wanted


def _parse_json(line: LogLine) -> bool:
    line.parse_json()
    return True


def _extract_json(stage: JsonExpr) -> Stage:
    paths = [parse_path(extraction.path) for extraction in stage.extractions]
    names = [extraction.name for extraction in stage.extractions]

    def keep(line: LogLine) -> bool:
        line.settle()
        if not line.text or not line.needs_labels:
            return True
        try:
            values = read_paths(line.text, paths)
        except JsonFaultError as fault:
            line.fail("JSONParserErr", str(fault))
            values = [None] * len(names) if str(fault) else []
        for name, value in zip(names, values, strict=False):
            line.extract_named(name, value)
        return True

    return keep


def _parse_logfmt(stage: LogfmtExpr) -> Stage:
    def keep(line: LogLine) -> bool:
        if not line.needs_labels:
            return True
        line.settle()
        try:
            for key, value in read_pairs(line.text, strict=stage.strict):
                if value or stage.keep_empty:
                    line.extract(sanitize_name(key), value)
        except LogfmtFaultError as fault:
            line.fail("LogfmtParserErr", str(fault))
        return True

    return keep


def _extract_logfmt(stage: LogfmtExpr) -> Stage:
    # Unlike without extractions, the last one of a key counts, and the last one of a path.
    names = {extraction.path: extraction.name for extraction in stage.extractions}

    def keep(line: LogLine) -> bool:
        line.settle()
        found: dict[str, str] = {}
        try:
            for key, value in read_pairs(line.text, strict=stage.strict):
                if key in names:
                    found[names[key]] = value
        except LogfmtFaultError as fault:
            line.fail("LogfmtParserErr", str(fault))
        for extraction in stage.extractions:
            line.replace(extraction.name, found.get(extraction.name, ""))
        return True

    return keep


def _compile_line_format(stage: LineFormatExpr) -> Stage:
    template = Template(stage.template)

    def keep(line: LogLine) -> bool:
        text = template.render(line)
        line.settle()  # what is still unparsed belongs to the old text
        line.text = text
        return True

    return keep


_SPECIAL = (ERROR, ERROR_DETAILS)


def _compile_drop(stage: DropExpr) -> Stage:
    tests = [_compile_label_test(item) for item in stage.labels]

    def keep(line: LogLine) -> bool:
        for name, test in tests:
            value = line.get(name)
            if value is not None and test(value):
                line.delete(name)
        return True

    return keep


def _compile_keep(stage: KeepExpr) -> Stage:
    tests = [_compile_label_test(item) for item in stage.labels]

    def keep(line: LogLine) -> bool:
        kept = {name for name, test in tests if test(line.get(name) or "")}
        for name in line.names():
            if name not in kept and name not in _SPECIAL:
                line.delete(name)
        return True

    return keep


def _compile_label_test(item: str | Matcher) -> tuple[str, Callable[[str], bool]]:
    if isinstance(item, str):
        return item, lambda _value: True
    return item.name, compile_text_test(item)
