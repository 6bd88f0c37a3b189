"""What `apimon demo` shows, step by step, with the commands that a user would type."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apimon.commands.both_sides import BothSides, Side, await_server_side, read_client_side
from apimon.commands.children import ChildError, Children
from apimon.config import LokiSettings, Settings
from apimon.errors import ApimonError, ExitCode
from apimon.loki.client import AsyncLokiClient

USERS = 5
DURATION = "10s"
SERVICE = "shop"
PATIENCE_S = 10.0
"""How long the counts of both sides may take to agree."""


class DisagreementError(ApimonError):
    """The server recorded other requests than the client sent."""


class Demonstration:
    """One run of the demo, with its files in `folder`; it brings its own Loki unless settings with one are `given`."""

    def __init__(
        self, folder: Path, given: Settings | None, *, once: bool, duration: str = DURATION, delay_scale: float = 1.0
    ) -> None:
        self._folder = folder
        self._given = given
        self._once = once
        self._duration = duration
        self._delay_scale = delay_scale
        self._is_following = False

    def run(self) -> ExitCode:
        """Show everything and return the exit code; whatever was started has ended then.

        Ctrl-C and SIGTERM are a good end once the logs are followed. Raises ChildError and DisagreementError.
        """
        try:
            asyncio.run(self._run_until_signalled())
        except (KeyboardInterrupt, asyncio.CancelledError):
            return ExitCode.OK if self._is_following else ExitCode.INTERRUPTED
        return ExitCode.OK

    async def _run_until_signalled(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a coroutine runs in a task")
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await self._show()

    async def _show(self) -> None:
        async with Children(self._folder, _environment(self._given, self._folder)) as children:
            loki = self._given.loki if self._given else LokiSettings(url=await self._start_loki(children))
            _say(f"logs go to {loki.base_url}")
            shop_url = await self._start_shop(children, loki)
            _say(f"every endpoint once: apimon smoke {shop_url}")
            await _require_success(children, "smoke", shop_url)
            await _compare(await self._load(children, shop_url), loki)
            if not self._once:
                await self._follow(children, loki, shop_url)

    async def _start_loki(self, children: Children) -> str:
        return await children.serve("loki", "--port", "0", "--data-dir", str(self._folder / "logs"))

    async def _start_shop(self, children: Children, loki: LokiSettings) -> str:
        return await children.serve(
            "serve", "--port", "0", "--db", str(self._folder / "shop.db"), "--delay-scale", str(self._delay_scale),
            "--service", SERVICE, "--loki", loki.url,
        )  # fmt: skip

    async def _load(self, children: Children, shop_url: str) -> dict[str, Any]:
        arguments = (shop_url, "--users", str(USERS), "--duration", self._duration)
        _say(f"{USERS} users for {self._duration}: apimon load {' '.join(arguments)}")
        path = self._folder / "load.json"
        await _require_success(children, "load", *arguments, "--json", str(path))
        report: dict[str, Any] = json.loads(path.read_bytes())
        return report

    async def _follow(self, children: Children, loki: LokiSettings, shop_url: str) -> None:
        self._is_following = True
        _say(f"the shop goes on at {shop_url}; Ctrl-C ends it and everything else")
        _say(f"its logs: apimon tail --service {SERVICE} --loki {loki.base_url}")
        await _require_success(children, "tail", "--service", SERVICE, "--loki", loki.url)


async def _require_success(children: Children, name: str, *arguments: str) -> None:
    code = await children.run(name, *arguments)
    if code:
        raise ChildError(f"'apimon {name}' failed with exit code {code}; the lines above say why")


async def _compare(report: Mapping[str, Any], loki: LokiSettings) -> None:
    run_id = report["run_id"]
    _say(f"run {run_id} from both sides: the client's latencies, and those that the logs say")
    sent = read_client_side(report)
    async with AsyncLokiClient(settings=loki) as client:
        recorded = await await_server_side(client, service=SERVICE, run_id=run_id, expected=sent, patience_s=PATIENCE_S)
    _print_comparison(sent, recorded)


def _print_comparison(sent: Side, recorded: Side) -> None:
    both = BothSides(sent, recorded)
    print(both.render(), flush=True)
    differences = both.find_differences()
    if differences:
        raise DisagreementError(f"the counts still differ after {PATIENCE_S:g} s: {'; '.join(differences)}")
    print(f"both sides counted {both.requests[0]} requests in {len(sent)} routes", flush=True)


def _environment(given: Settings | None, folder: Path) -> dict[str, str]:
    """Return what the commands are run with: ours without the settings, which would change what is shown."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOKI_", "APIMON_")) and name not in {"SERVICE_NAME", "ENVIRONMENT"}
    }
    if given is None:
        return kept | {"APIMON_DATA_DIR": str(folder / "data")}
    loki = given.loki
    settings = {
        "APIMON_DATA_DIR": str(given.data_dir.absolute()),
        "LOKI_USERNAME": loki.username,
        "LOKI_PASSWORD": loki.password,
        "LOKI_BEARER_TOKEN": loki.bearer_token,
        "LOKI_ORG_ID": loki.org_id,
        "LOKI_CA_CERT_PATH": loki.ca_cert_path and str(Path(loki.ca_cert_path).absolute()),
    }
    return kept | {name: value for name, value in settings.items() if value}


def _say(message: str) -> None:
    print(f"apimon: {message}", file=sys.stderr, flush=True)
