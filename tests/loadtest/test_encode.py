"""Requests as bytes: what each carries, what is refused, and that ids are the request's own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon import __version__
from apimon.loadtest.encode import MAX_KEPT_HEADS, RequestEncoder, encode_path
from apimon.loadtest.target import parse_target


def encoder(url: str = "http://shop.test:8000") -> RequestEncoder:
    return RequestEncoder(parse_target(url), "run1")


def headers_of(payload: bytes) -> dict[str, str]:
    head = payload.partition(b"\r\n\r\n")[0].decode("latin-1")
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


def test_get_carries_host_agent_run_and_ids() -> None:
    payload = encoder().encode("GET", "/products?limit=2")
    assert payload.startswith(b"GET /products?limit=2 HTTP/1.1\r\n")
    assert payload.endswith(b"\r\n\r\n")
    headers = headers_of(payload)
    assert headers["Host"] == "shop.test:8000"
    assert headers["User-Agent"] == f"apimon/{__version__}"
    assert headers["X-Apimon-Run"] == "run1"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
    assert headers["X-Request-Id"] == "run1-1"
    assert "Content-Length" not in headers


def test_body_carries_its_length_and_type() -> None:
    payload = encoder().encode("POST", "/p", None, b'{"a":1}', "application/json")
    headers = headers_of(payload)
    assert (headers["Content-Length"], headers["Content-Type"]) == ("7", "application/json")
    assert payload.endswith(b'\r\n\r\n{"a":1}')


def test_post_without_a_body_says_that_it_has_none() -> None:
    assert headers_of(encoder().encode("POST", "/p"))["Content-Length"] == "0"


def test_every_request_has_ids_of_its_own() -> None:
    encode = encoder().encode
    heads = [headers_of(encode("GET", "/")) for _ in range(1000)]
    assert len({head["X-Request-Id"] for head in heads}) == 1000
    assert len({head["traceparent"] for head in heads}) == 1000


def test_trace_ids_are_spread_over_their_last_bits() -> None:
    encode = encoder().encode
    last = [int(headers_of(encode("GET", "/"))["traceparent"].split("-")[1][16:], 16) for _ in range(1000)]
    assert 400 < sum(value >= 1 << 63 for value in last) < 600


def test_own_headers_replace_the_defaults_of_the_same_name() -> None:
    payload = encoder().encode("GET", "/", {"user-agent": "mine", "X-Extra": "é"})
    assert b"user-agent: mine\r\n" in payload
    assert b"User-Agent" not in payload
    assert "X-Extra: é\r\n".encode("latin-1") in payload


def test_credentials_of_the_url_become_basic_authorization() -> None:
    headers = headers_of(encoder("http://me:p%40ss@shop.test").encode("GET", "/"))
    assert headers["Authorization"] == "Basic bWU6cEBzcw=="


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GE T", "/", None),
        ("GET", "products", None),
        ("GET", "http://elsewhere/", None),
        ("GET", "/", {"Bad Name": "x"}),
        ("GET", "/", {"X": "a\r\nInjected: b"}),
        ("GET", "/", {"X": "\0"}),
        ("GET", "/", {"X": "€"}),
        ("GET", "/", {"Content-Length": "5"}),
        ("GET", "/", {"traceparent": "x"}),
    ],
)
def test_what_http_does_not_allow_is_refused(method: str, path: str, headers: dict[str, str] | None) -> None:
    with pytest.raises(ValueError, match=r"not|sets"):
        encoder().encode(method, path, headers)


@given(st.text(max_size=30))
def test_any_path_becomes_printable_ascii_without_a_space(text: str) -> None:
    try:
        encoded = encode_path("/" + text)
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    assert re.fullmatch(r"/[!-~]*", encoded)
    assert "#" not in encoded
    assert encode_path(encoded) == encoded


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("/a b", "/a%20b"),
        ("/筆", "/%E7%AD%86"),
        ("/a?b=c&d=[1]", "/a?b=c&d=[1]"),
        ("/a%20b", "/a%20b"),
        ("/a#part", "/a"),
        ("/a\r\nX: y", "/a%0D%0AX:%20y"),
    ],
)
def test_paths_are_percent_encoded_where_they_must_be(path: str, encoded: str) -> None:
    assert encode_path(path) == encoded


def test_paths_with_ids_of_their_own_do_not_fill_memory() -> None:
    encode = encoder()
    for number in range(MAX_KEPT_HEADS + 10):
        encode.encode("GET", f"/{number}")
    assert len(encode._heads) <= MAX_KEPT_HEADS
