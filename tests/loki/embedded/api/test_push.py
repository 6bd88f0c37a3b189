"""Pushing over HTTP: statuses, forms, and that a 204 means stored."""

import errno
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from apimon.loki.embedded.journal import Disk
from apimon.loki.embedded.limits import IngestLimits
from apimon.loki.embedded.server import ServerConfig
from tests.loki.embedded.server_support import NOW, Client, running_server, seconds_ago
from tests.loki.wire.test_push_decode import protobuf_push


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running_server() as running:
        yield running


async def lines(client: Client, selector: str = '{app="a"}') -> list[str]:
    result = await client.result(selector, end=NOW + 1)
    return [value[1] for stream in result for value in stream["values"]]


async def test_a_push_is_there_at_once(client: Client) -> None:
    assert await client.push({"app": "a"}, (NOW, "hello")) == (204, "")
    assert await lines(client) == ["hello"]


async def test_snappy_protobuf_is_taken(client: Client) -> None:
    body = protobuf_push('{app="a"}', [(NOW, "hello", {"trace": "7"})])
    assert await client.push_raw(body, "application/x-protobuf", Content_Encoding="snappy") == (204, "")
    (stream,) = await client.result('{app="a"}', end=NOW + 1)
    assert stream["stream"] == {
        "app": "a", "service_name": "a", "trace": "7", "detected_level": "unknown",
    }  # fmt: skip


async def test_raw_deflate_is_taken(client: Client) -> None:
    body = json.dumps({"streams": [{"stream": {"app": "a"}, "values": [[str(NOW), "hello"]]}]}).encode()
    packer = zlib.compressobj(wbits=-15)
    assert (await client.push_raw(packer.compress(body) + packer.flush(), Content_Encoding="deflate"))[0] == 204
    assert await lines(client) == ["hello"]


@pytest.mark.parametrize(
    ("body", "content_type", "encoding", "status"),
    [
        (b'{"streams":[]}', "application/json", "", 422),
        (b"{}", "application/json; charset=utf-8", "", 422),
        (b"{", "application/json", "", 400),
        (b"{}", "application/json", "br", 400),
        (b"{}", "application/json", "gzip", 400),
        (b"{}", "text/plain", "", 400),
        (b"{}", "", "", 400),
    ],
)
async def test_bodies_that_are_no_push(
    client: Client, body: bytes, content_type: str, encoding: str, status: int
) -> None:
    answer = await client.push_raw(body, content_type, Content_Encoding=encoding)
    assert answer[0] == status
    assert answer[1].endswith("\n")


async def test_valid_entries_are_stored_and_the_bad_ones_named(client: Client) -> None:
    status, text = await client.push({"app": "a"}, (seconds_ago(8 * 86_400), "old"), (NOW, "good"))
    assert (status, "timestamp too old" in text) == (400, True)
    assert await lines(client) == ["good"]


async def test_one_bad_label_name_stores_nothing(client: Client) -> None:
    streams = [
        {"stream": {"app": "a"}, "values": [[str(NOW), "x"]]},
        {"stream": {"http.route": "y"}, "values": [[str(NOW), "x"]]},
    ]
    assert (await client.push_raw(json.dumps({"streams": streams}).encode()))[0] == 400
    assert await lines(client) == []


async def test_too_large_a_push_is_a_413_packed_or_unpacked() -> None:
    limits = replace(IngestLimits(), max_push_bytes=10_000)
    async with running_server(ServerConfig(port=0, clock_ns=lambda: NOW, ingest_limits=limits)) as client:
        assert (await client.push_raw(b"x" * 10_001))[0] == 413
        assert (await client.push({"app": "a"}, (NOW, "x" * 20_000)))[0] == 413
        assert (await client.push({"app": "a"}, (NOW, "x" * 200)))[0] == 204


async def test_a_full_disk_is_a_500_that_loses_nothing_and_recovers(tmp_path: Path) -> None:
    class FullDisk(Disk):
        full = False

        def write(self, fd: int, data: bytes) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write(fd, data)

    disk = FullDisk()
    async with running_server(ServerConfig(port=0, clock_ns=lambda: NOW, data_dir=tmp_path, disk=disk)) as client:
        await client.push({"app": "a"}, (NOW - 2, "before"))
        disk.full = True
        status, text = await client.push({"app": "a"}, (NOW - 1, "refused"))
        assert (status, "No space left on device" in text) == (500, True)
        disk.full = False
        assert (await client.push({"app": "a"}, (NOW, "after")))[0] == 204
        assert await lines(client) == ["after", "before"]


async def test_pushes_survive_the_server(tmp_path: Path) -> None:
    config = ServerConfig(port=0, clock_ns=lambda: NOW, data_dir=tmp_path)
    async with running_server(config) as client:
        await client.push({"app": "a"}, (NOW, "hello"))
    async with running_server(config) as client:
        assert await lines(client) == ["hello"]
