"""The values of LogQL's literals: strings, numbers, durations, sizes, ranges. All raise ValueError."""

import re

from apimon.units import NS_PER_S, parse_duration_ns

_ESCAPE = re.compile(rb"\\(?:([abfnrtv\\\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))")
_SHORT = dict(zip(b'abfnrtv\\"', b'\a\b\f\n\r\t\v\\"', strict=True))
_RANGE = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_RANGE_UNITS_NS = (*(seconds * NS_PER_S for seconds in (365 * 86_400, 7 * 86_400, 86_400, 3600, 60, 1)), 1_000_000)
_SIZE = re.compile(r"\s*([\d.]+)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)
_MAX_NS = 2**63 - 1


def unquote(literal: str) -> str:
    """Return the text of a string in double quotes or backticks, by Go's rules: `x` and octal escapes are bytes."""
    if literal[0] == "`":
        return literal[1:-1].replace("\r", "")
    if "\\" not in literal:
        return literal[1:-1]
    return _ESCAPE.sub(_unescape, literal[1:-1].encode("utf-8")).decode("utf-8", "replace")


def _unescape(match: re.Match[bytes]) -> bytes:
    short, hexadecimal, octal, code, long_code, unknown = match.groups()
    if unknown is not None:
        raise ValueError("invalid char escape")
    if short:
        return bytes([_SHORT[short[0]]])
    if hexadecimal or octal:
        byte = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
        if byte > 0xFF:
            raise ValueError("invalid char escape")
        return bytes([byte])
    point = int(code or long_code, 16)
    if point > 0x10FFFF:
        raise ValueError("invalid char escape")
    return chr(point).encode("utf-8", "replace") if not 0xD800 <= point <= 0xDFFF else "\ufffd".encode()


def parse_signed_duration_ns(text: str) -> int:
    """Return the nanoseconds of `1h30m` or `-5m`."""
    value = -parse_duration_ns(text[1:]) if text.startswith("-") else parse_duration_ns(text)
    if abs(value) > _MAX_NS:
        raise ValueError(f"invalid duration {text!r}: out of range")
    return value


def parse_range_ns(literal: str) -> int:
    """Return the nanoseconds of a window such as `[1h30m]`: whole numbers, units from large to small, down to ms."""
    text = literal[1:-1]
    match = _RANGE.fullmatch(text)
    if match is None or not text:
        if text == "0":
            return 0
        raise ValueError("empty duration string" if not text else f'not a valid duration string: "{text}"')
    value = sum(int(count or 0) * unit for count, unit in zip(match.groups(), _RANGE_UNITS_NS, strict=True))
    if value > _MAX_NS:
        raise ValueError("duration out of range")
    return value


_SIZE_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgtpe", start=1):
    _SIZE_UNITS |= {_letter: 1000**_power, f"{_letter}b": 1000**_power}
    _SIZE_UNITS |= {f"{_letter}i": 1024**_power, f"{_letter}ib": 1024**_power}


def parse_size(text: str) -> int:
    """Return the bytes of `1.5KB` (powers of 1000) or `1.5KiB` (powers of 1024), any case, cut to a whole number."""
    match = _SIZE.fullmatch(text.replace(",", ""))
    if match is None or match[2].lower() not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a byte size")
    size = int(float(match[1]) * _SIZE_UNITS[match[2].lower()])
    if size > 2**64 - 1:
        raise ValueError(f"too large: {text}")
    return size
