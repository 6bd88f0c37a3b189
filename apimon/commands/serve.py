"""`apimon serve`: the shop, behind the middleware."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from apimon.commands.options import Debug, LokiUrl, read_settings
from apimon.config import Settings
from apimon.errors import ExitCode, UsageError

# The documentation's queries are about {service="shop"}.
_DEFAULTS = Settings(service_name="shop")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that serve.")] = 1,
    service: Annotated[
        str | None, typer.Option(metavar="NAME", help="Label `service` of the logs [env: SERVICE_NAME; default: shop].")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Label `environment` of the logs [env: ENVIRONMENT].")
    ] = None,
    no_loki: Annotated[bool, typer.Option("--no-loki", help="Record nothing, start no Loki.")] = False,
    seed: Annotated[int | None, typer.Option(help="Makes delays and shortages the same in every run.")] = None,
    delay_scale: Annotated[float, typer.Option(help="Factor on the simulated delays; 0 is none.")] = 1.0,
    stock_failure: Annotated[float, typer.Option(help="Share of purchases that are out of stock.")] = 0.1,
    db: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The shop's SQLite file [default: in the data folder].")
    ] = None,
    loki: LokiUrl = None,
    debug: Debug = False,
) -> ExitCode:
    """Serve the demo shop, with every request logged to Loki, until Ctrl-C.

    \b
    Examples:
      apimon serve
      apimon serve --port 0 --workers 2
      apimon serve --seed 1 --delay-scale 0 --stock-failure 0
      apimon serve --loki https://logs.example.com --service my-shop
    """  # noqa: D301 (Typer's mark for lines that stay as they are)
    if not host:
        raise UsageError("--host '' is not valid: allowed is an address of this machine, 0.0.0.0 for all of them")
    settings = read_settings(loki, defaults=_DEFAULTS)
    settings = replace(
        settings,
        service_name=_check_label("--service", service) or settings.service_name,
        environment=_check_label("--environment", environment) or settings.environment,
        enabled=settings.enabled and not no_loki,
    )
    _check_range("--delay-scale", delay_scale, math.inf)
    _check_range("--stock-failure", stock_failure, 1)

    from apimon.server import runner
    from apimon.server.shop import ShopConfig

    shop = ShopConfig(
        db=db or settings.data_dir / "shop.db", seed=seed, delay_scale=delay_scale, stock_failure=stock_failure
    )
    runner.serve(runner.ServeConfig(shop, settings, host=host, port=port, workers=workers, debug=debug), _say)
    return ExitCode.OK


def _check_label(option: str, value: str | None) -> str | None:
    if value is not None and not 0 < len(value.encode("utf-8", "replace")) <= 2048:
        raise UsageError(f"{option} {value[:40]!r} is not valid: allowed is 1 to 2048 bytes of text")
    return value


def _check_range(option: str, value: float, highest: float) -> None:
    if not (0 <= value <= highest and math.isfinite(value)):
        allowed = "a number from 0 on" if highest == math.inf else f"a number from 0 to {highest:g}"
        raise UsageError(f"{option} {value} is not valid: allowed is {allowed}")


def _say(message: str) -> None:
    # One write: a signal, or another process at the same terminal, can't come between a line and its end.
    sys.stderr.write(f"apimon: {message}\n")
    sys.stderr.flush()
