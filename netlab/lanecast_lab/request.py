"""What the command asks of a supervisor, and what a supervisor says back: one JSON object a line each way."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

PRIVATE_FOLDERS = ("/run", "/var/tmp", "/var/lib")
"""Folders of which a lab has its own, in memory: what it and its daemons leave there goes with it."""

LAB_DIRECTORY = Path("/run/lanecast-lab")
REPORT_DIRECTORY = LAB_DIRECTORY / "report"
RELAY_FOLDERS = (Path("/run/lanecast-relay"), Path("/var/lib/lanecast-relay"))
"""A relay's runtime and state folders (systemd.exec(5)); each node puts its own over them."""
RUNTIME_FOLDERS = (*RELAY_FOLDERS, Path("/run/frr"), Path("/run/netns"))
"""Folders that the nodes' programs expect."""
LEDGER = LAB_DIRECTORY / "ledger.json"


class CloudSource(StrEnum):
    """Where the cloud's side of a lab comes from."""

    FABRIC = "fabric"
    """The compiler's expectation."""
    PULUMI = "pulumi"
    """An emulated cloud, in which Pulumi makes the regions."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A lab to build and, unless ``keep_up``, the traffic to send through it. Paths are absolute."""

    plan: str
    name: str
    keep_up: bool = False
    replays: dict[str, str] = field(default_factory=dict)
    speed: float = 1.0
    losses: dict[str, float] = field(default_factory=dict)
    """Percent of datagrams lost, by ``feed.line``."""
    seed: int = 1
    duration_s: float = 10.0
    cloud: CloudSource = CloudSource.FABRIC
    cloud_change: str = ""
    """With ``pulumi``: what is run once the regions are up."""
    destroy: bool = True
    """With ``pulumi``: whether Pulumi removes the regions at the end."""
    captures: bool = True
    """Whether every node's packets go into the report."""
    width: int = 100
    """Characters that the person's terminal is wide."""
    color: bool = False

    def encode(self) -> str:
        """The request as one line."""
        return json.dumps(asdict(self))

    @staticmethod
    def decode(line: str) -> RunRequest:
        """Read what :meth:`encode` wrote."""
        return RunRequest(**json.loads(line))


def event(kind: str, **values: Any) -> str:
    """One line of a supervisor: ``phase``, ``progress``, ``up``, ``done`` or ``failed``."""
    return json.dumps({"event": kind, **values}, default=str)
