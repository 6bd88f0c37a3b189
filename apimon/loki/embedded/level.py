"""`detected_level`: the structured metadata that Loki adds to an entry, found as Loki 3.7.6 was seen to find it.

The stream's labels come first, then the entry's metadata, then the line: its fields as JSON or logfmt, then the first
word in it that is a level.
"""

import re

import orjson

from apimon.loki.model import Labels

DETECTED_LEVEL = "detected_level"

_LABEL_NAMES = (
    "level", "LEVEL", "Level", "log.level", "severity", "SEVERITY", "Severity", "SEVERITY_TEXT", "lvl", "LVL", "Lvl",
    "severity_text", "SeverityText",
)  # fmt: skip
_LOGFMT_NAMES = ("level", "log.level", "severity", "severitytext", "lvl", "severity_text")
_LEVELS = {
    "trace": "trace", "trc": "trace", "debug": "debug", "dbg": "debug", "info": "info", "inf": "info",
    "information": "info", "warn": "warn", "wrn": "warn", "warning": "warn", "error": "error", "err": "error",
    "critical": "critical", "fatal": "fatal",
}  # fmt: skip
_OTEL = ("trace", "debug", "info", "warn", "error", "fatal")

_WORD = re.compile(
    r"(?:^|(?<=[\"(=\[{ \t\n]))(trace|debug|info|warning|warn|error|err|critical|fatal)(?=[!\"(),:=\[\]{} \t\n]|\Z)",
    re.IGNORECASE | re.ASCII,
)
_HINT = re.compile(r"lvl|level|severity", re.IGNORECASE | re.ASCII)
_LOGFMT_PAIR = re.compile(r'([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"(?=\s|\Z)|([^\s="]*)(?=\s|\Z))', re.DOTALL)


class LevelDetector:
    """Finds the level of one stream's entries."""

    def __init__(self, labels: Labels) -> None:
        level = _from_names(labels)
        self.constant: dict[str, str] | None = None
        """What every entry of the stream gets that brings no `detected_level` of its own; None if it depends."""
        if DETECTED_LEVEL in labels:
            self.constant = {}
        elif level:
            self.constant = {DETECTED_LEVEL: level}

    def detect(self, line: str, metadata: Labels) -> dict[str, str]:
        """Return the metadata to add: nothing, or the one pair."""
        sent = metadata.get(DETECTED_LEVEL)
        if sent:
            return {DETECTED_LEVEL: _LEVELS.get(sent.lower(), sent)}
        if self.constant is not None:
            return self.constant
        return {DETECTED_LEVEL: _from_metadata(metadata) or detect_in_line(line)}


def detect_in_line(line: str) -> str:
    """Return the level that the line names, or `unknown`."""
    if _HINT.search(line):
        level = _LEVELS.get(_from_fields(line).lower())
        if level:
            return level
    word = _WORD.search(line)
    return _LEVELS[word[1].lower()] if word else "unknown"


def _from_names(labels: Labels) -> str:
    for name in _LABEL_NAMES:
        value = labels.get(name)
        if value:
            return _LEVELS.get(value.lower(), value)
    return ""


def _from_metadata(metadata: Labels) -> str:
    level = _from_names(metadata) if metadata else ""
    number = metadata.get("severity_number", "")
    if level or not number:
        return level
    try:
        code = int(number)
    except ValueError:
        return "unknown"
    if code < 1:
        return "unknown" if code == 0 else "trace"
    return _OTEL[(code - 1) // 4] if code <= 24 else "unknown"


def _from_fields(line: str) -> str:
    stripped = line.lstrip()
    if stripped.startswith("{") and '"' in stripped:
        return _from_json(stripped)
    return _from_logfmt(line)


def _from_json(text: str) -> str:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    for name, value in fields.items():
        # One level of nesting is looked into, in the order of the document.
        nested = value.items() if isinstance(value, dict) else ((name, value),)
        for key, item in nested:
            if isinstance(item, str) and key.lower() in _LOGFMT_NAMES:
                return item
    return ""


def _from_logfmt(line: str) -> str:
    found: dict[str, str] = {}
    for match in _LOGFMT_PAIR.finditer(line):
        found.setdefault(match[1].lower(), match[2] or match[3] or "")
    return next((found[name] for name in _LOGFMT_NAMES if name in found), "")
