"""What of a push is stored, and what its sender is told of the rest; statuses and words seen on Loki 3.7.6."""

from dataclasses import replace

import pytest

from apimon.loki.embedded.intake import Intake, Intaker, normalise_labels, normalise_metadata
from apimon.loki.embedded.limits import IngestLimits
from apimon.loki.embedded.streams import StreamCatalog
from apimon.loki.wire.push_decode import PushDecodeError, PushedStream
from apimon.units import NS_PER_S

NOW = 1_795_374_954_164_482_446
HOUR = 3600 * NS_PER_S


class Server:
    def __init__(self, **limits: int) -> None:
        self.catalog = StreamCatalog()
        self.intaker = Intaker(self.catalog, replace(IngestLimits(), **limits))

    def push(
        self, *entries: tuple[int, str], labels: dict[str, str] | None = None, metadata: dict[str, str] | None = None
    ) -> Intake:
        pushed = PushedStream(
            {"a": "b"} if labels is None else labels,
            [timestamp_ns for timestamp_ns, _ in entries],
            [line for _, line in entries],
            [metadata for _ in entries],
        )
        return self.intaker.take([pushed], NOW)


def stored(intake: Intake) -> list[str]:
    return [line for batch in intake.accepted for line in batch.lines]


def message(intake: Intake) -> str:
    assert intake.refusal is not None
    assert intake.refusal.status == 400
    return intake.refusal.message


def test_a_good_push_is_stored_whole() -> None:
    intake = Server().push((NOW, "one"), (NOW - 5, "two"))
    assert stored(intake) == ["one", "two"]
    assert intake.refusal is None
    assert intake.accepted[0].metadata == ['{"detected_level":"unknown"}'] * 2


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "s", "app": "a"}, "s"),
        ({"container": "c", "job": "j"}, "c"),
        ({"service_name": "given", "app": "a"}, "given"),
        ({"service_name": "", "app": "a"}, "a"),
        ({"k8s_deployment_name": "x"}, "unknown_service"),
        ({}, "unknown_service"),
    ],
)
def test_service_name_is_added(labels: dict[str, str], service: str) -> None:
    assert normalise_labels(labels)["service_name"] == service


def test_empty_labels_are_dropped_and_bad_names_refuse_the_whole_push() -> None:
    assert normalise_labels({"a": "", "app": "x"}) == {"app": "x", "service_name": "x"}
    for name in ("http.route", "1a", "", "ü", "a\n"):
        with pytest.raises(PushDecodeError):
            normalise_labels({name: ""})


def test_metadata_names_are_sanitised_and_empty_values_dropped() -> None:
    assert normalise_metadata({"k": "", "x.y": "1", "1a": "2", "ünï": "3"}) == {"x_y": "1", "key_1a": "2", "_n_": "3"}


def test_too_old_is_refused_and_the_rest_stored() -> None:
    intake = Server().push((NOW - 8 * 24 * HOUR, "old"), (NOW, "good"))
    assert stored(intake) == ["good"]
    assert message(intake) == (
        'entry for stream \'{a="b", service_name="unknown_service"}\' has timestamp too old: 2026-11-14T19:15:54Z, '
        "oldest acceptable timestamp is: 2026-11-15T19:15:54Z"
    )


def test_too_new_is_refused_and_ten_minutes_ahead_are_not() -> None:
    intake = Server().push((NOW + 700 * NS_PER_S, "future"), (NOW + 600 * NS_PER_S, "good"))
    assert stored(intake) == ["good"]
    assert message(intake).endswith("has timestamp too new: 2026-11-22T19:27:34Z")


def test_a_line_at_the_limit_is_stored_and_one_over_it_is_not() -> None:
    intake = Server(max_line_bytes=10).push((NOW, "x" * 10), (NOW, "x" * 11), (NOW, "é" * 5), (NOW, "é" * 6))
    assert stored(intake) == ["x" * 10, "é" * 5]
    assert "max entry size '10' bytes exceeded" in message(intake)
    assert "with length '12' bytes" in message(intake)


def test_fifteen_label_names_are_stored_and_sixteen_refused() -> None:
    assert stored(Server().push((NOW, "x"), labels={f"l{n}": "v" for n in range(15)})) == ["x"]
    refused = Server().push((NOW, "x"), labels={f"l{n}": "v" for n in range(16)})
    assert not refused.accepted
    assert message(refused).endswith("has 16 label names; limit 15")


@pytest.mark.parametrize(
    ("labels", "words"),
    [({"a" * 1025: "v"}, "label name too long"), ({"a": "v" * 2049}, "label value too long")],
)
def test_long_labels_are_refused(labels: dict[str, str], words: str) -> None:
    refused = Server().push((NOW, "x"), labels=labels)
    assert not refused.accepted
    assert words in message(refused)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({f"k{n}": "v" for n in range(129)}, "too many structured metadata labels: '129', limit: '128'"),
        ({"k": "v" * 65600}, "structured metadata too large: '65601' bytes, limit: '65536' bytes"),
    ],
)
def test_too_much_metadata_is_refused(metadata: dict[str, str], words: str) -> None:
    assert words in message(Server().push((NOW, "x"), metadata=metadata))


def test_several_refusals_are_counted() -> None:
    intake = Server().push((NOW - 8 * 24 * HOUR, "a"), (NOW + HOUR, "b"), (NOW - 8 * 24 * HOUR, "c"))
    assert message(intake).count("errors like: ") == 2
    assert message(intake).startswith("2 errors like: entry for stream")


def test_what_is_an_hour_behind_its_stream_is_refused_and_the_rest_stored() -> None:
    server = Server()
    intake = server.push((NOW, "new"), (NOW - 2 * HOUR, "behind"), (NOW - HOUR, "just in time"))
    assert stored(intake) == ["new", "just in time"]
    assert message(intake) == (
        "entry with timestamp 2026-11-22 17:15:54.164482446 +0000 UTC ignored, reason: 'entry too far behind, entry "
        "timestamp is: 2026-11-22T17:15:54Z, oldest acceptable timestamp is: 2026-11-22T18:15:54Z',\n"
        'user \'fake\', total ignored: 1 out of 3 for stream: {a="b", service_name="unknown_service"}'
    )
    assert stored(server.push((NOW - HOUR, "still"))) == ["still"]
    assert stored(server.push((NOW - HOUR - 1, "no more"))) == []
    assert stored(server.push((NOW - 2 * HOUR, "of another stream"), labels={"a": "c"})) == ["of another stream"]


def test_old_entries_in_rising_order_are_never_behind() -> None:
    entries = [(NOW - (5 - n) * HOUR, str(n)) for n in range(6)]
    assert len(stored(Server().push(*entries))) == 6


def test_the_stream_limit_is_a_429_and_old_streams_go_on() -> None:
    server = Server(max_streams=1)
    assert stored(server.push((NOW, "x"))) == ["x"]
    refused = server.push((NOW, "x"), labels={"a": "other"})
    assert refused.refusal is not None
    assert refused.refusal.status == 429
    assert "limit exceeded" in refused.refusal.message
    assert stored(server.push((NOW, "y"))) == ["y"]


def test_a_refused_stream_is_not_opened() -> None:
    server = Server()
    server.push((NOW + HOUR, "future"))
    assert len(server.catalog) == 0


def test_a_stream_without_values_is_nothing() -> None:
    intake = Server().push()
    assert not intake.accepted
    assert intake.refusal is None
