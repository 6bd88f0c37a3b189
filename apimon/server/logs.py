"""What a server says on stderr: one line an event, `apimon: …`, without tracebacks unless asked for."""

import logging
from typing import Any

from apimon.loki.shipper.sender import OUTAGE_MESSAGE


class LineFormatter(logging.Formatter):
    """One line a record: the message, and an exception's type and message; with `tracebacks` the whole of it below."""

    def __init__(self, *, tracebacks: bool) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text without an end of line."""
        exc = record.exc_info[1] if record.exc_info else None
        # Loggers that are heard without us, in the user's own app, sign for themselves.
        text = record.getMessage()
        if text.startswith("Traceback ") and not self._tracebacks:
            # An app's failure to start or to end comes as a text: its last line says what it was.
            text = text.rstrip().rpartition("\n")[2]
        message = " ".join(text.split()).removeprefix("apimon: ")
        if exc is None:
            return f"apimon: {message}"
        line = f"apimon: {message}: {type(exc).__name__}: {' '.join(str(exc).split())}"
        if not self._tracebacks or record.exc_info is None:
            return line
        return f"{line}\n{self.formatException(record.exc_info)}"


class ToldOutageFilter(logging.Filter):
    """Keeps back the shipper's first word of an outage, which the server's start has told already."""

    def __init__(self) -> None:
        super().__init__()
        self._is_due = True

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be said."""
        if self._is_due and record.msg == OUTAGE_MESSAGE:
            self._is_due = False
            return False
        return True


def build_log_config(*, tracebacks: bool, outage_told: bool = False) -> dict[str, Any]:
    """Return a configuration for `logging.config.dictConfig` that sends warnings and errors to stderr as lines.

    With `outage_told`, a process's first word of records that wait for Loki is left out.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "apimon.server.logs.LineFormatter", "tracebacks": tracebacks}},
        "filters": {"told": {"()": "apimon.server.logs.ToldOutageFilter"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["told"] if outage_told else [],
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    }
