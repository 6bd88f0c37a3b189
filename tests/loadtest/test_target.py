"""URLs taken apart, addresses looked up, what is said when nothing answers."""

import asyncio
import errno
import socket

import pytest

from apimon.errors import UnreachableError, UsageError
from apimon.loadtest.target import Dialer, describe_os_error, hide_credentials, parse_target
from tests.loadtest.servers import OK, listening, serving


@pytest.mark.parametrize(
    ("url", "host", "port", "authority"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", 8000, "127.0.0.1:8000"),
        ("http://shop.test/", "shop.test", 80, "shop.test"),
        ("http://shop.test:80", "shop.test", 80, "shop.test"),
        ("https://shop.test", "shop.test", 443, "shop.test"),
        ("https://shop.test:8443", "shop.test", 8443, "shop.test:8443"),
        ("http://[::1]:8000", "::1", 8000, "[::1]:8000"),
    ],
)
def test_url_is_taken_apart(url: str, host: str, port: int, authority: str) -> None:
    target = parse_target(url)
    assert (target.host, target.port, target.authority) == (host, port, authority)


@pytest.mark.parametrize(
    "url", ["", "shop.test:8000", "ftp://shop.test", "http://", "http://a:b:c", "http://h:99999", "http://a b", "x\n"]
)
def test_what_is_no_http_url_is_refused_with_the_form_to_write(url: str) -> None:
    with pytest.raises(UsageError, match=r"is not a URL to load: write it as http://"):
        parse_target(url)


@pytest.mark.parametrize("url", ["http://h/products", "http://h?a=b", "http://h/#x"])
def test_url_with_a_path_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="has a path"):
        parse_target(url)


def test_credentials_are_never_shown() -> None:
    target = parse_target("http://me:secret@shop.test:8000")
    assert target.url == "http://shop.test:8000"
    assert "secret" not in repr(target)
    with pytest.raises(UsageError) as caught:
        parse_target("ftp://me:secret@shop.test")
    assert "secret" not in str(caught.value)
    assert hide_credentials("http://a:b@c@h/x@y") == "http://***@h/x@y"


async def test_probe_opens_one_connection_and_asks_nothing() -> None:
    async with serving(OK) as server:
        await Dialer(parse_target(server.url)).probe(5)
        await server.drain()
    assert server.requests == []


async def test_host_with_several_addresses_is_reached_at_the_one_that_answers() -> None:
    async with serving(OK) as server:
        port = parse_target(server.url).port
        await Dialer(parse_target(f"http://localhost:{port}")).probe(5)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70 + ".test"])
async def test_unknown_host_is_unreachable(host: str) -> None:
    with pytest.raises(UnreachableError, match="host name"):
        await Dialer(parse_target(f"http://{host}")).probe(5)


async def test_refused_connection_is_unreachable_and_says_so(unused_tcp_port: int) -> None:
    with pytest.raises(UnreachableError, match=f"cannot connect to http://127.0.0.1:{unused_tcp_port}: connection ref"):
        await Dialer(parse_target(f"http://127.0.0.1:{unused_tcp_port}")).probe(5)


async def test_server_that_does_not_speak_tls_is_unreachable_by_https() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(plain) as url:
        with pytest.raises(UnreachableError, match="TLS"):
            await Dialer(parse_target(url.replace("http", "https"))).probe(5)


async def test_server_that_never_finishes_the_handshake_is_given_up_after_the_timeout() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(hold) as url:
        with pytest.raises(UnreachableError, match=r"no connection within 0\.1 s"):
            await Dialer(parse_target(url.replace("http", "https"))).probe(0.1)


@pytest.mark.parametrize(
    ("exc", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "…"), "connection refused"),
        (ConnectionResetError(errno.ECONNRESET, "…"), "connection reset by the server"),
        (socket.gaierror(-2, "…"), "host name not found"),
        (OSError(errno.ENETUNREACH, "Cannot connect to ('10.0.0.1', 1)"), "network is unreachable"),
        (OSError("no number"), "no number"),
        (BrokenPipeError(), "BrokenPipeError"),
    ],
)
def test_os_errors_are_told_in_words_that_repeat(exc: OSError, words: str) -> None:
    assert describe_os_error(exc) == words
