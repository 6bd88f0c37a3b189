"""Who a request is: its own id, its trace's, its load run's. What a client sends is taken only in its exact form.

An id that was sent and is not valid appears nowhere: it may hold anything.
"""

import re
from random import getrandbits
from typing import NamedTuple

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")
_RUN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_USER_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,128}")
# W3C Trace Context: version, trace id, parent id, flags, in lower case; a later version may append more.
_TRACEPARENT = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)

ANONYMOUS = "anonymous"


class Identity(NamedTuple):
    """The ids of one request; `run_id` is empty outside load runs."""

    request_id: str
    trace_id: str
    run_id: str


def identify(request_id: bytes, traceparent: bytes, run_id: bytes) -> Identity:
    """Return the ids that the headers' values give (empty: not sent), new ones in place of missing and invalid ones.

    A request that brings neither id gets one for both.
    """
    known_id = request_id.decode() if request_id and _REQUEST_ID.fullmatch(request_id) else ""
    trace_id = parse_trace_id(traceparent) if traceparent else ""
    new_id = "" if known_id and trace_id else getrandbits(128).to_bytes(16, "big").hex()
    return Identity(
        known_id or new_id,
        trace_id or new_id,
        run_id.decode() if run_id and _RUN_ID.fullmatch(run_id) else "",
    )


def parse_trace_id(traceparent: bytes) -> str:
    """Return the trace id of a `traceparent`, empty where it is not valid."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match["version"] == b"00" and match["more"]):
        return ""
    return match["trace"].decode()


def clean_user_id(value: str | None) -> str:
    """Return the user id, or `ANONYMOUS` where it is missing, too long or not printable."""
    return value if value and _USER_ID.fullmatch(value) else ANONYMOUS


def is_sampled(trace_id: str, share: float) -> bool:
    """Whether a trace is of the `share` (0 to 1) that is kept: the same for every service that sees it."""
    # The last 56 bits are the random ones (W3C Trace Context, level 2).
    return int(trace_id[-14:], 16) < share * (1 << 56)
