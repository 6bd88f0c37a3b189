"""An exception, captured so that it can be described later without keeping its frames, and all they hold, alive."""

import traceback
from dataclasses import dataclass

TRACEBACK_LIMIT = 16_000
"""Characters of a traceback that are kept: the beginning and, since it says what failed, the end."""
MESSAGE_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class Failure:
    """Type and message of an exception, and its traceback with causes and contexts."""

    type: str
    message: str
    trace: traceback.TracebackException

    @classmethod
    def capture(cls, exc: BaseException) -> "Failure":
        """Return what describes `exc`; source lines are read later, by `format`."""
        trace = traceback.TracebackException.from_exception(exc, lookup_lines=False)
        return cls(type(exc).__name__, _message_of(exc), trace)

    def format(self) -> str:
        """Return the traceback as Python prints it, its middle left out where it is long."""
        text = "".join(self.trace.format())
        if len(text) <= TRACEBACK_LIMIT:
            return text
        half = TRACEBACK_LIMIT // 2
        return f"{text[:half]}\n  [{len(text) - TRACEBACK_LIMIT} characters left out]\n{text[-half:]}"


def is_client_disconnect(exc: BaseException) -> bool:
    """Whether an app raises `exc` because its client has gone: Starlette's ClientDisconnect, or send's OSError."""
    # By name: the app's framework need not be Starlette, and is not imported for this.
    return isinstance(exc, OSError) or any(base.__name__ == "ClientDisconnect" for base in type(exc).__mro__)


def _message_of(exc: BaseException) -> str:
    try:
        return str(exc)[:MESSAGE_LIMIT]
    except Exception:  # an exception whose own __str__ fails
        return "<no message: __str__ failed>"
