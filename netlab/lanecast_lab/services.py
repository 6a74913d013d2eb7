"""What runs on the nodes besides routing: kernel settings, filters, relays and packet captures."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanecast.fabric import (
    Host,
    HostRole,
)
from lanecast_lab import waits
from lanecast_lab.errors import LabError
from lanecast_lab.instances import RELAY
from lanecast_lab.node import Node, executable
from lanecast_templates.networkd_files import NetworkdError, read_files
from lanecast_templates.user_data import USER_DATA

LOOKING_ON = "30"
"""By how much a looker-on's niceness is above that of the lab."""


def apply_settings(node: Node, rendered: Path, interfaces: Collection[str]) -> None:
    """Do what a booting box would do with its rendered sysctl, networkd and filter files.

    Machine-wide kernel settings are left out: the machine is not the lab's. ``interfaces`` are there already. Where
    there is user data, an instance was started with all of that before.
    """
    if (rendered / USER_DATA).exists():
        return
    sysctl = rendered / "etc/sysctl.d/60-lanecast.conf"
    if sysctl.exists():
        node.run("sysctl", "-q", "-p", str(sysctl))
    folder = rendered / "etc/systemd/network"
    if folder.exists():
        try:
            files = read_files({path.name: path.read_text() for path in folder.iterdir()})
        except NetworkdError as error:
            raise LabError(f"{node.name}: {error}") from None
        node.write_batch(list(files.commands(interfaces)))
    filters = rendered / "etc/nftables.conf"
    if filters.exists():
        node.run("nft", "-f", str(filters))


def read_line(process: subprocess.Popen[str], within_s: float, what: str) -> str:
    """The next line of a process's output; raise :class:`LabError` when none comes in time or it ended."""
    assert process.stdout is not None  # started with a pipe
    ready, _, _ = select.select([process.stdout], [], [], within_s)
    line = process.stdout.readline() if ready else ""
    if not line:
        state = f"ended with status {process.poll()}" if ready else f"said nothing within {within_s:.0f} s"
        raise LabError(f"{what} {state}")
    return line


@dataclass(slots=True)
class RelayProcess:
    """A relay that runs on a node."""

    host: Host
    node: Node
    process: subprocess.Popen[str]

    def await_ready(self) -> None:
        """Wait until its sockets are open and its groups joined."""
        log = self.node.directory / "relay.log"
        try:
            read_line(self.process, waits.PROCESS_READY_S, f"the relay on {self.host.name}")
        except LabError as error:
            raise LabError(f"{error}: {log.read_text(errors='replace')[-1500:]}") from None

    def stop(self) -> dict[str, Any]:
        """Drain and end it; return its final counters."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=waits.PROCESS_STOPPED_S)
        if self.process.returncode != 0:
            log = (self.node.directory / "relay.log").read_text(errors="replace")
            raise LabError(f"the relay on {self.host.name} ended with status {self.process.returncode}: {log[-1500:]}")
        counters: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        return counters


def start_relay(host: Host, node: Node, rendered: Path) -> RelayProcess:
    """Start the relay of a host with its rendered file; the program is the one that a box runs."""
    command = [executable("lanecast-relay"), "run", str(rendered / "etc/lanecast/relay.yaml"), "--json"]
    return RelayProcess(host, node, _start_directly(node, command))


def started_relay(host: Host, node: Node) -> RelayProcess:
    """The relay of an instance, which its user data has started."""
    return RelayProcess(host, node, next(process for role, process in node.processes if role == RELAY))


def _start_directly(node: Node, command: list[str]) -> subprocess.Popen[str]:
    """Start a command whose own process id is the one that is signalled: nsenter replaces itself."""
    return node.start(RELAY, *command)


def relay_hosts(hosts: tuple[Host, ...], role: HostRole) -> list[Host]:
    """The hosts of a role that run a relay."""
    return [host for host in hosts if host.role is role and host.relay is not None]


def start_capture(node: Node, path: Path) -> subprocess.Popen[str]:
    """Record every packet of a node until :func:`stop_capture`."""
    # What only looks on gives way to what carries packets; its buffer holds what it is late for.
    return node.start(
        "tcpdump", "nice", "-n", LOOKING_ON, "tcpdump", "-i", "any", "-n", "-B", "16384", "-Z", "root", "-w", str(path)
    )


def await_captures(processes: list[subprocess.Popen[str]], nodes: list[Node]) -> None:
    """Wait until every capture says that it listens."""

    def missing() -> list[str]:
        return [
            f"tcpdump on {node.name}"
            for node in nodes
            if "listening on" not in (node.directory / "tcpdump.log").read_text(errors="replace")
        ]

    waits.until("packet captures", waits.PROCESS_READY_S, missing)
    ended = [node.name for process, node in zip(processes, nodes, strict=True) if process.poll() is not None]
    if ended:
        raise LabError(f"tcpdump ended at once on {', '.join(ended)}")


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that the lab started, at once if it does not go by itself."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.communicate(timeout=waits.PROCESS_STOPPED_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=waits.PROCESS_STOPPED_S)


def wait_for_exit(process: subprocess.Popen[str], within_s: float, what: str) -> str:
    """Wait for a process that ends by itself and return its output; raise :class:`LabError` when it fails."""
    started = time.monotonic()
    try:
        out, _ = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        stop(process)
        raise LabError(f"{what}: still running after {time.monotonic() - started:.0f} s") from None
    if process.returncode != 0:
        raise LabError(f"{what} ended with status {process.returncode}: {out.strip()[-1000:]}")
    return out
