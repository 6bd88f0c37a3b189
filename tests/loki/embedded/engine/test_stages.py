"""What each stage makes of a line: labels and text, typed from the answers of a Loki 3.7.6."""

import pytest

from apimon.errors import QueryError, UnsupportedQueryError
from apimon.loki.embedded.engine import Evaluator
from apimon.loki.logql import parse_expr
from apimon.loki.model import Direction
from tests.loki.embedded.engine.memory import MemorySource

ARRAY = "Value is array, but can't find closing ']' symbol"
OBJECT = "Value looks like object, but can't find closing '}' symbol"
STRING = "Value is string, but can't find closing '\"' symbol"
MALFORMED = "Malformed JSON error"
UNKNOWN = "Unknown value type"


def run_stages(stages: str, line: str, metadata: dict[str, str] | None = None) -> tuple[dict[str, str], str] | None:
    """Return the labels that the stages add to `{app="shop"}` and the text; None where the line is dropped."""
    source = MemorySource()
    source.add({"app": "shop"}, 5, line, metadata)
    result = Evaluator(source).run_log_query(parse_expr('{app="shop"} ' + stages), 0, 10, 10, Direction.FORWARD)
    if not result.streams:
        return None
    labels = dict(result.streams[0].labels)
    if labels.get("app") == "shop":
        del labels["app"]
    return labels, result.streams[0].entries[0].line


def labels_of(stages: str, line: str) -> dict[str, str] | None:
    kept = run_stages(stages, line)
    return kept and kept[0]


def failed(details: str, **labels: str) -> dict[str, str]:
    return {"__error__": "JSONParserErr", "__error_details__": details, **labels}


JSON = [
    ('{"a":1.50,"b":1e5,"c":-0,"d":12345678901234567890123}',
     {"a": "1.50", "b": "1e5", "c": "-0", "d": "12345678901234567890123"}),
    ('{"e":1.0,"f":true,"g":null,"h":[1],"i":{"j":{"k":"x"}},"l":""}',
     {"e": "1.0", "f": "true", "i_j_k": "x", "l": ""}),
    ('{"a":"x","a":"y"}', {"a": "x"}),
    ('{"a":{"b":1},"a_b":2}', {"a_b": "1"}),
    ('{"a-b":1,"a b":2,"1x":3,"é":4,"":5,"a.b":6}', {"_": "4", "_1x": "3", "a_b": "1"}),
    ('{"a":{"1x":1,"":2," b ":3,"é":4}}', {"a": "2", "a_1x": "1", "a__": "4", "a_b": "3"}),
    ('{"":{"b":1}}', {"b": "1"}),
    ('{" a ":1}', {"a": "1"}),
    ('{"a":1}x', {"a": "1"}),
    ('{"a":1,}', {"a": "1"}),
    ('{"a":1}{"b":2}', {"a": "1"}),
    (' {"a" : 1 , "b":  2} ', {"a": "1", "b": "2"}),
    ('{"a": 1.5, "b": 2}', {"a": "1.5", "b": "2"}),
    ('{"a":"\\u00e9\\n\\"","b":"\\ud83d\\ude00","c":"\\ud800"}', {"a": 'é\n"', "b": "😀", "c": ""}),
    ('{"a":"x\\qy","b":1}', {"a": "", "b": "1"}),
    ('{"a\\u0062":1}', {"ab": "1"}),
    ('{"a":"b\tc"}', {"a": "b\tc"}),
    ('{"a":01}', {"a": "01"}),
    ('{"a":1.}', {"a": "1."}),
    ('{"a":1e400,"b":-}', {"a": "1e400", "b": "-"}),
    ('{"a":{"b":[{"c":1}]}}', {}),
    ('{"a":"x}y","b":[1,"]"],"c":{"d":"{"}}', {"a": "x}y", "c_d": "{"}),
    ('{"app":"x"}', {"app_extracted": "x"}),
    ('{"app":1,"app_extracted":2}', {"app_extracted": "1"}),
    ('{"app_extracted":2,"app":1}', {"app_extracted": "2"}),
    ('{"__error__":"x","b":1}', {"__error__": "x", "b": "1"}),
    ('{"a":1', failed(ARRAY, a="1")),
    ('{"a":"x","b":', failed(MALFORMED, a="x")),
    ('{"a":"x",', failed(ARRAY, a="x")),
    ('{"a":{"b":1}', failed(ARRAY, a_b="1")),
    ('{"a":{"b":1', failed(OBJECT)),
    ('{"a":[1,2', failed(ARRAY)),
    ('{"a":"unterminated', failed(STRING)),
    ('{"a"', failed(MALFORMED)),
    ("{", failed(MALFORMED)),
    ("", failed(OBJECT)),
    ("[1]", failed(OBJECT)),
    ('"x"', failed(OBJECT)),
    ("null", failed(OBJECT)),
    ("foo", failed(OBJECT)),
    ('{"a":1 "b":2}', failed(OBJECT, a="1")),
    ('{"a":1,,"b":2}', failed(OBJECT, a="1")),
    ('{,"a":1}', failed(OBJECT)),
    ("{a:1}", failed(OBJECT)),
    ('{"a"=1}', failed(MALFORMED)),
    ('{"a":truex,"b":2}', failed(UNKNOWN)),
    ('{"a":1,"b":}', failed(UNKNOWN, a="1")),
    ('{"a":NaN}', failed(UNKNOWN)),
    ('{"a":{"b":tru},"c":1}', failed(UNKNOWN)),
]  # fmt: skip


@pytest.mark.parametrize(("line", "labels"), JSON)
def test_json_makes_labels_of_what_loki_reads(line: str, labels: dict[str, str]) -> None:
    assert labels_of("| json", line) == labels


def test_too_deep_json_is_malformed_and_no_crash() -> None:
    line = '{"a":' * 5000 + "1" + "}" * 5000
    assert labels_of("| json", line) == failed(OBJECT)


JSON_PATHS = [
    ('{"a":1,"b":{"c":"x"},"d":[1,{"e":2}],"n":null,"s":""}',
     {"a": "1", "bb": '{"c":"x"}', "c": "x", "d0": "1", "e": "2", "n": "", "s": "", "app_extracted": "1"}),
    ('{"zz":1}', {"a": "", "bb": "", "c": "", "d0": "", "e": "", "n": "", "s": ""}),
    ('"x"', {"a": "", "bb": "", "c": "", "d0": "", "e": "", "n": "", "s": ""}),
    ("[1]", {"a": "", "bb": "", "c": "", "d0": "", "e": "", "n": "", "s": ""}),
    ('{"a":1', {"a": "1", "bb": "", "c": "", "d0": "", "e": "", "n": "", "s": "", "app_extracted": "1"}),
    ("5", {"__error__": "JSONParserErr"}),
    ("null", {"__error__": "JSONParserErr"}),
    ("foo", {"__error__": "JSONParserErr"}),
    ("", {}),
    ('{"b":', failed(MALFORMED, a="", bb="", c="", d0="", e="", n="", s="")),
    ('{"x":1,"y":', {"a": "", "bb": "", "c": "", "d0": "", "e": "", "n": "", "s": ""}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "labels"), JSON_PATHS)
def test_json_expressions_find_values_by_path(line: str, labels: dict[str, str]) -> None:
    stage = '| json a, c="b.c", d0="d[0]", e="d[1].e", n, app="a", bb="b", s="s"'
    assert labels_of(stage, line) == labels


@pytest.mark.parametrize("path", ["", "a[", "a..b", "a[x]", "a b"])
def test_malformed_json_expression_is_refused(path: str) -> None:
    with pytest.raises(QueryError, match="json expression"):
        labels_of(f'| json x="{path}"', "{}")


LOGFMT = [
    ('a=1 b="x y" c= d e="q', {"a": "1", "b": "x y"}),
    ("a=1 a=2", {"a": "1"}),
    ("A-b=1 1x=2 é=3 a.b=4", {"A_b": "1", "_": "3", "_1x": "2", "a_b": "4"}),
    ('a="x\\n\\"y" b=\'z\'', {"a": 'x\n"y', "b": "'z'"}),
    ("a==1 b=2 c=3", {"b": "2", "c": "3"}),
    ("a=1,b=2 c=3", {"c": "3"}),
    ("=x", {}),
    ('a="x"y', {"a": "x"}),
    ('a="q"b=2', {"a": "q", "b": "2"}),
    ('"a"=1', {}),
    ('a=1"2 b=3', {"b": "3"}),
    ('a"b=1 c=2', {"c": "2"}),
    ('a=1 "b c" d=2', {"a": "1", "d": "2"}),
    ("a=1\tb=2\nc=3", {"a": "1", "b": "2", "c": "3"}),
    ('a="\\q" b=1', {"b": "1"}),
    ("a= =1 b=2", {"b": "2"}),
    ('a="unterminated b=2', {}),
    ("app=x m=5", {"m": "5", "app_extracted": "x"}),
    ("", {}),
]


@pytest.mark.parametrize(("line", "labels"), LOGFMT)
def test_logfmt_keeps_the_good_pairs(line: str, labels: dict[str, str]) -> None:
    assert labels_of("| logfmt", line) == labels


@pytest.mark.parametrize(
    ("line", "kept", "details"),
    [
        ('a=1 b="q', {"a": "1"}, "logfmt syntax error at pos 9 : unterminated quoted value"),
        ("a==1 b=2", {}, "logfmt syntax error at pos 3 : unexpected '='"),
        ("=x b=1", {}, "logfmt syntax error at pos 1 : unexpected '='"),
    ],
)
def test_strict_logfmt_stops_at_a_fault(line: str, kept: dict[str, str], details: str) -> None:
    error = {"__error__": "LogfmtParserErr", "__error_details__": details}
    assert labels_of("| logfmt --strict", line) == kept | error


def test_logfmt_keeps_empty_values_where_told_to() -> None:
    assert labels_of("| logfmt --keep-empty", 'a=1 c= d e=""') == {"a": "1", "c": "", "d": "", "e": ""}


def test_logfmt_expressions_name_their_labels_and_fill_missing_ones() -> None:
    assert labels_of('| logfmt a, x="b", c', 'a=1 b="x y"') == {"a": "1", "x": "x y", "c": ""}


NUMBERS = [("5", True), ("1e3", True), ("Inf", True), ("1_000", True), ("+8", True), ("5.", True),
           ("-7", False), (".5", False), ("NaN", False)]  # fmt: skip


@pytest.mark.parametrize(("value", "kept"), NUMBERS)
def test_number_filter_reads_go_floats(value: str, kept: bool) -> None:
    assert (labels_of("| json | a > 4", f'{{"a":"{value}"}}') is not None) is kept


@pytest.mark.parametrize("value", ["x", "", "5s", "5KB", " 5", "0x10", "true"])
def test_number_filter_marks_what_is_no_number(value: str) -> None:
    details = f'strconv.ParseFloat: parsing "{value}": invalid syntax'
    marked = {"a": value, "__error__": "LabelFilterErr", "__error_details__": details}
    assert labels_of("| json | a > 4", f'{{"a":"{value}"}}') == marked


DURATIONS = [
    ("5s", None), ("1h5m", None), ("1.5s", None), ("5µs", None), (".5s", None),
    ("5", 'time: missing unit in duration "5"'), ("x", 'time: invalid duration "x"'), ("", 'time: invalid duration ""'),
    ("1d", 'time: unknown unit "d" in duration "1d"'), (" 5s", 'time: invalid duration " 5s"'),
    ("5 s", 'time: unknown unit " s" in duration "5 s"'), ("5S", 'time: unknown unit "S" in duration "5S"'),
]  # fmt: skip


@pytest.mark.parametrize(("value", "details"), DURATIONS)
def test_duration_filter_reads_go_durations(value: str, details: str | None) -> None:
    error = {"__error__": "LabelFilterErr", "__error_details__": details} if details else {}
    assert labels_of("| json | a > 1ns", f'{{"a":"{value}"}}') == {"a": value} | error


@pytest.mark.parametrize("value", ["-5s", "0"])
def test_duration_filter_drops_what_is_less(value: str) -> None:
    assert labels_of("| json | a > 1ns", f'{{"a":"{value}"}}') is None


SIZES = [
    ("5KB", None), ("5", None), ("5 kb", None), ("1.5KiB", None), ("1,000", None), (".5KB", None), ("5K", None),
    ("x", 'strconv.ParseFloat: parsing "": invalid syntax'), ("-5B", 'strconv.ParseFloat: parsing "": invalid syntax'),
    (" 5KB ", 'strconv.ParseFloat: parsing "": invalid syntax'), ("", 'strconv.ParseFloat: parsing "": invalid syntax'),
    ("5 K B", "unhandled size name: k b"), ("1e3", "unhandled size name: e3"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "details"), SIZES)
def test_size_filter_reads_sizes_of_any_case(value: str, details: str | None) -> None:
    error = {"__error__": "LabelFilterErr", "__error_details__": details} if details else {}
    assert labels_of("| json | a > 1B", f'{{"a":"{value}"}}') == {"a": value} | error


FILTERS = [
    ("a > 4 or b = 5", '{"a":"x","b":5}', True),
    ("a > 4 or b = 5", '{"b":5}', True),
    ("a > 4 and b = 5", '{"b":5}', False),
    ("a > 4 and b = 5", '{"a":"x","b":4}', False),
    ("b = 5 or a > 4", '{"a":"x","b":4}', True),
    ("b = 5 and a > 4", '{"a":"x","b":4}', False),
    ("a > 4", '{"a":3', False),
    ("a > 4", '{"a":9', True),
    ("a > 4", '{"b":9}', False),
    ("a != 3", '{"b":9}', False),
    ('a != "3"', '{"b":9}', True),
    ('a = ""', '{"b":9}', True),
    ('a =~ ".*"', '{"b":9}', True),
    ('a =~ "x"', '{"a":"xy"}', False),
    ('a =~ "a.b"', '{"a":"a\\nb"}', False),
    ('a !~ "x.*"', '{"a":"y"}', True),
    ("a = 1.5", '{"a":1.50}', True),
    ("a > 4 | b > 3", '{"a":"x","b":1}', False),
    ('a > 4 | __error__=""', '{"a":"x"}', False),
    ('a > 4 | __error__!=""', '{"a":6', True),
    ('__error__="" | a > 4', '{"a":6', False),
]


@pytest.mark.parametrize(("condition", "line", "kept"), FILTERS)
def test_label_filter_keeps_or_drops(condition: str, line: str, kept: bool) -> None:
    assert (labels_of(f"| json | {condition}", line) is not None) is kept


LINE_FILTERS = [
    ('|= "b" or "c"', True), ('|= "x"', False), ('|= ""', True), ('!= ""', False), ('!= "x" or "a"', False),
    ('|~ "A"', False), ('|~ "(?i)A"', True), ('!~ "x" or "b"', False), ('|~ "a.b"', False), ('|~ "(?s)a.b"', True),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "kept"), LINE_FILTERS)
@pytest.mark.parametrize("before", ["", "| logfmt "], ids=["in the store", "in a stage"])
def test_line_filter_keeps_or_drops(before: str, stage: str, kept: bool) -> None:
    assert (run_stages(before + stage, "a\nb") is not None) is kept


LABELS = [
    ("| json | drop __error__", '{"a":"x"', {"a": "x", "__error_details__": ARRAY}),
    ("| json | drop __error__, __error_details__", '{"a":"x"', {"a": "x"}),
    ("| json | keep a", '{"a":"x","b":1}', {"a": "x"}),
    ("| json | keep a", '{"a":"x","b":1', failed(ARRAY, a="x")),
    ('| json | keep b, a="x"', '{"a":"x","b":1,"c":2}', {"a": "x", "b": "1"}),
    ('| json | keep b, a="x"', '{"a":6}', {}),
    ('| json | drop b, a="x", app', '{"a":"x","b":1,"app":4}', {"app_extracted": "4"}),
    ('| json | drop a!="x", b=~"[12]"', '{"a":"x","b":1}', {"a": "x"}),
    ('| json a="a" | drop a | json', '{"a":"x","b":1}', {"a": "x", "b": "1"}),
    ('| json b="a" | json', '{"a":"x","b":2}', {"a": "x", "b": "x"}),
    ('| json | line_format "{{.n}}" | logfmt', '{"m":1,"n":"m=5 k=6"}', {"k": "6", "m": "1", "n": "m=5 k=6"}),
]  # fmt: skip


@pytest.mark.parametrize(("stages", "line", "labels"), LABELS)
def test_stages_change_labels_in_order(stages: str, line: str, labels: dict[str, str]) -> None:
    assert labels_of(stages, line) == labels


def test_metadata_is_a_label_and_keeps_its_name() -> None:
    kept = run_stages('| json | m="meta"', '{"m":"1","n":2}', {"m": "meta"})
    assert kept == ({"m": "meta", "m_extracted": "1", "n": "2"}, '{"m":"1","n":2}')


TEMPLATES = [
    ("{{.a}}-{{ .b }} {{.missing}}|{{.__error__}}", '{"a":"x","b":"<&>"}', "x-<&> |"),
    ("{{- .b -}}  q {{.a}} {{/* c */}}", '{"a":"x","b":"y"}', "yq x "),
    ('{{`x`}} {{"y"}} {{.app}}', "{}", "x y shop"),
    ("", '{"a":1}', ""),
    ("<{{__line__}}>", '{"a":1}', '<{"a":1}>'),
    ("{{.a}}", '{"a":1.50}', "1.50"),
]


@pytest.mark.parametrize(("template", "line", "text"), TEMPLATES)
def test_line_format_fills_plain_fields(template: str, line: str, text: str) -> None:
    kept = run_stages(f"| json | line_format `{template}`" if "`" not in template else
                      "| json | line_format " + '"{{`x`}} {{\\"y\\"}} {{.app}}"', line)  # fmt: skip
    assert kept is not None
    assert kept[1] == text


@pytest.mark.parametrize(
    ("stages", "named"),
    [
        ('| line_format "{{.a | ToUpper}}"', "ToUpper"),
        ('| label_format a=b', "label_format"),
        ('| pattern "<a> <_>"', "pattern"),
        ('| regexp "(?P<a>x)"', "regexp"),
        ("| unpack", "unpack"),
        ("| decolorize", "decolorize"),
        ('|> "<_>x"', r"\|>"),
        ('|= ip("10.0.0.1")', "ip"),
        ('| a = ip("10.0.0.1")', "ip"),
    ],
)  # fmt: skip
def test_what_is_not_evaluated_yet_is_refused_by_name(stages: str, named: str) -> None:
    with pytest.raises(UnsupportedQueryError, match=named):
        run_stages(stages, "x")


def test_unclosed_template_is_refused() -> None:
    with pytest.raises(QueryError, match="not closed"):
        run_stages('| line_format "{{.a"', "x")
