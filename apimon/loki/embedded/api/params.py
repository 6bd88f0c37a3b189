"""The parameters of a request as Loki reads them, from the query string and the form, with its defaults."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from multidict import MultiDict, MultiMapping

from apimon.errors import UsageError
from apimon.loki.embedded.limits import QueryLimits
from apimon.loki.model import Direction
from apimon.loki.wire.encoding_flags import CATEGORIZE_LABELS, FLAGS_HEADER
from apimon.units import NS_PER_S, parse_duration_ns, parse_rfc3339_ns

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_MAX_NS = (1 << 63) - 1
_DEFAULT_RANGE_NS = 3600 * NS_PER_S
_DEFAULT_STEPS = 250


async def read_params(request: web.Request) -> MultiMapping[str]:
    """Return the query string's parameters, a form's behind them."""
    if request.method != "POST":
        return request.query
    form = MultiDict(request.query)
    form.extend({name: value for name, value in (await request.post()).items() if isinstance(value, str)}.items())
    return form


def wants_categories(request: web.Request) -> bool:
    """Return whether the client asks for labels told apart by where they came from."""
    return CATEGORIZE_LABELS in request.headers.get(FLAGS_HEADER, "")


def parse_time_ns(name: str, text: str) -> int:
    """Return Unix ns: integers of up to 10 digits and floats are seconds, longer integers ns, else RFC 3339."""
    try:
        if _INTEGER.fullmatch(text):
            value = int(text)
            return _bounded(value * NS_PER_S if len(text) <= 10 else value)
        if _FLOAT.fullmatch(text):
            seconds = float(text)
            return _bounded(int(seconds) * NS_PER_S + round(seconds % 1 * 1000) * 1_000_000)
        return _bounded(parse_rfc3339_ns(text))
    except (ValueError, OverflowError):
        raise UsageError(
            f"could not parse '{name}' parameter: {text!r} is no time: use Unix s or ns, or RFC 3339"
        ) from None


def _bounded(timestamp_ns: int) -> int:
    if not -_MAX_NS <= timestamp_ns <= _MAX_NS:
        raise ValueError(timestamp_ns)
    return timestamp_ns


def parse_span_ns(name: str, text: str) -> int:
    """Return the ns of a duration or of a float of seconds; may be negative."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    try:
        if _FLOAT.fullmatch(digits):
            return sign * _bounded(round(float(digits) * NS_PER_S))
        return sign * _bounded(parse_duration_ns(digits))
    except (ValueError, OverflowError):
        raise UsageError(
            f'cannot parse "{text}" to a valid duration: {name} is 15s, 5m or a number of seconds'
        ) from None


@dataclass(frozen=True, slots=True)
class TimeRange:
    """`start_ns` inclusive, `end_ns` exclusive for logs and inclusive for metrics."""

    start_ns: int
    end_ns: int


def read_range(params: Mapping[str, str], now_ns: int, default_ns: int = _DEFAULT_RANGE_NS) -> TimeRange:
    """Return `start`, `end` and `since`; without them the last `default_ns`."""
    end_ns = parse_time_ns("end", params["end"]) if params.get("end") else now_ns
    since_ns = default_ns
    if params.get("since"):
        since_ns = parse_span_ns("since", params["since"])
    # A range that ends in the future still begins before now.
    start_ns = parse_time_ns("start", params["start"]) if params.get("start") else min(end_ns, now_ns) - since_ns
    if end_ns < start_ns:
        raise UsageError("end timestamp must not be before or equal to start time")
    return TimeRange(start_ns, end_ns)


def read_limit(params: Mapping[str, str], limits: QueryLimits) -> int:
    """Return `limit`, at least 1 and at most what the limits allow."""
    text = params.get("limit")
    if not text:
        return limits.default_entries
    if not _INTEGER.fullmatch(text):
        raise UsageError(f"limit {text!r} is no number")
    limit = int(text)
    if limit <= 0:
        raise UsageError("limit must be a positive value")
    if limit > limits.max_entries:
        raise UsageError(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query "
            f"({limit} > {limits.max_entries})"
        )
    return limit


def read_direction(params: Mapping[str, str]) -> Direction:
    """Return `direction`, backward where it is left out; the case doesn't matter."""
    text = params.get("direction") or Direction.BACKWARD
    try:
        return Direction(text.lower())
    except ValueError:
        raise UsageError(f"invalid direction '{text}'") from None


def read_step_ns(params: Mapping[str, str], times: TimeRange, limits: QueryLimits) -> int:
    """Return `step`, or the one that gives some 250 points; raises UsageError for one that gives too many."""
    if params.get("step"):
        step_ns = parse_span_ns("step", params["step"])
    else:
        step_ns = max((times.end_ns - times.start_ns) // _DEFAULT_STEPS // NS_PER_S, 1) * NS_PER_S
    if step_ns <= 0:
        raise UsageError("zero or negative query resolution step widths are not accepted. Try a positive integer")
    if (times.end_ns - times.start_ns) // step_ns > limits.max_points:
        raise UsageError(
            f"exceeded maximum resolution of {limits.max_points:,} points per time series. "
            "Try increasing the value of the step parameter"
        )
    return step_ns


def read_interval_ns(params: Mapping[str, str]) -> int:
    """Return `interval`, the least distance between two entries of a stream; 0 where it is left out."""
    interval_ns = parse_span_ns("interval", params["interval"]) if params.get("interval") else 0
    if interval_ns < 0:
        raise UsageError("interval must be >= 0")
    return interval_ns
