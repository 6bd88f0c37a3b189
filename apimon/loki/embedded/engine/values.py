"""Numbers, durations and sizes as Go's libraries read them from a label; all raise ValueError in Go's words."""

import math
import re
from fractions import Fraction

from apimon.loki.logql.literals import parse_size
from apimon.loki.model import quote
from apimon.units import NS_PER_S

_UNITS_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": NS_PER_S}
_UNITS_NS |= {"m": 60 * NS_PER_S, "h": 3600 * NS_PER_S}
_DURATION = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)[^0-9.]+)+|[+-]?0")
_DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]+)")
_MAX_NS = 2**63 - 1


def parse_number(text: str) -> float:
    """Return what `strconv.ParseFloat` does: no space, no hexadecimal integer; a number out of range is an error."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax") from None
    if text != text.strip() or not text.isascii():
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax")
    if math.isinf(value) and "n" not in text.lower():
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return value


def parse_duration_label_ns(text: str) -> int:
    """Return the nanoseconds that `time.ParseDuration` reads: units from h down to ns, a sign, and a bare 0."""
    if not _DURATION.fullmatch(text):
        missing_unit = re.fullmatch(r"[+-]?[0-9.]*[0-9][0-9.]*", text) is not None
        raise ValueError(f"time: {'missing unit in' if missing_unit else 'invalid'} duration {quote(text)}")
    total = Fraction()
    for number, unit in _DURATION_PART.findall(text):
        if unit not in _UNITS_NS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total += Fraction(number) * _UNITS_NS[unit]
    if total > _MAX_NS:
        raise ValueError(f"time: invalid duration {quote(text)}")
    return -int(total) if text.startswith("-") else int(total)


def parse_duration_label_s(text: str) -> float:
    """Return the seconds of a duration."""
    return parse_duration_label_ns(text) / NS_PER_S


def parse_size_label(text: str) -> float:
    """Return the bytes of `1.5KB`, `5 kib` or `1,000`."""
    if not text or not (text[0].isdecimal() or text[0] in ".,"):
        raise ValueError('strconv.ParseFloat: parsing "": invalid syntax')
    try:
        return float(parse_size(text))
    except ValueError:
        unit = text.lstrip("0123456789.,").strip().lower()
        raise ValueError(f"unhandled size name: {unit}") from None
