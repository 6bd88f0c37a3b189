"""The presets of `query`, `tail` and `stats` (`--endpoint`, `--status`, …) as LogQL.

Queries are built from the language's nodes, which quote every value, so none can end its string. What is a label of
the record becomes a matcher; what is only in the line (path, run) a `json` stage whose labels are dropped again, so
that the entries found carry the labels they were stored with.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from apimon.errors import UsageError
from apimon.loki.logql.nodes import (
    DropExpr,
    Extraction,
    JsonExpr,
    LabelFilterExpr,
    LineFilterExpr,
    LineOp,
    Matcher,
    MatchOp,
    OrPredicate,
    PipelineExpr,
    SelectorExpr,
    StageExpr,
)
from apimon.loki.logql.parser import parse_expr

_ANY_RECORD = Matcher("service", MatchOp.REGEX, ".+")
"""Every apimon record has a service; a selector must have a matcher that the empty string doesn't satisfy."""

_PATH_LABEL = "apimon_path"
_RUN_LABEL = "apimon_run"
"""Labels of our own for what is read from the line: neither hides a stored one."""

_STATUS = re.compile(r"[1-5](?:[0-9]{2}|[xX]{2})", re.ASCII)
_RE2_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_UNESCAPED_IN_JSON = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Presets:
    """What `--endpoint`, `--status`, … were given; None where they were not."""

    endpoint: str | None = None
    """A route template (with braces), a glob (`*` crosses `/`), or a template or path."""
    status: str | None = None
    """`404`, `4xx`, or several with commas."""
    method: str | None = None
    level: str | None = None
    service: str | None = None
    run: str | None = None
    grep: str | None = None
    """Literal text anywhere in the line."""

    def __post_init__(self) -> None:
        for preset in fields(self):
            value = getattr(self, preset.name)
            if value is not None:
                check_text(f"--{preset.name}", value)


def build_query(presets: Presets, query: str | None = None) -> str:
    """Return the LogQL that finds what `presets` ask for, inside what `query` selects where one is given.

    A query without presets is returned as it is. Raises QueryError where `query` doesn't parse, and UsageError where
    it is no log query, so that presets can't be added.
    """
    if query is None:
        return str(select_records(presets))
    if presets == Presets():
        return query
    expr = parse_expr(query)
    if not isinstance(expr, PipelineExpr):
        raise UsageError(
            f"presets narrow queries that select logs, and {query!r} computes a metric: write them into its selector"
        )
    return str(add_presets(presets, expr))


def select_records(presets: Presets) -> PipelineExpr:
    """Return the log query that finds what `presets` ask for among all records."""
    return add_presets(presets, PipelineExpr(SelectorExpr(())))


def add_presets(presets: Presets, pipeline: PipelineExpr) -> PipelineExpr:
    """Return the pipeline narrowed by the presets, which see each line as it was stored, before any other stage."""
    matchers = (*pipeline.selector.matchers, *_matchers(presets))
    return PipelineExpr(SelectorExpr(matchers or (_ANY_RECORD,)), (*_stages(presets), *pipeline.stages))


def _matchers(presets: Presets) -> Iterator[Matcher]:
    if presets.service is not None:
        yield Matcher("service", MatchOp.EQUAL, presets.service)
    if presets.method is not None:
        yield Matcher("method", MatchOp.EQUAL, presets.method.upper())
    if presets.endpoint is not None and _is_template(presets.endpoint):
        yield _template_matcher(presets.endpoint)
    if presets.status is not None:
        yield _status_matcher(presets.status)
    if presets.level is not None:
        yield Matcher("level", MatchOp.EQUAL, presets.level.lower())


def _stages(presets: Presets) -> Iterator[StageExpr]:
    if presets.grep is not None:
        yield LineFilterExpr.of(LineOp.CONTAINS, presets.grep)
    if presets.run is not None and _UNESCAPED_IN_JSON.fullmatch(presets.run):
        # Any line with this run in it holds it as it is: most lines needn't be parsed.
        yield LineFilterExpr.of(LineOp.CONTAINS, presets.run)
    yield from _line_field_stages(presets)


def _line_field_stages(presets: Presets) -> Iterator[StageExpr]:
    extractions: list[Extraction] = []
    filters: list[LabelFilterExpr] = []
    if presets.run is not None:
        extractions.append(Extraction(_RUN_LABEL, "run_id"))
        filters.append(LabelFilterExpr(Matcher(_RUN_LABEL, MatchOp.EQUAL, presets.run)))
    if presets.endpoint is not None and not _is_template(presets.endpoint):
        extractions.append(Extraction(_PATH_LABEL, "path"))
        is_template = Matcher("endpoint", MatchOp.EQUAL, presets.endpoint)
        is_path = Matcher(_PATH_LABEL, MatchOp.EQUAL, presets.endpoint)
        filters.append(LabelFilterExpr(OrPredicate(is_template, is_path)))
    if not extractions:
        return
    yield JsonExpr(tuple(extractions))
    yield from filters
    # A line that is no JSON may still be of this endpoint: nor must it carry the parser's error.
    yield DropExpr((*(extraction.name for extraction in extractions), "__error__", "__error_details__"))


def _is_template(endpoint: str) -> bool:
    return any(char in endpoint for char in "{}*")


def _template_matcher(endpoint: str) -> Matcher:
    if "*" not in endpoint:
        return Matcher("endpoint", MatchOp.EQUAL, endpoint)
    pattern = ".*".join(_escape_re2(part) for part in endpoint.split("*"))
    # A selector must not match the empty string, which a lone star would.
    return Matcher("endpoint", MatchOp.REGEX, pattern if endpoint.strip("*") else ".+")


def _escape_re2(text: str) -> str:
    # re.escape knows Python's syntax, and puts backslashes before characters where RE2 refuses them.
    return _RE2_SPECIAL.sub(r"\\\g<0>", text)


def _status_matcher(status: str) -> Matcher:
    parts = [part.strip() for part in status.split(",")]
    if not all(_STATUS.fullmatch(part) for part in parts):
        raise UsageError(f"--status {status!r} is not a status: write 404, 4xx, or several as 4xx,5xx")
    if len(parts) == 1 and parts[0].isdigit():
        return Matcher("status_code", MatchOp.EQUAL, parts[0])
    return Matcher("status_code", MatchOp.REGEX, "|".join(_status_patterns(parts)))


def _status_patterns(parts: Sequence[str]) -> Iterator[str]:
    for part in dict.fromkeys(part.lower() for part in parts):
        yield part.replace("xx", "[0-9]{2}")


def check_text(option: str, value: str) -> None:
    """Raise UsageError where the value of a command line's option can be in no query: empty, or no UTF-8."""
    if not value:
        raise UsageError(f"{option} '' is empty: give it a value, or leave it out")
    try:
        value.encode()
    except UnicodeEncodeError:
        # Bytes of the command line that are no UTF-8; a log line can't hold them either.
        shown = value.encode("utf-8", "backslashreplace").decode()
        raise UsageError(f"{option} {shown!r} is not UTF-8 text: give it in the terminal's encoding") from None
