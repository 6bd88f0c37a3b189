"""Ship records to Loki: a bounded queue in front, batches, retries, and an account of every record.

The way of a record: `Shipper.put` (no lock, no I/O) → queue → the packing thread encodes and compresses → backlog →
the sending thread pushes, one batch at a time → Loki. Knows nothing of what a record is: its encoder is passed in.
"""

from apimon.loki.shipper.account import ShippingCounts
from apimon.loki.shipper.backlog import Overflow, OverflowReason
from apimon.loki.shipper.batch import EncodedRecord, SealedBatch
from apimon.loki.shipper.limits import ShippingLimits
from apimon.loki.shipper.shipper import Shipper
from apimon.loki.shipper.transport import HttpPushTransport, PushAnswer, PushTransport

__all__ = [
    "EncodedRecord",
    "HttpPushTransport",
    "Overflow",
    "OverflowReason",
    "PushAnswer",
    "PushTransport",
    "SealedBatch",
    "Shipper",
    "ShippingCounts",
    "ShippingLimits",
]
