"""What a push, a query and a tail may be: Loki's default limits, each with the name Loki's users know."""

from dataclasses import dataclass

from apimon.units import NS_PER_S


@dataclass(frozen=True)
class IngestLimits:
    """Limits on what is stored."""

    max_push_bytes: int = 16 << 20
    """Of a request's body, as it came and unpacked."""
    max_line_bytes: int = 256 << 10
    max_label_names: int = 15
    """`service_name` not counted."""
    max_label_name_bytes: int = 1024
    max_label_value_bytes: int = 2048
    max_metadata_bytes: int = 64 << 10
    max_metadata_keys: int = 128
    reject_older_ns: int = 7 * 86_400 * NS_PER_S
    reject_newer_ns: int = 600 * NS_PER_S
    too_far_behind_ns: int = 3600 * NS_PER_S
    """How much older than its stream's newest entry an entry may be."""
    max_streams: int = 5000


@dataclass(frozen=True)
class QueryLimits:
    """Limits on a query and on tails."""

    default_entries: int = 100
    max_entries: int = 5000
    max_points: int = 11_000
    """Steps of a range query, per series."""
    max_range_ns: int = (30 * 24 + 1) * 3600 * NS_PER_S
    timeout_s: float = 60.0
    max_tails: int = 10
    max_query_bytes: int = 128 << 10
