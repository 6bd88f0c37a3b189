"""Durations, byte sizes and times as people write them, to numbers and back.

Pure arithmetic: no clock is read here, a caller passes the time it means.
"""

import re
from datetime import UTC, datetime

NS_PER_S = 1_000_000_000

_DURATION_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
    "w": 7 * 86_400 * NS_PER_S,
    "y": 365 * 86_400 * NS_PER_S,
}
# Digits are ASCII (\d alone takes those of every script), and no more of them than any duration needs.
_BARE_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?|\.[0-9]{1,18}")
_DURATION_PART = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?|\.[0-9]{1,18})(ns|us|µs|μs|ms|s|m|h|d|w|y)")
_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def parse_duration_ns(text: str) -> int:
    """Return the nanoseconds of `250ms`, `10s`, `1h30m` or a bare number of seconds; never negative.

    Exact: a float would lose nanoseconds from 104 days on. Raises ValueError with the allowed form.
    """
    stripped = text.strip()
    if _BARE_NUMBER.fullmatch(stripped):
        return _scale(stripped, NS_PER_S)
    total, position = 0, 0
    for match in _DURATION_PART.finditer(stripped):
        if match.start() != position:
            break
        total += _scale(match[1], _DURATION_UNITS_NS[match[2]])
        position = match.end()
    if not stripped or position != len(stripped):
        raise ValueError(f"{text!r} is not a duration: write 250ms, 10s, 5m, 1h30m or a number of seconds")
    return total


def _scale(number: str, unit_ns: int) -> int:
    whole, _, fraction = number.partition(".")
    divisor = int("1" + "0" * len(fraction))
    return (2 * int(whole + fraction) * unit_ns + divisor) // (2 * divisor)


def parse_duration_s(text: str) -> float:
    """Return the seconds of a duration, in the same forms as `parse_duration_ns`."""
    return parse_duration_ns(text) / NS_PER_S


def format_duration_ns(duration_ns: int) -> str:
    """Return the shortest exact form, largest unit first: `1h30m`, `250ms`, `0s`."""
    if duration_ns < 0:
        return "-" + format_duration_ns(-duration_ns)
    parts, rest = [], duration_ns
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        count, rest = divmod(rest, _DURATION_UNITS_NS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_rfc3339_ns(text: str) -> int:
    """Return Unix nanoseconds of an RFC 3339 time; digits past the ninth are cut. Raises ValueError."""
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time: write 2026-01-31T12:00:00Z")
    date, clock, fraction, zone = match.groups()
    whole = datetime.fromisoformat(f"{date}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    since_epoch = whole - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since_epoch.days * 86_400 + since_epoch.seconds
    return seconds * NS_PER_S + int((fraction or "0").ljust(9, "0"))


def format_rfc3339_ns(timestamp_ns: int) -> str:
    """Return Unix nanoseconds as RFC 3339 in UTC, always with nine digits."""
    seconds, fraction = divmod(timestamp_ns, NS_PER_S)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{fraction:09d}Z"


def format_bytes(size: int) -> str:
    """Return a size as people read it, in powers of 1000: `999B`, `1.5KB`, `2.0GB`."""
    value = float(size)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{size}B" if unit == "B" else f"{value:.1f}{unit}"
        value /= 1000
    raise AssertionError("unreachable: the last unit takes every size")
