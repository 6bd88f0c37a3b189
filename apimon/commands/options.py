"""The options that several commands share, each declared once.

Light on purpose: importing this module must not import anything heavy.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Annotated

import typer

from apimon.config import Settings, hide_credentials, load_settings, parse_loki_url
from apimon.errors import UsageError
from apimon.units import parse_duration_s

_debug: ContextVar[bool] = ContextVar("debug", default=False)

DEFAULT_TARGET = "http://127.0.0.1:8000"


def debug_wanted() -> bool:
    """Whether this command line asked for tracebacks."""
    return _debug.get()


def remember_debug(wanted: bool) -> bool:
    """Note whether this command line wants tracebacks; Typer's callback, so it returns what it is given."""
    _debug.set(wanted)
    return wanted


def _check_url(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        return parse_loki_url(url)
    except ValueError:
        raise typer.BadParameter(f"{hide_credentials(url)!r} is not an http:// or https:// URL") from None


def duration(option: str) -> Callable[[str], float]:
    """Return a Typer parser of durations in seconds whose error names `option`."""

    def parse(text: str) -> float:
        try:
            return parse_duration_s(text)
        except ValueError as exc:
            raise UsageError(f"{option}: {exc}") from None

    parse.__name__ = "duration"
    return parse


Debug = Annotated[
    bool, typer.Option("--debug", callback=remember_debug, is_eager=True, help="Print a traceback with an error.")
]
LokiUrl = Annotated[
    str | None, typer.Option("--loki", metavar="URL", callback=_check_url, help="Loki's base URL [env: LOKI_URL].")
]


def read_settings(loki_url: str | None = None, *, defaults: Settings | None = None) -> Settings:
    """Load the settings, the `--loki` flag over them and a command's own `defaults` under them; raises SettingError."""
    settings = load_settings(defaults=defaults)
    if loki_url is None:
        return settings
    # Credentials of the environment stay.
    return replace(settings, loki=replace(settings.loki, url=loki_url))
