"""A load balancer's own program, in its namespace: asks backends, and spreads new flows over those that answer.

``python -m … DIRECTORY``: settings are in the directory, SIGHUP reads them again; what it finds is written there.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from lanecast_lab.cloud.data_plane.balancer_rules import (
    CHECKER,
    LEAST_CONNECTION,
    PROCESS_ID,
    SETTINGS,
    Settings,
    marks,
    ruleset,
)
from lanecast_lab.cloud.data_plane.conntrack import forget_marked, lasting_flows
from lanecast_lab.cloud.data_plane.health import Watch
from lanecast_lab.cloud.data_plane.status import write_status
from lanecast_lab.cloud.data_plane.told import Told

COUNTED_EVERY_S = 0.5


@dataclass(slots=True)
class _Program:
    directory: Path
    watch: Watch = field(init=False)
    settings: Settings = field(init=False)
    _rules: str = ""
    _marks: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.watch = Watch(self.apply)

    def read(self) -> None:
        """Take the settings as they are now."""
        self.settings = Settings.read((self.directory / SETTINGS).read_text())
        self.watch.set(self.settings.checks)
        self.apply()

    @property
    def counts(self) -> bool:
        """Whether a listener wants flows to be counted."""
        return any(one.scheduler == LEAST_CONNECTION for one in self.settings.balancer.listeners)

    def apply(self) -> None:
        """Rules for what is healthy now; flows to what is dead or gone are forgotten, so that they begin anew."""
        balancer, opinions = self.settings.balancer, self.watch.opinions()
        healthy = {name for name, opinion in opinions.items() if opinion} | self.settings.unchecked
        dead = {name for name, opinion in opinions.items() if opinion is False}
        rules = ruleset(balancer, healthy, lasting_flows(os.getpid()) if self.counts else {})
        if rules != self._rules:
            subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
            self._rules = rules
        allowed = marks(balancer, dead)
        forget_marked(os.getpid(), self._marks - allowed)
        self._marks = allowed
        write_status(self.directory, {"healthy": sorted(healthy), "dead": sorted(dead)})


async def _run(directory: Path) -> None:
    program = _Program(directory)
    subprocess.run(["ip", "address", "replace", f"{CHECKER}/32", "dev", "lo"], check=True)
    program.read()
    told = Told(directory, PROCESS_ID, program.read)
    while not await told.is_over(within_s=COUNTED_EVERY_S):
        if program.counts:
            program.apply()
    program.watch.stop()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
