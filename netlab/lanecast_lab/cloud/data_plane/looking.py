"""Looks at a running data plane from outside, by its registry, and runs commands in its nodes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanecast_lab.cloud.data_plane.status import REGISTRY
from lanecast_lab.errors import LabError
from lanecast_lab.node import missing_programs

REQUIRED_PROGRAMS = ("unshare", "nsenter", "mount", "umount", "mountpoint", "ip", "bridge", "nft", "sysctl")
BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node of a running data plane."""

    id: str
    kind: str
    name: str
    region: str
    pid: int
    namespace: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunningDataPlane:
    """A running data plane, as its registry has it."""

    pid: int
    change: int
    as_of: float
    problems: tuple[str, ...]
    nodes: tuple[RunningNode, ...]


def check_machine() -> None:
    """Raise :class:`LabError` naming everything that this machine lacks for a data plane."""
    if os.geteuid() != 0:
        raise LabError("--data-plane makes network namespaces: run it as root, for instance with sudo")
    if missing := missing_programs(REQUIRED_PROGRAMS):
        raise LabError(f"--data-plane needs programs that are not installed: {', '.join(missing)}")
    if not BRIDGE_FILTER.exists():
        raise LabError(
            "--data-plane needs the kernel's module br_netfilter, for security groups: modprobe br_netfilter"
        )


def read_registry(state: Path) -> RunningDataPlane:
    """What runs for a state directory; raises :class:`LabError` when nothing does."""
    try:
        read: dict[str, Any] = json.loads((state / REGISTRY).read_text())
    except FileNotFoundError:
        raise LabError(f"{state}: no data plane runs here: lanecast cloud serve --state {state} --data-plane") from None
    if not Path(f"/proc/{read['pid']}").exists():
        raise LabError(
            f"{state}: the server of this data plane was killed: start it again, or remove what is left by"
            f" lanecast cloud clean --state {state}"
        )
    nodes = tuple(RunningNode(**(node | {"addresses": tuple(node["addresses"])})) for node in read["nodes"])
    return RunningDataPlane(read["pid"], read["change"], read["as_of"], tuple(read["problems"]), nodes)


def find_node(running: RunningDataPlane, wanted: str) -> RunningNode:
    """The node of that id, or the only one of that name; instances go before all others."""
    found = [node for node in running.nodes if node.id == wanted]
    found = found or [node for node in running.nodes if node.name == wanted and node.kind == "instance"]
    found = found or [node for node in running.nodes if node.name == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise LabError(f"{wanted}: several are called so: name one of {', '.join(node.id for node in found)}")
    known = ", ".join(node.id for node in running.nodes) or "none"
    raise LabError(f"{wanted}: no node has this id or name (there: {known})")


def execute(node: RunningNode, command: Sequence[str]) -> None:
    """Become a command that runs in a node."""
    os.execvp("nsenter", ["nsenter", f"--target={node.pid}", "--net", "--mount", "--", *command])
