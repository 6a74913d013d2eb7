"""How the data plane's own programs are told things, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lanecast_lab.cloud.data_plane.told import Told

SOON_S = 5.0


def told(directory: Path, read: Callable[[], None], *signals: signal.Signals) -> bool:
    """What becomes of a program that gets these signals."""

    async def run() -> bool:
        program = Told(directory, "program.pid", read)
        pid = int((directory / "program.pid").read_text())
        for number in signals:
            os.kill(pid, number)
            await asyncio.sleep(0)
        async with asyncio.timeout(SOON_S):
            return await program.is_over(within_s=None if signals else 0.01)

    return asyncio.run(run())


def test_it_goes_on_until_it_is_told_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read: list[str] = []
    assert not told(tmp_path, lambda: read.append("again"))
    assert told(tmp_path, lambda: read.append("again"), signal.SIGHUP, signal.SIGTERM)
    assert read == ["again"]
    assert capsys.readouterr().out == "ready\nready\n"


def test_it_ends_when_the_settings_cannot_be_taken(tmp_path: Path) -> None:
    def refuse() -> None:
        raise ValueError("no such listener")

    with pytest.raises(ValueError, match="no such listener"):
        told(tmp_path, refuse, signal.SIGHUP)


def test_it_ends_when_a_task_of_it_fails(tmp_path: Path) -> None:
    async def run() -> None:
        program = Told(tmp_path, "program.pid", lambda: None)

        async def fail() -> None:
            raise KeyError("an answer")

        asyncio.create_task(fail()).add_done_callback(lambda task: task.result())
        async with asyncio.timeout(SOON_S):
            await program.is_over()

    with pytest.raises(KeyError, match="an answer"):
        asyncio.run(run())
