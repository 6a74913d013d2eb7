"""Real FRR daemons in a node's namespace, fed with the rendered text as it stands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lanecast.fabric import Router
from lanecast_lab.errors import LabError
from lanecast_lab.node import Node
from lanecast_templates.frr_configuration import missing_lines

FRR_DAEMONS = Path("/usr/lib/frr")
DAEMON_ORDER = ("zebra", "staticd", "bgpd", "pimd")


def daemons_of(daemons_file: str) -> list[str]:
    """The daemons that a rendered ``/etc/frr/daemons`` switches on; zebra and staticd always run (FRR's own rule)."""
    enabled = {line.partition("=")[0] for line in daemons_file.splitlines() if line.strip().endswith("=yes")}
    return [daemon for daemon in DAEMON_ORDER if daemon in enabled | {"zebra", "staticd"}]


class FrrRouter:
    """One router's daemons and its vtysh."""

    def __init__(self, router: Router, node: Node, rendered: Path) -> None:
        self.router = router
        self.node = node
        self._configuration = rendered / "etc/frr/frr.conf"
        self._daemons = daemons_of((rendered / "etc/frr/daemons").read_text())
        self._directory = node.directory / "frr"

    def start(self) -> None:
        """Start the daemons empty and load the configuration; raise :class:`LabError` on anything that it says."""
        self._directory.mkdir(parents=True, exist_ok=True)
        shutil.chown(self._directory, "frr", "frr")
        empty = self._directory / "empty.conf"
        empty.touch()
        shutil.chown(empty, "frr", "frr")
        for daemon in self._daemons:
            self.node.run(
                str(FRR_DAEMONS / daemon), "-d", "-u", "frr", "-g", "frr", "-f", str(empty),
                "-i", str(self._directory / f"{daemon}.pid"), "-z", str(self._directory / "zserv.api"),
                "--vty_socket", str(self._directory), "--log", f"file:{self._directory / daemon}.log",
            )  # fmt: skip
        said = self.vtysh("-f", str(self._configuration)).strip()
        if said:
            raise LabError(f"{self.router.name}: FRR refused its configuration: {said[:1500]}")
        missing = missing_lines(self._configuration.read_text(), self.vtysh("-c", "show running-config"))
        if missing:
            raise LabError(f"{self.router.name}: FRR does not run what was asked: {'; '.join(missing[:10])}")

    def vtysh(self, *arguments: str) -> str:
        """Run vtysh and return what it printed."""
        return self.node.run("vtysh", "--vty_socket", str(self._directory), *arguments)

    def show(self, command: str) -> Any:
        """The JSON answer of ``show … json``; an empty mapping when FRR has nothing to say."""
        return json.loads(self.vtysh("-c", command) or "{}")

    def logs(self) -> str:
        """All daemons' logs, one after another."""
        files = sorted(self._directory.glob("*.log"))
        return "".join(f"== {file.name}\n{file.read_text(errors='replace')}" for file in files)
