"""The settings: environment variable, then `.env` in the working directory, then the default.

Owns every default and every validation of them; knows nothing of commands. A command-line flag overrides a
loaded setting with `dataclasses.replace`.
"""

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from apimon.errors import SettingError
from apimon.units import NS_PER_S, parse_duration_ns

if TYPE_CHECKING:
    from ssl import SSLContext

T = TypeVar("T")

DEFAULT_LOKI_URL = "http://127.0.0.1:3100"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_SECRETS = frozenset({"LOKI_PASSWORD", "LOKI_BEARER_TOKEN"})
_HEADER_VALUE = "printable ASCII, since it is sent as a header"


@dataclass(frozen=True)
class LokiSettings:
    """Where Loki is and who we are there. `repr` never shows a secret."""

    url: str = field(default=DEFAULT_LOKI_URL, repr=False)
    """Base URL as given, with a path prefix and credentials where it has them: print `base_url` instead."""
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    bearer_token: str = field(default="", repr=False)
    org_id: str = ""
    ca_cert_path: str = ""

    @property
    def host(self) -> str:
        """The host name or address, lower case, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, given or the scheme's own."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_loopback(self) -> bool:
        """Whether an embedded server may be started at this URL."""
        return self.host in LOOPBACK_HOSTS and urlsplit(self.url).scheme == "http"

    @property
    def base_url(self) -> str:
        """The URL without credentials and without a slash at its end: safe to print."""
        parts = urlsplit(self.url)
        netloc = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"

    def headers(self) -> dict[str, str]:
        """Headers that authenticate a request: bearer token before basic, explicit names before the URL's."""
        headers: dict[str, str] = {}
        parts = urlsplit(self.url)
        username = self.username or unquote(parts.username or "")
        password = self.password or unquote(parts.password or "")
        if self.bearer_token:
            headers["Authorization"] = f"Bearer {self.bearer_token}"
        elif username or password:
            token = base64.b64encode(f"{username}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        if self.org_id:
            headers["X-Scope-OrgID"] = self.org_id
        return headers

    def ssl_context(self) -> "SSLContext | None":
        """The context for https, with the own CA where one is set; None for http."""
        if urlsplit(self.url).scheme != "https":
            return None
        import ssl

        try:
            return ssl.create_default_context(cafile=self.ca_cert_path or None)
        except (OSError, ssl.SSLError) as exc:
            raise SettingError("LOKI_CA_CERT_PATH", self.ca_cert_path, "a readable file of PEM certificates") from exc


def _user_data_dir() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("apimon", appauthor=False))


@dataclass(frozen=True)
class Settings:
    """Everything that the environment decides, validated."""

    loki: LokiSettings = field(default_factory=LokiSettings)
    enabled: bool = True
    service_name: str = "fastapi-api"
    environment: str = "development"
    data_dir: Path = field(default_factory=_user_data_dir)
    capture_body: bool = True
    exclude: frozenset[str] = frozenset()
    sample: float = 1.0
    """Share of fast successes kept, 0 to 1."""
    slow_ns: int = NS_PER_S
    """From this duration on (inclusive) a request is slow."""


def load_settings(
    environ: Mapping[str, str] | None = None, *, directory: Path | None = None, defaults: Settings | None = None
) -> Settings:
    """Read the settings from `environ` (default: the process's) and `.env` in `directory` (default: the working one).

    Raises SettingError, which names the variable, its value and what is allowed.
    """
    source = _Source(os.environ if environ is None else environ, directory or Path.cwd())
    defaults = defaults or Settings()
    return Settings(
        loki=_load_loki(source),
        enabled=source.read("LOKI_ENABLED", defaults.enabled, _parse_bool, "true or false"),
        service_name=source.read("SERVICE_NAME", defaults.service_name, _parse_label, "1 to 2048 bytes of text"),
        environment=source.read("ENVIRONMENT", defaults.environment, _parse_label, "1 to 2048 bytes of text"),
        data_dir=source.read("APIMON_DATA_DIR", defaults.data_dir, _parse_path, "a folder"),
        capture_body=source.read("APIMON_CAPTURE_BODY", defaults.capture_body, _parse_bool, "true or false"),
        exclude=source.read("APIMON_EXCLUDE", defaults.exclude, _parse_paths, "comma-separated paths such as /health"),
        sample=source.read("APIMON_SAMPLE", defaults.sample, _parse_share, "a number from 0 to 1"),
        slow_ns=source.read("APIMON_SLOW", defaults.slow_ns, parse_duration_ns, "a duration such as 250ms or 1s"),
    )


def parse_loki_url(text: str) -> str:
    """Return the URL unchanged if it can be Loki's base URL; raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(text)
    _ = parts.port  # raises ValueError where it is no number up to 65535
    parts.hostname.encode("idna")  # raises UnicodeError, a ValueError, where no name server could be asked for it
    return text


def _load_loki(source: "_Source") -> LokiSettings:
    defaults = LokiSettings()
    url = source.read("LOKI_URL", defaults.url, parse_loki_url, "an http:// or https:// URL")
    return LokiSettings(
        url=url,
        username=source.read("LOKI_USERNAME", "", str, "text"),
        password=source.read("LOKI_PASSWORD", "", str, "text"),
        bearer_token=source.read("LOKI_BEARER_TOKEN", "", _parse_header_value, _HEADER_VALUE),
        org_id=source.read("LOKI_ORG_ID", "", _parse_header_value, _HEADER_VALUE),
        ca_cert_path=source.read("LOKI_CA_CERT_PATH", "", str, "a file"),
    )


class _Source:
    """The environment before the `.env` file; an empty value counts as not set."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ = environ
        dotenv = directory / ".env"
        try:
            self._file = _read_dotenv(dotenv) if dotenv.is_file() else {}
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingError(".env", str(dotenv), "a readable UTF-8 file of NAME=value lines") from exc

    def read(self, name: str, default: T, parse: Callable[[str], T], allowed: str) -> T:
        value = self._environ.get(name) or self._file.get(name)
        if not value:
            return default
        try:
            return parse(value)
        except ValueError:
            shown = "***" if name in _SECRETS else hide_credentials(value)
            # Not from the parser's error, which holds the value whole and would be in the traceback of --debug.
            raise SettingError(name, shown, allowed) from None


def _read_dotenv(path: Path) -> Mapping[str, str]:
    from decouple import RepositoryEnv

    values: Mapping[str, str] = RepositoryEnv(str(path)).data
    return values


def hide_credentials(value: str) -> str:
    """Return a URL, or what was meant as one, with `***` for what stands before its last `@`."""
    credentials, at, host = value.rpartition("@")
    scheme, separator, _ = credentials.partition("://")
    return f"{scheme if separator else ''}{separator}***@{host}" if at else value


def _parse_bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError(text)


def _parse_label(text: str) -> str:
    if not 0 < len(text.encode()) <= 2048:
        raise ValueError(text)
    return text


def _parse_header_value(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError(text)
    return text


def _parse_path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as exc:  # ~name of a user that isn't there
        raise ValueError(text) from exc


def _parse_paths(text: str) -> frozenset[str]:
    paths = frozenset(part.strip() for part in text.split(",") if part.strip())
    if any(not path.startswith("/") for path in paths):
        raise ValueError(text)
    return paths


def _parse_share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share
