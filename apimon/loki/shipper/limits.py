"""What bounds shipping: memory, batches, times. Every default is stated here and nowhere else."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShippingLimits:
    """How much is kept and how long is waited."""

    queue_records: int = 10_000
    """Records not encoded yet. The packing thread empties the queue many times a second, Loki or no Loki."""
    batch_records: int = 1_000
    batch_bytes: int = 1_000_000
    """Of encoded entries, before compression. A single larger entry is a batch of its own."""
    linger_s: float = 0.1
    """How long a batch waits for company; a tail sees a record two of these and a push later at most."""
    backlog_bytes: int = 32_000_000
    """Of compressed batches that wait for Loki: some 300,000 records."""
    push_timeout_s: float = 5.0
    """For each step of a push: connecting, writing, the answer."""
    drain_timeout_s: float = 5.0
    """How long shutdown may wait for Loki."""
    first_retry_s: float = 0.25
    longest_retry_s: float = 10.0
