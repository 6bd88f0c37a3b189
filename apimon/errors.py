"""The exceptions of apimon and the exit codes they lead to.

    ApimonError                     exit 1
    ├── UsageError                  exit 2
    │   ├── SettingError            a setting's value doesn't parse
    │   ├── QueryError              LogQL that doesn't parse, or that this server refuses
    │   │   └── UnsupportedQueryError
    │   └── ScenarioError           a scenario that doesn't validate
    ├── UnreachableError            exit 3
    │   └── LokiUnreachableError
    │       └── NotLokiError        something else answers at Loki's URL
    ├── LokiResponseError           Loki answered with an error status
    └── StoreError                  the embedded store can't be opened, read or written

Messages are one line: what, the value, the remedy. Callers read attributes, never parse the text.
"""

import unicodedata
from enum import IntEnum


class ExitCode(IntEnum):
    """How every command ends; users' scripts rely on these numbers."""

    OK = 0
    ERROR = 1
    USAGE = 2
    UNREACHABLE = 3
    THRESHOLD_FAILED = 99
    LOAD_INTERRUPTED = 105
    INTERRUPTED = 130


class ApimonError(Exception):
    """Base of every error that apimon raises on purpose."""

    exit_code: ExitCode = ExitCode.ERROR


class UsageError(ApimonError):
    """What the user gave can't be used as it is."""

    exit_code = ExitCode.USAGE


class SettingError(UsageError):
    """A setting's value doesn't parse."""

    def __init__(self, variable: str, value: str, allowed: str) -> None:
        super().__init__(f"{variable}={value!r} is not valid: allowed is {allowed}")
        self.variable = variable
        self.value = value
        self.allowed = allowed


class QueryError(UsageError):
    """LogQL that doesn't parse or is refused; `line` and `column` count from 1, 0 where there is no position."""

    def __init__(self, message: str, *, line: int = 0, column: int = 0, query: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.query = query

    def caret(self) -> str:
        """The query's line with a caret under the column, two lines; empty where there is no position."""
        lines = self.query.split("\n")  # what Loki counts as a line
        if not 0 < self.line <= len(lines):
            return ""
        line = lines[self.line - 1]
        return f"{line}\n{''.join(map(_blank, line[: self.column - 1])):{self.column - 1}}^"


def _blank(char: str) -> str:
    """Return spaces as wide as the character is on a terminal."""
    if char == "\t":
        return char
    return "  " if unicodedata.east_asian_width(char) in "WF" else " "


class UnsupportedQueryError(QueryError):
    """LogQL that a Loki would run and this embedded server does not yet."""


class ScenarioError(UsageError):
    """A load scenario that doesn't validate."""


class UnreachableError(ApimonError):
    """A host that doesn't answer, or answers as something else than was expected."""

    exit_code = ExitCode.UNREACHABLE


class LokiUnreachableError(UnreachableError):
    """No Loki answers at `url`."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no Loki at {url}: {reason}; start one with 'apimon loki', or set LOKI_URL")
        self.url = url
        self.reason = reason


class NotLokiError(LokiUnreachableError):
    """What answers at `url` is no Loki, and waiting will not make it one."""


class LokiResponseError(ApimonError):
    """Loki answered a request with an error status; a 400 to a query is the query's fault (exit 2)."""

    def __init__(self, status: int, body: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"Loki answered {status}: {' '.join(body.split())[:500]}")
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s
        if status == 400:
            self.exit_code = ExitCode.USAGE


class StoreError(ApimonError):
    """The embedded store can't be opened, read or written."""
