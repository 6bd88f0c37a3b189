"""The server's life: ports, the folder, leases, and closing."""

import asyncio
import json
import os
import socket
from pathlib import Path

import aiohttp
import pytest

from apimon.errors import ApimonError, StoreError
from apimon.loki.embedded.folder import FolderLock
from apimon.loki.embedded.leases import Leases
from apimon.loki.embedded.server import EmbeddedServer, ServerConfig, bind_socket
from tests.loki.embedded.server_support import running_server


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ApimonError, match=f"cannot listen on 127.0.0.1:{port}: .*choose another --port"):
            EmbeddedServer(ServerConfig(port=port))


def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(ApimonError, match=r"cannot listen on no-such-host\.invalid:0"):
        bind_socket("no-such-host.invalid", 0)


def test_the_second_server_on_a_folder_says_who_holds_it(tmp_path: Path) -> None:
    held = FolderLock(tmp_path)
    with pytest.raises(StoreError, match=f"is in use by process {os.getpid()}"):
        FolderLock(tmp_path)
    held.release()
    FolderLock(tmp_path).release()


async def test_a_holder_that_is_closing_is_waited_for(tmp_path: Path) -> None:
    held = FolderLock(tmp_path)
    held.announce_closing()
    waiting = asyncio.create_task(asyncio.to_thread(FolderLock, tmp_path))
    await asyncio.sleep(0)
    held.release()
    (await waiting).release()


def test_patience_with_a_closing_holder_ends(tmp_path: Path) -> None:
    held = FolderLock(tmp_path)
    held.announce_closing()
    with pytest.raises(StoreError, match="in use by process"):
        FolderLock(tmp_path, patience_s=0.0)
    held.release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot use the data folder"):
        FolderLock(tmp_path / "file" / "folder")


async def test_a_failed_start_frees_port_and_folder(tmp_path: Path) -> None:
    folder = tmp_path / "loki"
    folder.mkdir()
    (folder / "format").write_text("99")
    server = EmbeddedServer(ServerConfig(port=0, data_dir=tmp_path))
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(StoreError, match="format '99'"):
        async with server:
            pass
    FolderLock(folder).release()
    bind_socket("127.0.0.1", port).close()


async def test_closing_again_does_nothing() -> None:
    server = EmbeddedServer(ServerConfig(port=0))
    async with server:
        pass
    await server.close()


async def test_without_a_grace_leases_never_expire() -> None:
    leases = Leases(None)
    with leases.hold():
        pass
    assert not leases.expired.is_set()


async def test_leases_expire_when_nobody_comes() -> None:
    await asyncio.wait_for(Leases(0.0).expired.wait(), 10)


async def test_a_held_lease_keeps_the_others_time_from_running() -> None:
    leases = Leases(0.001)
    with leases.hold():
        with leases.hold():
            pass
        await asyncio.sleep(0.02)
        assert not leases.expired.is_set()
    await asyncio.wait_for(leases.expired.wait(), 10)


async def test_a_lease_is_held_by_its_connection_and_names_the_server() -> None:
    async with running_server(ServerConfig(port=0, lease_grace_s=0.3)) as client:
        async with client.session.get(f"{client.server.url}/apimon/lease") as response:
            assert json.loads(await response.content.readline()) == {"pid": os.getpid()}
            unused = asyncio.create_task(client.server.wait_until_unused())
            done, _ = await asyncio.wait([unused], timeout=0.5)
            assert not done
        await asyncio.wait_for(unused, 10)


async def test_a_lease_that_comes_too_late_is_refused() -> None:
    async with running_server(ServerConfig(port=0, lease_grace_s=0.0)) as client:
        await client.server.wait_until_unused()
        assert await client.ask("/apimon/lease") == (503, "the server is ending\n")


async def test_a_server_that_closes_lets_its_leases_go() -> None:
    async with (
        running_server() as client,
        aiohttp.ClientSession() as session,
        session.get(f"{client.server.url}/apimon/lease") as response,
    ):
        await response.content.readline()
        await client.server.close()
        assert await response.content.read() == b""
