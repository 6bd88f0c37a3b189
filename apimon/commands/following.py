"""What `tail` does once its options are read: attach, follow, print, end. Imported by the command when it runs."""

import asyncio
from contextlib import ExitStack, aclosing, suppress
from types import TracebackType
from typing import Self

from apimon.commands.live_output import LiveOutput
from apimon.commands.reading import PreparedQuery, say
from apimon.config import Settings
from apimon.loki.client import AsyncLokiClient
from apimon.loki.follow import Follower
from apimon.loki.local import attach_loki
from apimon.loki.output import OutputFormat


def follow_query(prepared: PreparedQuery, settings: Settings, history: int, output: OutputFormat) -> None:
    """Print the last `history` lines and what comes after, until the person or the reader of the pipe ends it."""
    live = LiveOutput()
    with live.ended_by_signals(), suppress(KeyboardInterrupt), _LeasedLoki(settings) as leased:
        asyncio.run(_follow(prepared, leased, history, output, live))


class _LeasedLoki:
    """The Loki that is followed, kept alive; found again after it was gone."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._attachment = self._stack.enter_context(attach_loki(self.settings))
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    async def renew(self) -> None:
        """Take a lease on the embedded server that has come back; raises LokiUnreachableError while there is none.

        One that was started here is started again. Any other is left to come back by itself: ours would take its port.
        """
        if self._attachment.embedded:
            await asyncio.to_thread(self._attach_again)

    def _attach_again(self) -> None:
        fresh = ExitStack()
        self._attachment = fresh.enter_context(attach_loki(self.settings, start=self._attachment.started))
        self._stack.close()
        self._stack = fresh


async def _follow(
    prepared: PreparedQuery, leased: _LeasedLoki, history: int, output: OutputFormat, live: LiveOutput
) -> None:
    async with AsyncLokiClient(settings=leased.settings.loki) as client:
        follower = Follower(client, prepared.text, prepared.pipeline, say=say, restore=leased.renew)
        printing = asyncio.create_task(_print(follower, history, output, live))
        ending = asyncio.create_task(live.wait_for_end())
        try:
            await asyncio.wait({printing, ending}, return_when=asyncio.FIRST_COMPLETED)
            if printing.done():
                printing.result()
        finally:
            printing.cancel()
            ending.cancel()
            await asyncio.gather(printing, ending, return_exceptions=True)


async def _print(follower: Follower, history: int, output: OutputFormat, live: LiveOutput) -> None:
    async with aclosing(follower.follow(history)) as batches:
        async for entries in batches:
            try:
                live.write(output.format_entry(labels, entry) for labels, entry in entries)
            except KeyboardInterrupt:  # raised by LiveOutput alone, in the middle of this write
                return
