import base64
import ssl
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimon.config import LokiSettings, Settings, load_settings, parse_loki_url
from apimon.errors import SettingError


def load(tmp_path: Path, environ: dict[str, str] | None = None, dotenv: str | None = None) -> Settings:
    if dotenv is not None:
        (tmp_path / ".env").write_text(dotenv, "utf-8")
    return load_settings(environ or {}, directory=tmp_path)


def test_without_anything_set_the_defaults_of_the_contract_hold(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.loki.url == "http://127.0.0.1:3100"
    assert settings.enabled
    assert (settings.service_name, settings.environment) == ("fastapi-api", "development")
    assert settings.capture_body
    assert settings.exclude == frozenset()
    assert (settings.sample, settings.slow_ns) == (1.0, 1_000_000_000)
    assert settings.data_dir.is_absolute()
    assert settings.data_dir.name == "apimon"


def test_environment_beats_dotenv_which_beats_the_default(tmp_path: Path) -> None:
    dotenv = "SERVICE_NAME=from-file\nENVIRONMENT=from-file\n"
    settings = load(tmp_path, {"SERVICE_NAME": "from-environment"}, dotenv)
    assert (settings.service_name, settings.environment) == ("from-environment", "from-file")


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    settings = load(tmp_path, {"SERVICE_NAME": "", "LOKI_ENABLED": ""}, "SERVICE_NAME=from-file\n")
    assert settings.service_name == "from-file"
    assert settings.enabled


def test_dotenv_is_read_from_the_working_directory_and_no_parent_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("SERVICE_NAME=parent\n")
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    assert load_settings({}).service_name == "fastapi-api"
    monkeypatch.chdir(tmp_path)
    assert load_settings({}).service_name == "parent"


def test_dotenv_takes_comments_quotes_and_text_of_any_script(tmp_path: Path) -> None:
    settings = load(tmp_path, dotenv='# a comment\n\nSERVICE_NAME="my shop"\nENVIRONMENT=測試\nOTHER=1\n')
    assert (settings.service_name, settings.environment) == ("my shop", "測試")


def test_a_dotenv_that_is_no_text_is_a_setting_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingError, match=r"\.env"):
        load_settings({}, directory=tmp_path)


def test_a_folder_called_dotenv_is_ignored(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load_settings({}, directory=tmp_path).enabled


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOKI_ENABLED", "maybe"),
        ("LOKI_ENABLED", "2"),
        ("LOKI_URL", "127.0.0.1:3100"),
        ("LOKI_URL", "ftp://host"),
        ("LOKI_URL", "http://"),
        ("LOKI_URL", "http://host:99999"),
        ("LOKI_URL", "http://host:port"),
        ("LOKI_URL", "http://host/?a=b"),
        ("LOKI_URL", "http://[::1"),
        ("LOKI_URL", "http://a..b"),
        ("LOKI_ORG_ID", "租戶"),
        ("SERVICE_NAME", "x" * 2049),
        ("SERVICE_NAME", "é" * 1025),
        ("APIMON_CAPTURE_BODY", "ja"),
        ("APIMON_DATA_DIR", "~nobody-by-this-name/data"),
        ("APIMON_EXCLUDE", "health"),
        ("APIMON_EXCLUDE", "/a,b"),
        ("APIMON_SAMPLE", "1.1"),
        ("APIMON_SAMPLE", "-0.1"),
        ("APIMON_SAMPLE", "nan"),
        ("APIMON_SAMPLE", "half"),
        ("APIMON_SLOW", "-1s"),
        ("APIMON_SLOW", "slow"),
    ],
)
def test_a_value_that_does_not_parse_is_named_with_what_is_allowed(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingError) as caught:
        load(tmp_path, {name: value})
    assert caught.value.exit_code == 2
    assert caught.value.variable == name
    assert caught.value.value == value
    assert f"{name}={value!r} is not valid: allowed is " in str(caught.value)


def test_a_bad_value_in_dotenv_is_named_as_well(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"APIMON_SAMPLE='x' is not valid"):
        load(tmp_path, dotenv="APIMON_SAMPLE=x\n")


def test_the_error_about_a_token_does_not_show_it(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"LOKI_BEARER_TOKEN='\*\*\*'"):
        load(tmp_path, {"LOKI_BEARER_TOKEN": "hunter2\n"})


@pytest.mark.parametrize("url", ["ftp://user:hunter2@host", "user:hunter2@host:3100", "http://user:hunter2@"])
def test_the_error_about_a_url_does_not_show_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingError) as caught:
        load(tmp_path, {"LOKI_URL": url})
    assert "hunter2" not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("1", True), ("YES", True), (" on ", True),
     ("False", False), ("0", False), ("no", False), ("off", False)],
)  # fmt: skip
def test_switches_are_read_in_their_usual_forms(tmp_path: Path, text: str, expected: bool) -> None:
    assert load(tmp_path, {"LOKI_ENABLED": text}).enabled is expected


def test_paths_durations_and_lists_are_read(tmp_path: Path) -> None:
    environ = {
        "APIMON_DATA_DIR": "~/logs",
        "APIMON_EXCLUDE": "/health, /metrics,,",
        "APIMON_SAMPLE": "0.25",
        "APIMON_SLOW": "250ms",
    }
    settings = load(tmp_path, environ)
    assert settings.data_dir == Path.home() / "logs"
    assert settings.exclude == {"/health", "/metrics"}
    assert (settings.sample, settings.slow_ns) == (0.25, 250_000_000)


def test_no_secret_is_in_a_repr() -> None:
    loki = LokiSettings(
        url="http://bob:hunter2@host", username="bob", password="hunter3", bearer_token="hunter4", org_id="team"
    )
    assert "hunter" not in repr(Settings(loki=loki))
    assert "hunter" not in loki.base_url


@pytest.mark.parametrize(
    ("url", "base_url", "host", "port", "is_loopback"),
    [
        ("http://127.0.0.1:3100", "http://127.0.0.1:3100", "127.0.0.1", 3100, True),
        ("http://localhost:3100/", "http://localhost:3100", "localhost", 3100, True),
        ("http://[::1]:3100", "http://[::1]:3100", "::1", 3100, True),
        ("https://127.0.0.1:3100", "https://127.0.0.1:3100", "127.0.0.1", 3100, False),
        (
            "https://me:secret@loki.example.org/prefix/",
            "https://loki.example.org/prefix",
            "loki.example.org",
            443,
            False,
        ),
        ("http://HOST", "http://HOST", "host", 80, False),
        ("http://a:b@[::1]:99/x", "http://[::1]:99/x", "::1", 99, True),
    ],
)
def test_a_loki_url_is_taken_apart(url: str, base_url: str, host: str, port: int, is_loopback: bool) -> None:
    loki = LokiSettings(url=parse_loki_url(url))
    assert (loki.base_url, loki.host, loki.port, loki.is_loopback) == (base_url, host, port, is_loopback)


def test_explicit_credentials_come_before_those_of_the_url() -> None:
    loki = LokiSettings(url="http://url-user:url-pass@host", username="user", password="pass")
    assert loki.headers() == {"Authorization": "Basic " + base64.b64encode(b"user:pass").decode()}


def test_a_bearer_token_comes_before_a_password() -> None:
    loki = LokiSettings(username="user", password="pass", bearer_token="token", org_id="team")
    assert loki.headers() == {"Authorization": "Bearer token", "X-Scope-OrgID": "team"}


def test_without_credentials_nothing_is_sent() -> None:
    assert LokiSettings().headers() == {}


@given(st.text(min_size=1), st.text(min_size=1))
def test_credentials_in_a_url_arrive_as_they_were_meant(username: str, password: str) -> None:
    try:
        expected = base64.b64encode(f"{username}:{password}".encode()).decode()
    except UnicodeEncodeError:
        return
    loki = LokiSettings(url=f"http://{quote(username, safe='')}:{quote(password, safe='')}@host:1")
    assert loki.headers() == {"Authorization": f"Basic {expected}"}
    assert loki.base_url == "http://host:1"


def test_only_https_gets_a_tls_context(tmp_path: Path) -> None:
    assert LokiSettings().ssl_context() is None
    context = LokiSettings(url="https://host").ssl_context()
    assert context is not None
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_a_missing_or_broken_ca_file_is_a_setting_error(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    https = LokiSettings(url="https://host")
    for path in (tmp_path / "nothere.pem", broken):
        with pytest.raises(SettingError, match=r"LOKI_CA_CERT_PATH"):
            replace(https, ca_cert_path=str(path)).ssl_context()
