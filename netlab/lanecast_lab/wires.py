"""Point-to-point links: veth pairs, with the native wire between them where a link has a delay.

The kernel's netem is not asked for even where it exists: with one wire everywhere, figures of two machines can be
compared. Bandwidth is checked in the plan and not limited here; the verdict says so.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass
from typing import Any

from lanecast_lab.errors import LabError
from lanecast_lab.node import Node, executable, run

PING_COUNT = 20
PING_INTERVAL_S = "0.02"
NANOSECONDS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class End:
    """A node's end of a link: its interface there, and the address by which the other end can be pinged."""

    node: Node
    interface: str
    address: str


@dataclass(frozen=True, slots=True)
class Wire:
    """A point-to-point link of the lab."""

    name: str
    first: End
    second: End
    delay_ns: int


def connect(wires: list[Wire]) -> None:
    """Make the interfaces of every link, and leave the outer halves of delayed ones for the native wire."""
    lines = []
    for index, wire in enumerate(wires):
        ends = (wire.first, wire.second)
        if wire.delay_ns == 0:
            first, second = (f"name {end.interface} netns {end.node.pid}" for end in ends)
            lines.append(f"link add {first} type veth peer {second}")
            continue
        for side, end in zip("ab", ends, strict=True):
            outer = _outer(index, side)
            lines.append(f"link add {outer} type veth peer name {end.interface} netns {end.node.pid}")
            lines.append(f"link set {outer} up")
    run(["ip", "-batch", "-"], where="links", stdin="".join(f"{line}\n" for line in lines))
    for end in (end for wire in wires if wire.delay_ns for end in (wire.first, wire.second)):
        # A wire carries frames one by one: super-frames and unfinished checksums must not reach it.
        end.node.run(executable("lanecast-wire"), "plain-offloads", end.interface)
    _set_up([end for wire in wires for end in (wire.first, wire.second)])


def _set_up(ends: list[End]) -> None:
    """Bring every end up, as a box's ports are once it is cabled."""
    interfaces: dict[str, list[str]] = {}
    nodes = {end.node.name: end.node for end in ends}
    for end in ends:
        interfaces.setdefault(end.node.name, []).append(end.interface)
    for name, node in nodes.items():
        node.write_batch([f"link set {interface} up" for interface in interfaces[name]])


def _outer(index: int, side: str) -> str:
    return f"wire{index}{side}"


class DelayLine:
    """The native process that carries every delayed link of a lab."""

    def __init__(self, wires: list[Wire]) -> None:
        self._figures: list[dict[str, Any]] = []
        pairs = []
        for index, wire in enumerate(wires):
            if wire.delay_ns:
                pairs += ["--pair", f"{wire.name},{_outer(index, 'a')},{_outer(index, 'b')},{wire.delay_ns}"]
        self._process = (
            subprocess.Popen(
                [executable("lanecast-wire"), "delay", *pairs],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            if pairs
            else None
        )
        if self._process is not None:
            self._await_ready(self._process)

    @staticmethod
    def _await_ready(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # asked for above
        assert process.stderr is not None
        line = process.stdout.readline()
        if not line:
            raise LabError(f"the native wire did not start: {process.stderr.read().strip()}")

    def stop(self) -> list[dict[str, Any]]:
        """End the process and return its own figures of each link; the same again when it has ended before."""
        if self._process is None or self._figures:
            return self._figures
        with contextlib.suppress(BrokenPipeError):
            out, err = self._process.communicate(timeout=20)
        if self._process.returncode != 0:
            raise LabError(f"the native wire failed: {err.strip()}")
        self._figures = json.loads(out.strip().splitlines()[-1])["pairs"]
        return self._figures


@dataclass(frozen=True, slots=True)
class MeasuredDelay:
    """What a link takes one way: half the round trip of pings, in nanoseconds."""

    median_ns: int
    fastest_ns: int


def measure_delay(wire: Wire) -> MeasuredDelay:
    """Ping over a link from its first end."""
    out = wire.first.node.run(
        "ping", "-n", "-c", str(PING_COUNT), "-i", PING_INTERVAL_S, "-W", "2",
        "-I", wire.first.interface, "-I", wire.first.address,
        wire.second.address,
    )  # fmt: skip
    times_ms = sorted(float(line.partition("time=")[2].split()[0]) for line in out.splitlines() if "time=" in line)
    if len(times_ms) < PING_COUNT // 2:
        raise LabError(f"{wire.name}: only {len(times_ms)} of {PING_COUNT} pings came back")
    median_ns, fastest_ns = (int(ms * NANOSECONDS_PER_MS / 2) for ms in (times_ms[len(times_ms) // 2], times_ms[0]))
    return MeasuredDelay(median_ns, fastest_ns)
