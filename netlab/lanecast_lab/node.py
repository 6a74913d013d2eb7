"""A node of the lab: a process whose network and mount namespaces are the node, and commands run inside them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lanecast_lab.errors import LabError
from lanecast_lab.request import RELAY_FOLDERS

COMMAND_TIMEOUT_S = 60


@dataclass(slots=True)
class Node:
    """One node. ``pid`` is that of the process that holds its namespaces, as seen inside the lab."""

    name: str
    pid: int
    directory: Path
    """The node's own files in the lab: rendered configuration, sockets, logs."""
    processes: list[tuple[str, subprocess.Popen[str]]] = field(default_factory=list)

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` in the node's namespaces."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--", *command]

    def run(self, *command: str, stdin: str | None = None) -> str:
        """Run a command to its end and return what it printed; raise :class:`LabError` when it fails."""
        return run(self.inside(command), where=self.name, stdin=stdin)

    def json(self, *command: str) -> Any:
        """Run a command that prints JSON and return what that says."""
        return json.loads(self.run(*command))

    def start(self, role: str, *command: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command that keeps running; its errors go to the node's log of that role."""
        with (self.directory / f"{role}.log").open("a") as log:
            process = subprocess.Popen(
                self.inside(command), stdin=subprocess.PIPE, stdout=stdout, stderr=log, text=True, cwd=self.directory
            )
        self.processes.append((role, process))
        return process

    def write_batch(self, lines: Sequence[str]) -> None:
        """Run iproute2 commands in one go."""
        self.run("ip", "-batch", "-", stdin="".join(f"{line}\n" for line in lines))


def run(command: Sequence[str], where: str = "lab", stdin: str | None = None) -> str:
    """Run a command to its end and return its standard output; raise :class:`LabError` with what it said on failure."""
    result = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    if result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip())[-2000:]
        raise LabError(f"{where}: {' '.join(command)}: exit status {result.returncode}: {said}")
    return result.stdout


def hold_namespace(name: str, directory: Path) -> Node:
    """Make a node of its own namespaces that Mininet knows nothing of: a VPC's router or an instance.

    It sees no names of other namespaces: its copies of their mounts would keep them when they are removed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    forget = "if mountpoint -q /run/netns; then umount -l /run/netns; fi"
    script = f"{forget}; mount -t sysfs sysfs /sys && ip link set lo up && echo ready && exec cat"
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "--propagation=private", "--", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert holder.stdout is not None  # asked for above
    if holder.stdout.readline().strip() != "ready":
        raise LabError(f"{name}: a network namespace could not be made (exit status {holder.poll()})")
    node = Node(name, holder.pid, directory)
    node.processes.append(("namespace", holder))
    return node


def prepare(node: Node) -> None:
    """Give a node its own folders for a relay and switch off what a bare network would chatter about."""
    give_relay_folders(node)
    node.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    node.run("ip", "link", "set", "lo", "up")


def give_relay_folders(node: Node) -> None:
    """Put folders of the node's own over those that a relay uses at run time and keeps its journal in."""
    for folder in RELAY_FOLDERS:
        own = node.directory / folder.relative_to("/").parts[0]
        own.mkdir(parents=True, exist_ok=True)
        node.run("mount", "--bind", str(own), str(folder))


def missing_programs(programs: Iterable[str]) -> list[str]:
    """Those that are not on PATH."""
    return [program for program in programs if shutil.which(program) is None]


def executable(name: str) -> str:
    """The path of a program of ours, beside the interpreter that runs this or on PATH; raise when it is missing."""
    beside = Path(sys.executable).parent / name
    if os.access(beside, os.X_OK):
        return str(beside)
    found = shutil.which(name)
    if found is None:
        raise LabError(f"{name} is not installed: run `make demo` once, or `pip install 'lanecast[lab]'`")
    return found
