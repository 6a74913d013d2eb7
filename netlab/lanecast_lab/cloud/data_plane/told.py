"""What the data plane's own programs have in common: they are told by signals, and end when something goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Told:
    """SIGHUP reads the settings again, SIGTERM ends the program; so does whatever fails on the way."""

    def __init__(self, directory: Path, process_id: str, read: Callable[[], None]) -> None:
        """From now on; the data plane is told so by a line of standard output, and by a file with the process's id."""
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._fail)
        loop.add_signal_handler(signal.SIGHUP, read)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        (directory / process_id).write_text(f"{os.getpid()}\n")
        print("ready", flush=True)

    def _fail(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failure = context.get("exception") or RuntimeError(context["message"])
        self._ended.set()

    async def is_over(self, within_s: float | None = None) -> bool:
        """Wait until it has to end, or so long; raises what failed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._ended.wait()
        if self._failure is not None:
            raise self._failure
        return self._ended.is_set()
