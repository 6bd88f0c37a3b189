"""The fast way through orjson says exactly what the scanner says, or leaves the line to it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from apimon.loki.embedded.engine.json_fields import InexactError, load_document
from apimon.loki.embedded.engine.json_scanner import scan_object
from apimon.loki.embedded.engine.line import LogLine
from apimon.loki.embedded.engine.naming import join_name

keys = st.sampled_from(["a", "b", "a_b", "status", "a-b", "1x", "", "é", "duration_ms", '"', "b:"]) | st.text(
    max_size=4
)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8) | st.just('":'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
objects = st.dictionaries(keys, values, max_size=6)
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")])


def scan(text: str) -> list[tuple[str, str]]:
    fields = []
    for path, value in scan_object(text):
        name = ""
        for key in path:
            name = join_name(name, key)
        fields.append((name, value))
    return fields


def dump(members: object, separators: tuple[str, str], *, ascii_only: bool) -> str:
    return json.dumps(members, separators=separators, ensure_ascii=ascii_only)


@given(objects, separators, st.booleans())
def test_flattened_document_is_what_the_scanner_reads(
    members: dict[str, object], separators: tuple[str, str], ascii_only: bool
) -> None:
    text = dump(members, separators, ascii_only=ascii_only)
    document = load_document(text)
    if document is None:
        return
    try:
        fields = document.flatten()
    except InexactError:
        return
    assert fields == scan(text)


@given(objects, separators, keys)
def test_found_label_is_the_one_that_flattening_gives(
    members: dict[str, object], separators: tuple[str, str], name: str
) -> None:
    row = ({"app": "shop"}, 1, dump(members, separators, ascii_only=True), {"status": "meta"})
    lazy, eager = LogLine(), LogLine()
    for line in (lazy, eager):
        line.load(row)
        line.parse_json()
    eager.settle()
    assert lazy.get(name) == eager.get(name)
    assert lazy.merged() == eager.merged()


@given(st.dictionaries(st.sampled_from("abc"), numbers, min_size=1))
def test_number_is_the_one_that_its_text_says(members: dict[str, float]) -> None:
    line = LogLine()
    line.load(({}, 1, json.dumps(members), {}))
    line.parse_json()
    for name, value in members.items():
        assert line.get_number(name) == float(value)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), min_size=1, max_size=5), st.booleans())
def test_first_of_duplicate_keys_counts(pairs: list[tuple[str, int]], nested: bool) -> None:
    inner = "{" + ",".join(f'"{key}":{value}' for key, value in pairs) + "}"
    line = LogLine()
    line.load(({}, 1, f'{{"n":{inner}}}' if nested else inner, {}))
    line.parse_json()
    first = dict(reversed(pairs))
    assert {name: line.get(f"n_{name}" if nested else name) for name in first} == {
        name: str(value) for name, value in first.items()
    }


@given(st.text(max_size=30) | st.text('{}[]",:\\ 1tnu', max_size=30))
def test_any_text_is_read_or_marked(text: str) -> None:
    line = LogLine()
    line.load(({}, 1, text, {}))
    line.parse_json()
    line.merged()
    assert line.failed == ("__error__" in line.merged())
