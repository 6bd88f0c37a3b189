"""`detected_level`, as a running Loki 3.7.6 was seen to find it."""

import pytest

from apimon.loki.embedded.level import LevelDetector, detect_in_line


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("plain text", "unknown"),
        ("an ERROR here", "error"),
        ("no error here", "error"),
        ("Warning: x", "warn"),
        ("info warn error", "info"),
        ("debug error fatal", "debug"),
        ("fatal crash", "fatal"),
        ("panic", "unknown"),
        ("NOTICE", "unknown"),
        ("CRIT", "unknown"),
        ("errors", "unknown"),
        ("terror", "unknown"),
        ("[ERR]", "error"),
        ("<warn>", "unknown"),
        ("error!", "error"),
        ("error;", "unknown"),
        ("x_warn", "unknown"),
        ('"warn"', "warn"),
        ("msg=error", "error"),
        ("", "unknown"),
        ("lvl=eror", "unknown"),
        ("severity=Critical foo", "critical"),
        ("level=trc", "trace"),
        ("error level=wrn", "warn"),
        ("level=weird x", "unknown"),
        ("level=x error", "error"),
        ("level= severity=wrn", "unknown"),
        ('msg="level=dbg" level=wrn', "warn"),
        ("severity=wrn level=dbg", "debug"),
        ("level=dbg log.level=wrn", "debug"),
        ("severity=dbg log.level=wrn", "warn"),
        ("lvl=dbg severitytext=wrn", "warn"),
        ("severity_text=wrn lvl=dbg", "debug"),
        ("LEVEL=dbg level=wrn", "debug"),
        ("level = wrn", "unknown"),
        ("level=wrn,", "unknown"),
        ('level=wrn"', "unknown"),
        ("level==wrn", "unknown"),
        ('{"level":"wrn"}', "warn"),
        ('  {"level":"warn"}', "warn"),
        ('{"a":{"level":"wrn"}}', "warn"),
        ('{"a":{"b":{"level":"wrn"}}}', "unknown"),
        ('{"a":[{"level":"wrn"}]}', "unknown"),
        ('{"severity":"wrn","level":"dbg"}', "warn"),
        ('{"level":null,"severity":"wrn"}', "warn"),
        ('{"level":"","severity":"wrn"}', "unknown"),
        ('{"level":"x","msg":"error"}', "error"),
        ('{"level":5}', "unknown"),
        ('{"x":1,"level":"wrn"', "unknown"),
        ('{"x":"y"} level=wrn', "unknown"),
        ("{} level=wrn", "warn"),
        ('{"msg":"error x"}', "error"),
    ],
)
def test_the_level_of_a_line(line: str, level: str) -> None:
    assert detect_in_line(line) == level


@pytest.mark.parametrize(
    ("labels", "added"),
    [
        ({"level": "WARNING"}, {"detected_level": "warn"}),
        ({"level": "WEIRD"}, {"detected_level": "WEIRD"}),
        ({"lvl": "dbg", "severity": "warn"}, {"detected_level": "warn"}),
        ({"detected_level": "warn"}, {}),
        ({"log_level": "info"}, {"detected_level": "error"}),
    ],
)
def test_labels_come_before_the_line(labels: dict[str, str], added: dict[str, str]) -> None:
    assert LevelDetector(labels).detect("plain error", {}) == added


@pytest.mark.parametrize(
    ("metadata", "level"),
    [
        ({"level": "weird"}, "weird"),
        ({"level": "ERR"}, "error"),
        ({"severity_number": "1"}, "trace"),
        ({"severity_number": "8"}, "debug"),
        ({"severity_number": "17"}, "error"),
        ({"severity_number": "24"}, "fatal"),
        ({"severity_number": "25"}, "unknown"),
        ({"severity_number": "0"}, "unknown"),
        ({"severity_number": "17", "level": "warn"}, "warn"),
        ({"detected_level": "ERR"}, "error"),
        ({"detected_level": "Weird"}, "Weird"),
        ({"other": "x"}, "unknown"),
    ],
)
def test_metadata_comes_before_the_line(metadata: dict[str, str], level: str) -> None:
    assert LevelDetector({}).detect("plain", metadata) == {"detected_level": level}


def test_labels_come_before_metadata_except_a_level_that_the_sender_detected() -> None:
    detector = LevelDetector({"level": "debug"})
    assert detector.detect("x", {"severity_number": "17"}) == {"detected_level": "debug"}
    assert detector.detect("x", {"detected_level": "warn"}) == {"detected_level": "warn"}
