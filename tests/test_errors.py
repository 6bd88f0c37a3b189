import inspect

import pytest

from apimon import errors
from apimon.errors import (
    ApimonError,
    ExitCode,
    LokiResponseError,
    LokiUnreachableError,
    QueryError,
    ScenarioError,
    SettingError,
    StoreError,
    UnreachableError,
    UnsupportedQueryError,
    UsageError,
)


def test_exit_codes_are_the_numbers_scripts_rely_on() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0, "ERROR": 1, "USAGE": 2, "UNREACHABLE": 3, "THRESHOLD_FAILED": 99, "LOAD_INTERRUPTED": 105,
        "INTERRUPTED": 130,
    }  # fmt: skip


def test_every_error_is_an_apimon_error() -> None:
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)]
    assert all(issubclass(cls, ApimonError) for cls in classes)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ApimonError("x"), 1),
        (UsageError("x"), 2),
        (SettingError("A", "b", "c"), 2),
        (QueryError("x"), 2),
        (UnsupportedQueryError("x"), 2),
        (ScenarioError("x"), 2),
        (UnreachableError("x"), 3),
        (LokiUnreachableError("http://h", "refused"), 3),
        (StoreError("x"), 1),
        (LokiResponseError(500, "boom"), 1),
        (LokiResponseError(429, "slow down"), 1),
        (LokiResponseError(400, "parse error"), 2),
    ],
)
def test_each_error_leads_to_its_exit_code(error: ApimonError, code: int) -> None:
    assert error.exit_code == code


def test_a_bad_query_answer_does_not_change_the_code_of_other_answers() -> None:
    LokiResponseError(400, "parse error")
    assert LokiResponseError(503, "away").exit_code == 1


def test_setting_error_names_variable_value_and_what_is_allowed() -> None:
    error = SettingError("APIMON_SAMPLE", "2\n3", "a number from 0 to 1")
    assert str(error) == "APIMON_SAMPLE='2\\n3' is not valid: allowed is a number from 0 to 1"


def test_a_long_answer_of_loki_becomes_one_bounded_line() -> None:
    message = str(LokiResponseError(500, "line one\nline two\n" + "x" * 10_000))
    assert message.startswith("Loki answered 500: line one line two xxx")
    assert "\n" not in message
    assert len(message) < 600


def test_the_caret_stands_under_the_column_of_the_right_line() -> None:
    error = QueryError("parse error", line=2, column=4, query='{a="b"}\n|= error')
    assert error.caret() == "|= error\n   ^"


@pytest.mark.parametrize(("line", "column"), [(0, 0), (3, 1), (-1, 1)])
def test_no_caret_where_there_is_no_such_position(line: int, column: int) -> None:
    assert QueryError("parse error", line=line, column=column, query='{a="b"}\n|= "x"').caret() == ""


def test_the_caret_may_stand_just_behind_the_query() -> None:
    assert QueryError("parse error", line=1, column=5, query="{a=b").caret() == "{a=b\n    ^"


@pytest.mark.parametrize(
    ("query", "column", "caret"),
    [
        ("{a=", 3, "  ^"),
        ("{a=", 4, "   ^"),
        ("\t{a=", 3, "\t ^"),
        ('{a="中文" b}', 9, "          ^"),  # each of the two takes two columns of a terminal
        ("", 1, "^"),
    ],
)
def test_the_caret_is_under_the_column_of_a_terminal(query: str, column: int, caret: str) -> None:
    assert QueryError("x", line=1, column=column, query=query).caret() == f"{query}\n{caret}"
