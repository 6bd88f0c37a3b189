"""What the shipper's tests share: a transport that answers by script, and records that are plain strings."""

import gzip
import json
import threading
from collections.abc import Callable

from apimon.loki.shipper import EncodedRecord, PushAnswer, Shipper, ShippingCounts, ShippingLimits

TAKEN = PushAnswer(204)
QUICK = ShippingLimits(linger_s=0.01, first_retry_s=0.001, longest_retry_s=0.002, drain_timeout_s=20)

Outcome = PushAnswer | OSError


class ScriptedTransport:
    """Answers each push by the next outcome, then `default`; keeps the bodies, and can hold a push until told."""

    def __init__(self, *outcomes: Outcome, default: Outcome = TAKEN) -> None:
        self.outcomes = list(outcomes)
        self.default = default
        self.bodies: list[bytes] = []
        self.taken: list[bytes] = []
        self.arrived = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def push(self, body: bytes, timeout_s: float) -> PushAnswer:
        self.bodies.append(body)
        self.arrived.release()
        if not self.gate.wait(timeout_s):
            raise TimeoutError("no answer")
        outcome = self.outcomes.pop(0) if self.outcomes else self.default
        if isinstance(outcome, OSError):
            raise outcome
        if 200 <= outcome.status < 300:
            self.taken.append(body)
        return outcome

    def close(self) -> None:
        """Nothing is open."""

    def lines(self) -> list[str]:
        """The lines of the pushes that were taken, in order."""
        return [entry[1] for body in self.taken for entry in entries_of(body)]


def entries_of(body: bytes) -> list[list[str]]:
    return [entry for stream in json.loads(gzip.decompress(body))["streams"] for entry in stream["values"]]


def encode_text(text: str) -> EncodedRecord:
    if text == "unencodable":
        raise TypeError(text)
    return EncodedRecord(b'{"service":"test"}', 1_000, text)


def make_shipper(
    transport: ScriptedTransport,
    limits: ShippingLimits = QUICK,
    encode: Callable[[str], EncodedRecord] = encode_text,
) -> Shipper[str]:
    return Shipper(encode, transport, limits=limits)


def assert_adds_up(counts: ShippingCounts, recorded: int) -> None:
    assert counts.recorded == recorded
    settled = counts.delivered + counts.kept + sum(counts.dropped.values()) + sum(counts.rejected.values())
    assert settled + counts.queued + counts.in_flight == recorded
