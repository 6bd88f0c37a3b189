import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.model import LABEL_NAME, Direction, Entry, ResultType, format_labels, labels_key, quote

ESCAPE = re.compile(r'\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(["\\nrt]))')
SHORT = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def unquote(text: str) -> str:
    """Read a Go string literal in double quotes, as far as `quote` writes them."""
    assert text[0] == text[-1] == '"'
    return ESCAPE.sub(lambda m: SHORT[m[4]] if m[4] else chr(int(m[1] or m[2] or m[3], 16)), text[1:-1])


@given(st.text())
def test_a_quoted_value_reads_as_itself(value: str) -> None:
    assert unquote(quote(value)) == value


@given(st.text())
def test_no_value_breaks_out_of_its_quotes(value: str) -> None:
    inside = ESCAPE.sub("", quote(value)[1:-1])
    assert '"' not in inside
    assert "\\" not in inside
    assert inside.isprintable()


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("two\nlines\tand\rmore", r'"two\nlines\tand\rmore"'),
        ("\x00\x1b", r'"\x00\x1b"'),
        ("高效能 é 🐢", '"高效能 é 🐢"'),
        ("\u2028\u00ad\U000e0001", r'"\u2028\u00ad\U000e0001"'),
        ("'`{}", '"\'`{}"'),
        ("", '""'),
    ],
)
def test_values_are_quoted_as_go_does(value: str, quoted: str) -> None:
    assert quote(value) == quoted


def test_a_label_set_is_the_same_in_any_order() -> None:
    one, other = {"b": "2", "a": "1"}, {"a": "1", "b": "2"}
    assert labels_key(one) == labels_key(other) == (("a", "1"), ("b", "2"))
    assert format_labels(one) == format_labels(other) == '{a="1", b="2"}'


def test_an_empty_label_set_prints_as_braces() -> None:
    assert format_labels({}) == "{}"


@pytest.mark.parametrize("name", ["a", "_", "__error__", "status_code", "A1"])
def test_label_names_of_prometheus_are_label_names(name: str) -> None:
    assert LABEL_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a.b", "ü", "a b", "a\n", "٣"])
def test_anything_else_is_no_label_name(name: str) -> None:
    assert not LABEL_NAME.fullmatch(name)


def test_names_on_the_wire_are_lokis() -> None:
    assert [str(direction) for direction in Direction] == ["forward", "backward"]
    assert [str(kind) for kind in ResultType] == ["streams", "vector", "matrix", "scalar"]


def test_entries_do_not_share_their_metadata() -> None:
    assert Entry(1, "a").metadata is not Entry(2, "b").metadata
