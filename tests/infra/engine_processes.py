"""The processes of a run of the engine, found by who started whom: several runs of several people may go on at a time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROVIDERS = ("pulumi-resource-baiducloud", "lanecast_infra.provider")
"""Words of a provider's command line: the installed script's, and the module's."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process. ``began`` tells it from a later one that has its number."""

    pid: int
    began: str
    parent: int
    words: tuple[str, ...]

    @property
    def is_provider(self) -> bool:
        """Whether it is a provider of the cloud's resources."""
        return any(name in word for word in self.words for name in PROVIDERS)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; one that nobody has buried yet does not."""
        return (now := look_at(self.pid)) is not None and now.began == self.began

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self.is_alive:
            os.kill(self.pid, signal.SIGKILL)


def look_at(pid: int) -> Process | None:
    """The process of that number; None when there is none that runs."""
    folder = Path(f"/proc/{pid}")
    try:
        status = (folder / "stat").read_text().rpartition(")")[2].split()  # what follows the name, from field 3 on
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if status[0] in "ZX" else Process(pid, status[19], int(status[1]), tuple(words))


def descendants(pid: int) -> list[Process]:
    """Everything that a process has started, directly or not, while it runs itself."""
    numbers = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    everyone = [found for number in numbers if (found := look_at(number))]
    return list(_below(pid, everyone))


def providers_of(engine: int) -> list[Process]:
    """The providers that an engine has started."""
    return [one for one in descendants(engine) if one.is_provider]


def _below(pid: int, everyone: list[Process]) -> Iterator[Process]:
    for one in everyone:
        if one.parent == pid:
            yield one
            yield from _below(one.pid, everyone)
