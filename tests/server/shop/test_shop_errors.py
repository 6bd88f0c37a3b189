import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.server.shop.routes import _average_in_cents as average_in_cents

JSON = {"Content-Type": "application/json"}


async def assert_error(answer: aiohttp.ClientResponse, status: int) -> str:
    """Check the one body that every error has, and return its text."""
    body = await answer.json()
    assert (answer.status, answer.content_type) == (status, "application/json")
    assert set(body) == {"error", "status_code"}
    assert body["status_code"] == status
    text: str = body["error"]
    assert text
    return text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/products/999", 404),
        ("GET", "/products/999/nothing/here", 404),
        ("GET", "/%00", 404),
        ("GET", "/%ff%fe", 404),
        ("DELETE", "/products", 405),
        ("POST", "/health", 405),
        ("PUT", "/products/1/purchase", 405),
        ("GET", "/products/abc", 422),
        ("GET", "/products/%00", 422),
        ("GET", "/products/0", 422),
        ("GET", "/products/-1", 422),
        ("GET", "/products/1.5", 422),
        ("GET", "/products/2147483648", 422),
        ("GET", "/products/" + "9" * 5000, 422),
        ("GET", "/products/NaN", 422),
        ("GET", "/orders?limit=0", 422),
        ("GET", "/orders?limit=501", 422),
        ("GET", "/orders?limit=", 422),
        ("GET", "/orders?cursor=x", 422),
        ("GET", "/orders?cursor=99999999999999999999", 422),
        ("GET", "/orders?cursor=%00", 422),
        ("POST", "/simulate-error", 500),
    ],
)
async def test_every_error_has_the_same_body(
    client: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with client.request(method, path) as answer:
        await assert_error(answer, status)


async def test_a_405_says_what_is_allowed(client: aiohttp.ClientSession) -> None:
    async with client.delete("/products") as answer:
        assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"quantity": 0}', 400),
        ('{"quantity": -1}', 400),
        ('{"quantity": -' + "9" * 4000 + "}", 400),
        ('{"quantity": 1001}', 422),
        ('{"quantity": 2147483648}', 422),
        ('{"quantity": ' + "9" * 4000 + "}", 422),
        ('{"quantity": 1.5}', 422),
        ('{"quantity": 1e300}', 422),
        ('{"quantity": -0.0}', 400),
        ('{"quantity": 1e400}', 422),
        ('{"quantity": NaN}', 422),
        ('{"quantity": Infinity}', 422),
        ('{"quantity": true}', 422),
        ('{"quantity": null}', 422),
        ('{"quantity": "1"}', 422),
        ('{"quantity": "\\u0000\\ud800"}', 422),
        ('{"\\ud800": 1}', 422),
        ("{}", 422),
        ("[]", 422),
        ("[NaN]", 422),
        ("null", 422),
        ("", 422),
        ("{", 422),
        ("\x00", 422),
        ('{"quantity": 1} trailing', 422),
    ],
)
async def test_every_bad_purchase_is_refused(client: aiohttp.ClientSession, body: str, status: int) -> None:
    async with client.post("/products/1/purchase", data=body, headers=JSON) as answer:
        await assert_error(answer, status)


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"quantity": ' + b"9" * 5000 + b"}", b"[" * 65_536, b'{"a":' * 13_000])
async def test_a_body_that_no_parser_takes_is_a_client_error(client: aiohttp.ClientSession, body: bytes) -> None:
    async with client.post("/products/1/purchase", data=body, headers=JSON) as answer:
        assert answer.status in {400, 422}
        await assert_error(answer, answer.status)


async def chunks(size: int, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * size


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_is_read_up_to_64_kb(client: aiohttp.ClientSession, is_chunked: bool) -> None:
    body = chunks(4096, 16) if is_chunked else b" " * 65_536
    async with client.post("/products/1/purchase", data=body, headers=JSON) as answer:
        await assert_error(answer, 422)
    body = chunks(4097, 16) if is_chunked else b" " * 65_537
    async with client.post("/products/1/purchase", data=body, headers=JSON) as answer:
        assert await assert_error(answer, 413) == "the body is longer than 65536 bytes"


async def test_a_body_that_is_too_long_by_its_length_is_refused_unread(shop_url: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(shop_url.rpartition(":")[2]))
    writer.write(b"POST /products/1/purchase HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: 10000000000\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_nobody_reads_is_no_error(client: aiohttp.ClientSession) -> None:
    async with client.get("/health", data=b" " * 100_000) as answer:
        assert answer.status == 200


async def test_a_purchase_that_is_not_json_by_its_content_type_is_refused(client: aiohttp.ClientSession) -> None:
    async with client.post("/products/1/purchase", data={"quantity": "1"}) as answer:
        await assert_error(answer, 422)


async def test_a_purchase_of_an_unknown_product_is_a_404(client: aiohttp.ClientSession) -> None:
    async with client.post("/products/999/purchase", json={"quantity": 1}) as answer:
        assert await assert_error(answer, 404) == "there is no product 999"


@pytest.mark.parametrize("user", ["", "x" * 129])
async def test_a_user_id_is_bounded(client: aiohttp.ClientSession, user: str) -> None:
    async with client.post("/products/1/purchase", json={"quantity": 1}, headers={"X-User-Id": user}) as answer:
        await assert_error(answer, 422)


async def test_an_invalid_value_is_named(client: aiohttp.ClientSession) -> None:
    async with client.get("/orders?limit=none") as answer:
        assert (await assert_error(answer, 422)).startswith("query.limit: ")


async def test_an_unhandled_exception_leaks_nothing(client: aiohttp.ClientSession) -> None:
    async with client.post("/simulate-error") as answer:
        assert await assert_error(answer, 500) == "Internal Server Error"


@given(total=st.integers(0, 10**15), count=st.integers(1, 10**6))
def test_an_average_is_never_half_a_cent_off(total: int, count: int) -> None:
    cents = average_in_cents(total, count)
    assert 2 * total * 100 - count <= 2 * cents * count <= 2 * total * 100 + count
