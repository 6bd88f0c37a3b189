import logging
import logging.config

import pytest

from apimon.loki.shipper.sender import OUTAGE_MESSAGE
from apimon.server.logs import LineFormatter, ToldOutageFilter, build_log_config


def record_of(exc: BaseException | None, message: str = "Exception in ASGI application\n") -> logging.LogRecord:
    info = None if exc is None else (type(exc), exc, exc.__traceback__)
    return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, message, (), info)


def raised(message: str) -> BaseException:
    try:
        raise ValueError(message)
    except ValueError as exc:
        return exc


def test_an_exception_is_one_line() -> None:
    line = LineFormatter(tracebacks=False).format(record_of(raised("of two\nlines")))
    assert line == "apimon: Exception in ASGI application: ValueError: of two lines"


def test_a_traceback_is_printed_where_it_is_asked_for() -> None:
    lines = LineFormatter(tracebacks=True).format(record_of(raised("why"))).splitlines()
    assert lines[0] == "apimon: Exception in ASGI application: ValueError: why"
    assert lines[1] == "Traceback (most recent call last):"


def test_a_traceback_that_comes_as_a_text_is_its_last_line() -> None:
    text = 'Traceback (most recent call last):\n  File "app.py", line 1\nValueError: why\n'
    assert LineFormatter(tracebacks=False).format(record_of(None, text)) == "apimon: ValueError: why"


@pytest.mark.parametrize("message", ["it is away", "apimon: it is away"])
def test_a_line_is_signed_once(message: str) -> None:
    assert LineFormatter(tracebacks=False).format(record_of(None, message)) == "apimon: it is away"


def test_an_outage_that_was_told_is_told_again_only_once_it_was_over() -> None:
    said = ToldOutageFilter()
    outage = logging.LogRecord("apimon.shipper", logging.WARNING, "", 0, OUTAGE_MESSAGE, ("refused",), None)
    another = logging.LogRecord("apimon.shipper", logging.WARNING, "", 0, "Loki takes the records again", (), None)
    assert [bool(said.filter(record)) for record in (another, outage, another, outage)] == [True, False, True, True]


@pytest.mark.parametrize("outage_told", [False, True])
def test_warnings_of_every_logger_go_to_stderr(outage_told: bool, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logging.config.dictConfig(build_log_config(tracebacks=False, outage_told=outage_told))
        logging.getLogger("somebody").warning(OUTAGE_MESSAGE, "refused")
        logging.getLogger("somebody").warning("careful: %s", "hot")
        logging.getLogger("somebody").info("nothing to see")
    finally:
        root.handlers[:], root.level = handlers, level
    printed = capsys.readouterr()
    lines = ["apimon: records wait for Loki and are sent again: refused", "apimon: careful: hot"]
    assert (printed.err.splitlines(), printed.out) == (lines[outage_told:], "")
