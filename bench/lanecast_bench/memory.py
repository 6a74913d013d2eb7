"""The memory of a relay that forwards and records, after few and after many rotations of its journal."""

from __future__ import annotations

import json
import re
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from lanecast_bench import machine
from lanecast_bench.namespaces import network
from lanecast_bench.processes import BenchError
from lanecast_bench.relay_file import CONTROL_SOCKET, SMALL_SEGMENT_MIB, Input, RelayOptions
from lanecast_bench.relays import RunningRelay, Setting, ours
from lanecast_bench.requirements import Requirements, verdict
from lanecast_bench.suites import CME
from lanecast_bench.tools import BUILD, mix_file
from lanecast_bench.trials import Offer, run_trial

FEW_ROTATIONS, MANY_ROTATIONS = 10, 1000
MOST_GROWTH = 1.05
RATE_PPS = 60_000
"""Messages a second on each of two lines: about half of what a relay can do, so that all of it is recorded as well."""

BLOCK_BYTES = 76
"""What a journal puts around a datagram, at least: an Enhanced Packet Block, and Ethernet, IPv4 and UDP headers."""

LOOK_S = 0.02
OPTIONS = RelayOptions(journal=True, small_journal=True)
UNRECORDED = ("dropped", "failed")
"""Counters of the datagrams that are not in the journal."""

CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid (unix(7), SO_PEERCRED)."""


class MemoryRun(Requirements):
    """Memory is that of the relay's process (proc(5), ``VmRSS``), in KiB."""

    name: ClassVar[str] = "memory"

    rate_pps: int
    resident_kib: dict[int, int]
    """After so many rotations."""
    unrecorded_datagrams: int

    @property
    def growth(self) -> float:
        """How many times the memory after few rotations the memory after many is."""
        return self.resident_kib[MANY_ROTATIONS] / self.resident_kib[FEW_ROTATIONS]

    @property
    def rows(self) -> list[list[str]]:
        """What was asked, what was measured, and the verdict."""
        asked = (
            f"a relay's memory after {MANY_ROTATIONS} rotations, two lines of {self.rate_pps:,} messages/s, at most"
            f" {MOST_GROWTH:g} × that after {FEW_ROTATIONS}"
        )
        kib = {at: f"{self.resident_kib[at] / 1024:.1f} MiB" for at in (FEW_ROTATIONS, MANY_ROTATIONS)}
        measured = f"{self.growth:.3f}× ({kib[FEW_ROTATIONS]}, {kib[MANY_ROTATIONS]})"
        return [[asked, measured, verdict(self.growth <= MOST_GROWTH)]]


@dataclass(slots=True)
class _Look:
    """What the relay's control socket tells while traffic runs."""

    resident_kib: dict[int, int] = field(default_factory=dict)
    rotations: int = 0
    unrecorded_datagrams: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self, control_socket: Path) -> None:
        while not self.done.wait(LOOK_S):
            if not control_socket.exists():
                continue  # the relay is being started
            journal, pid = _journal_counters(control_socket)
            self.rotations = journal["segments_opened"] - 1
            self.unrecorded_datagrams = sum(journal[key] for key in UNRECORDED)
            for rotations in (FEW_ROTATIONS, MANY_ROTATIONS):
                if self.rotations >= rotations and rotations not in self.resident_kib:
                    self.resident_kib[rotations] = _resident_kib(pid)


def _journal_counters(control_socket: Path) -> tuple[dict[str, int], int]:
    """What the relay tells of its journal, and its process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking, asking.makefile("rb") as answer:
        asking.connect(str(control_socket))
        asking.sendall(b'{"request": "counters"}\n')
        told = json.loads(answer.readline())
        pid, _, _ = CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    return told["journal"], pid


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise BenchError(f"process {pid} has no memory any more")
    return int(found[1])


def _seconds() -> float:
    """How long two lines take to fill so many segments, and a fifth more."""
    lines = mix_file(CME).read_text().splitlines()
    sizes = [int(line) for line in lines if not line.startswith("#")]
    recorded_bytes_s = 2 * RATE_PPS * (sum(sizes) / len(sizes) + BLOCK_BYTES)
    return 1.2 * (MANY_ROTATIONS + 1) * SMALL_SEGMENT_MIB * 2**20 / recorded_bytes_s


def measure(tell: Callable[[str], None]) -> MemoryRun:
    """Run a relay with a journal of small segments until it has rotated often enough."""
    started_at, here = datetime.now(UTC), machine.describe()
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lanecast-memory-", dir=BUILD) as folder, network(1) as built:
        spec = ours("lanecast-journal", frozenset({Input.LINES}), OPTIONS)
        relay = RunningRelay(spec, Setting(built, 1, Input.LINES, Path(folder)), ready_s=10)
        try:
            seconds = _seconds()
            tell(f"recording {MANY_ROTATIONS} segments in a relay, {seconds:.0f} s")
            look = _measured(relay, Path(folder) / CONTROL_SOCKET, seconds)
        finally:
            relay.stop()
    if len(look.resident_kib) < 2:
        raise BenchError(f"the relay rotated only {look.rotations} times in {seconds:.0f} s")
    return MemoryRun(
        started_at=started_at,
        machine=here,
        rate_pps=RATE_PPS,
        resident_kib=look.resident_kib,
        unrecorded_datagrams=look.unrecorded_datagrams,
    )


def _measured(relay: RunningRelay, control_socket: Path, seconds: float) -> _Look:
    """One trial as long as the rotations take; a thread looks at the relay meanwhile."""
    look = _Look()
    watching = threading.Thread(target=look.watch, args=(control_socket,), daemon=True)
    watching.start()
    try:
        run_trial(relay, RATE_PPS, Offer(Input.LINES, mix_file(CME), seconds=seconds))
    finally:
        look.done.set()
        watching.join()
    return look
