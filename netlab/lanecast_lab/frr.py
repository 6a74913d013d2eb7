"""Real FRR daemons in a node's namespace, fed with the rendered text as it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lanecast.router import Router
from lanecast_lab.errors import LabError
from lanecast_lab.node import Node
from lanecast_templates.frr_configuration import complaints, missing_lines
from lanecast_templates.frr_daemons import daemons_of, prepare, start_command, vtysh_command


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
        empty = prepare(self._directory)
        for daemon in self._daemons:
            self.node.run(*start_command(daemon, self._directory, empty))
        refused = complaints(self.vtysh("-f", str(self._configuration)))
        if refused:
            raise LabError(f"{self.router.name}: FRR refused its configuration: {' '.join(refused)[:1500]}")
        missing = missing_lines(self._configuration.read_text(), self.vtysh("-c", "show running-config"))
        if missing:
            raise LabError(f"{self.router.name}: FRR does not run what was asked: {'; '.join(missing[:10])}")

    def vtysh(self, *arguments: str) -> str:
        """Run vtysh and return what it printed."""
        return self.node.run(*vtysh_command(self._directory, *arguments))

    def show(self, command: str) -> Any:
        """The JSON answer of ``show … json``; an empty mapping when FRR has nothing to say."""
        return json.loads(self.vtysh("-c", command) or "{}")

    def logs(self) -> str:
        """All daemons' logs, one after another."""
        files = sorted(self._directory.glob("*.log"))
        return "".join(f"== {file.name}\n{file.read_text(errors='replace')}" for file in files)
