"""One request and its answer: what was sent, when, and what came back; and the answer as a scenario sees it."""

from collections.abc import Collection, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, Literal

from apimon.units import NS_PER_S

Outcome = Literal["ok", "http_error", "check_failed", "timeout", "connection_error", "aborted"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "http_error", "check_failed", "timeout", "connection_error", "aborted")
"""How a request that was started can end, exactly one of them."""

_NS_PER_MS = NS_PER_S // 1000


class Exchange:
    """The wire's part, filled in by a connection. Times are of `perf_counter_ns`, 0 until they happen."""

    # Defaults on the class: an exchange is made for every request, and most of these never change.
    written_ns = 0
    first_byte_ns = 0
    ended_ns = 0
    status = 0
    bytes_sent = 0
    bytes_received = 0
    head = b""
    """The answer's head as received, interim (1xx) heads before it and a piece of the body after it included."""
    body_kept = True

    def __init__(self, method: str) -> None:
        self.method = method
        self.parts: list[bytes] = []

    def drop_body(self) -> None:
        """Forget the body received so far and do not keep more of it; its bytes still count."""
        self.parts.clear()
        self.body_kept = False


class Answer(Exchange):
    """What awaiting a request returns; `status` is 0 where no whole answer came."""

    outcome: Outcome | None = None
    """None while the request is in flight; a check can still turn it into check_failed until it is settled."""
    message = ""
    """What went wrong, in a few words that repeat: they are counted."""
    failed_checks: tuple[str, ...] = ()
    passed_checks: tuple[str, ...] = ()

    def __init__(self, method: str, route: str, expect: Collection[int] | None, intended_ns: int) -> None:
        # Exchange's constructor, written out: a super() call costs more than the rest.
        self.method = method
        self.parts = []
        self.route = route
        self.expect = expect
        self.intended_ns = intended_ns

    @property
    def latency_ms(self) -> float:
        """Intended start to last byte; 0 where no whole answer came."""
        return (self.ended_ns - self.intended_ns) / _NS_PER_MS if self.status else 0.0

    @property
    def body(self) -> bytes:
        """The body without its transfer coding; empty where no whole answer came, or it was too large to keep."""
        return b"".join(self.parts) if self.status else b""

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """Headers by lower-case name; values of a repeated header are joined by a comma and a space."""
        return parse_headers(self.head) if self.status else {}

    def json(self) -> Any:  # noqa: ANN401 (JSON is anything)
        """Return the body as JSON. Raises ValueError: no answer, no JSON, or a body too large to keep."""
        import orjson

        if not self.status:
            raise ValueError(f"{self.method} {self.route} has no answer: {self.message}")
        if not self.body_kept:
            raise ValueError(f"the body of {self.method} {self.route} is too large to keep")
        return orjson.loads(self.body)

    def check(self, name: str, ok: object) -> bool:
        """Count a check as passed or failed by the truth of `ok` and return it; a failed one fails the request."""
        if ok:
            self.passed_checks += (name,)
            return True
        self.failed_checks += (name,)
        self.fail_check(name)
        return False

    def fail_check(self, message: str) -> None:
        """Make an answered request a failed check; the first message stays. What has no answer keeps its kind."""
        if self.status and self.outcome != "check_failed":
            self.outcome, self.message = "check_failed", message

    def complete(self) -> None:
        """Judge a whole answer by its status: below 400 is ok, unless the scenario says what it expects."""
        status = self.status
        if status < 400 if self.expect is None else status in self.expect:
            self.outcome = "ok"
        elif status >= 400:
            self.outcome, self.message = "http_error", describe_status(status)
        else:
            self.outcome, self.message = "check_failed", f"status {status} was not expected"

    def fail(self, outcome: Outcome, message: str) -> None:
        """End the request without an answer."""
        self.outcome, self.message, self.status = outcome, message, 0


def describe_status(status: int) -> str:
    """Return the code with its standard phrase: `404 Not Found`; the bare code where there is none."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def parse_headers(head: bytes) -> dict[str, str]:
    """Return the headers of the final answer in `head`, interim (1xx) answers skipped, names in lower case."""
    # Empty lines before an answer are allowed, and llhttp skips them.
    block, _, rest = head.lstrip(b"\r\n").partition(b"\r\n\r\n")
    while block[9:10] == b"1":
        block, _, rest = rest.partition(b"\r\n\r\n")
    headers: dict[str, str] = {}
    for line in block.split(b"\r\n")[1:]:
        raw_name, _, raw_value = line.partition(b":")
        name, value = raw_name.decode("latin-1").strip().lower(), raw_value.decode("latin-1").strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
