"""Take a decoded push in: check it against the limits, normalise it, and say what was refused, in Loki's words.

The valid entries of a push are stored even where others are refused; a label name that can't be one refuses the whole.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from apimon.loki.embedded.batches import StreamBatch, encode_metadata
from apimon.loki.embedded.level import LevelDetector
from apimon.loki.embedded.limits import IngestLimits
from apimon.loki.embedded.streams import NEVER_NS, StoredStream, StreamCatalog
from apimon.loki.model import LABEL_NAME, Labels, format_labels
from apimon.loki.wire.push_decode import PushDecodeError, PushedStream
from apimon.units import NS_PER_S, format_rfc3339_ns

SERVICE_NAME = "service_name"
_SERVICE_NAME_SOURCES = (
    "service", "app", "application", "app_name", "name", "app_kubernetes_io_name", "container", "container_name",
    "k8s_container_name", "component", "workload", "job", "k8s_job_name",
)  # fmt: skip
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why entries of a push were refused, and the status that says so to its sender."""

    status: int
    message: str


@dataclass(slots=True)
class Intake:
    """What one push came to: the batches to store, and the refusal of the rest (None if there is no rest)."""

    accepted: list[StreamBatch] = field(default_factory=list)
    refusal: Refusal | None = None


@dataclass(slots=True)
class _Complaints:
    """The refusals of one push. Loki reports limits before ordering, and counts equal messages."""

    invalid: Counter[str] = field(default_factory=Counter)
    behind: list[str] = field(default_factory=list)
    too_many_streams: str = ""

    def refusal(self) -> Refusal | None:
        if self.invalid:
            if sum(self.invalid.values()) == 1:
                return Refusal(400, next(iter(self.invalid)))
            return Refusal(400, "; ".join(f"{count} errors like: {text}" for text, count in self.invalid.items()))
        if self.too_many_streams:
            return Refusal(429, self.too_many_streams)
        return Refusal(400, "\n".join(self.behind)) if self.behind else None


class Intaker:
    """Checks pushes one after another against one catalog; only the event loop calls it."""

    def __init__(self, catalog: StreamCatalog, limits: IngestLimits) -> None:
        self._catalog = catalog
        self._limits = limits

    def take(self, streams: Sequence[PushedStream], now_ns: int) -> Intake:
        """Return what is to be stored; raises PushDecodeError where nothing of the push may be."""
        normal = [(normalise_labels(stream.labels), stream) for stream in streams]
        intake, complaints = Intake(), _Complaints()
        for labels, stream in normal:
            if stream.lines and self._check_labels(labels, complaints):
                batch = self._take_stream(labels, stream, now_ns, complaints)
                if batch is not None:
                    intake.accepted.append(batch)
        intake.refusal = complaints.refusal()
        return intake

    def _check_labels(self, labels: Labels, complaints: _Complaints) -> bool:
        limits, count = self._limits, len(labels) - 1
        problem = ""
        if count > limits.max_label_names:
            problem = (
                f"entry for stream '{format_labels(labels)}' has {count} label names; limit {limits.max_label_names}"
            )
        for name, value in labels.items():
            if len(name.encode()) > limits.max_label_name_bytes:
                problem = f"stream '{format_labels(labels)}' has label name too long: '{name}'"
            elif len(value.encode()) > limits.max_label_value_bytes:
                problem = f"stream '{format_labels(labels)}' has label value too long: '{value}'"
        if problem:
            complaints.invalid[problem] += 1
        return not problem

    def _take_stream(
        self, labels: Labels, pushed: PushedStream, now_ns: int, complaints: _Complaints
    ) -> StreamBatch | None:
        stream = self._catalog.find(labels)
        if stream is None and self._is_full(now_ns):
            complaints.too_many_streams = (
                f"Maximum active stream limit exceeded when trying to create stream {format_labels(labels)}, reduce "
                f"the number of active streams (reduce labels or reduce label values): limit {self._limits.max_streams}"
            )
            return None
        keep = self._keep(labels, pushed, now_ns, complaints)
        newest_ns = stream.newest_ns if stream else NEVER_NS
        keep = self._drop_behind(labels, pushed, keep, newest_ns, complaints)
        if not keep:
            return None
        stream = stream or self._catalog.open(labels)
        return _batch(stream, pushed, keep)

    def _is_full(self, now_ns: int) -> bool:
        limit = self._limits.max_streams
        if len(self._catalog) < limit:
            return False
        return len(self._catalog.between(now_ns - 2 * self._limits.too_far_behind_ns, -NEVER_NS)) >= limit

    def _keep(self, labels: Labels, pushed: PushedStream, now_ns: int, complaints: _Complaints) -> Sequence[int]:
        """Return the indices of the entries that are within the limits of one entry."""
        limits = self._limits
        oldest_ns, newest_ns = now_ns - limits.reject_older_ns, now_ns + limits.reject_newer_ns
        # The whole stream at once first: refusals are rare, and a push has a thousand entries.
        if (
            min(pushed.timestamps) >= oldest_ns
            and max(pushed.timestamps) <= newest_ns
            and max(map(len, pushed.lines)) * 4 <= limits.max_line_bytes
            and not any(pushed.metadata)
        ):
            return range(len(pushed.lines))
        keep = []
        for index, timestamp_ns in enumerate(pushed.timestamps):
            problem = self._problem(pushed, index, oldest_ns, newest_ns)
            if problem:
                complaints.invalid[problem.format(stream=format_labels(labels), time=_seconds(timestamp_ns))] += 1
            else:
                keep.append(index)
        return keep

    def _problem(self, pushed: PushedStream, index: int, oldest_ns: int, newest_ns: int) -> str:
        limits, timestamp_ns = self._limits, pushed.timestamps[index]
        if timestamp_ns < oldest_ns:
            return (
                "entry for stream '{stream}' has timestamp too old: {time}, oldest acceptable timestamp is: "
                + _seconds(oldest_ns)
            )
        if timestamp_ns > newest_ns:
            return "entry for stream '{stream}' has timestamp too new: {time}"
        size = len(pushed.lines[index].encode())
        if size > limits.max_line_bytes:
            return (
                f"max entry size '{limits.max_line_bytes}' bytes exceeded for stream '{{stream}}' while adding an "
                f"entry with length '{size}' bytes"
            )
        metadata = pushed.metadata[index]
        return self._metadata_problem(metadata) if metadata else ""

    def _metadata_problem(self, metadata: Labels) -> str:
        limits = self._limits
        size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
        if size > limits.max_metadata_bytes:
            return (
                f"stream '{{stream}}' has structured metadata too large: '{size}' bytes, limit: "
                f"'{limits.max_metadata_bytes}' bytes. Please see `limits_config.max_structured_metadata_size` or "
                "contact your Loki administrator to increase it"
            )
        if len(metadata) > limits.max_metadata_keys:
            return (
                f"stream '{{stream}}' has too many structured metadata labels: '{len(metadata)}', limit: "
                f"'{limits.max_metadata_keys}'. Please see `limits_config.max_structured_metadata_entries_count` or "
                "contact your Loki administrator to increase it"
            )
        return ""

    def _drop_behind(
        self, labels: Labels, pushed: PushedStream, keep: Sequence[int], newest_ns: int, complaints: _Complaints
    ) -> Sequence[int]:
        """Return the indices without the entries too far behind the newest one of the stream at their turn."""
        window_ns, timestamps = self._limits.too_far_behind_ns, pushed.timestamps
        if not keep or min(timestamps) >= max(newest_ns, max(timestamps)) - window_ns:
            return keep
        kept, reasons = [], []
        for index in keep:
            timestamp_ns = timestamps[index]
            newest_ns = max(newest_ns, timestamp_ns)
            if timestamp_ns >= newest_ns - window_ns:
                kept.append(index)
            else:
                reasons.append(_behind(timestamp_ns, newest_ns - window_ns))
        if reasons:
            total = f"total ignored: {len(reasons)} out of {len(keep)} for stream: {format_labels(labels)}"
            complaints.behind.append(",\n".join([*reasons, f"user 'fake', {total}"]))
        return kept


def normalise_labels(labels: Labels) -> dict[str, str]:
    """Return the labels that are stored: no empty ones, `service_name` added; raises PushDecodeError for a bad name."""
    normal = {name: value for name, value in labels.items() if value}
    for name in labels:
        if not LABEL_NAME.fullmatch(name):
            raise PushDecodeError(f"couldn't parse labels: {name!r} can't be a label name: use letters, digits and _")
    if SERVICE_NAME not in normal:
        found = (normal[name] for name in _SERVICE_NAME_SOURCES if name in normal)
        normal[SERVICE_NAME] = next(found, "unknown_service")
    return normal


def normalise_metadata(metadata: Labels) -> dict[str, str]:
    """Return structured metadata as it is stored: names sanitised, no empty values."""
    return {_metadata_name(name): value for name, value in metadata.items() if value}


def _metadata_name(name: str) -> str:
    sanitised = _NOT_IN_A_NAME.sub("_", name)
    return f"key_{sanitised}" if sanitised[:1].isdigit() else sanitised


def _batch(stream: StoredStream, pushed: PushedStream, keep: Sequence[int]) -> StreamBatch:
    timestamps, lines, metadata = pushed.timestamps, pushed.lines, pushed.metadata
    if len(keep) < len(lines):
        timestamps = [timestamps[index] for index in keep]
        lines = [lines[index] for index in keep]
        metadata = [metadata[index] for index in keep]
    stream.widen(min(timestamps), max(timestamps))
    return StreamBatch(stream, timestamps, lines, _encode_metadata(stream, lines, metadata))


def _encode_metadata(stream: StoredStream, lines: Sequence[str], metadata: Sequence[Labels | None]) -> list[str]:
    detector = LevelDetector(stream.labels)
    if detector.constant is not None and not any(metadata):
        return [encode_metadata(detector.constant)] * len(lines)
    texts = []
    for line, sent in zip(lines, metadata, strict=True):
        normal = normalise_metadata(sent) if sent else {}
        normal.update(detector.detect(line, normal))
        texts.append(encode_metadata(normal))
    return texts


def _seconds(timestamp_ns: int) -> str:
    try:
        return format_rfc3339_ns(timestamp_ns // NS_PER_S * NS_PER_S)[:19] + "Z"
    except (ValueError, OverflowError, OSError):
        return f"{timestamp_ns} ns"


def _behind(timestamp_ns: int, oldest_ns: int) -> str:
    written = format_rfc3339_ns(timestamp_ns).replace("T", " ").replace("Z", " +0000 UTC")
    return (
        f"entry with timestamp {written} ignored, reason: 'entry too far behind, entry timestamp is: "
        f"{_seconds(timestamp_ns)}, oldest acceptable timestamp is: {_seconds(oldest_ns)}'"
    )
