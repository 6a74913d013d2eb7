"""What the machine is, how busy it is, and who uses its processors."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lanecast_bench.processes import BenchError, run
from lanecast_bench.tools import ROOT

QUIET_SHARE = 0.08
"""Below this share of all processors the machine counts as idle."""

LOOK_S = 0.25
KERNEL_THREADS_PARENT = "2"
CLOCK_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Machine(BaseModel):
    """Where and of what code a run was."""

    model_config = ConfigDict(frozen=True)

    kernel: str
    processor: str
    processors: int
    memory_bytes: int
    revision: str


def describe() -> Machine:
    """This machine, and the project's revision; ``+changes`` says that files differ from it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return Machine(
        kernel=platform.release(),
        processor=found[1] if found else platform.machine(),
        processors=os.cpu_count() or 0,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        revision=_revision(),
    )


def _revision() -> str:
    git = ("git", "-c", "safe.directory=*", "-C", str(ROOT))
    try:
        commit = run(*git, "rev-parse", "--short=12", "HEAD").strip()
        return commit + ("+changes" if run(*git, "status", "--porcelain", "--untracked-files=no").strip() else "")
    except BenchError:  # a source archive has no history
        return "unknown"


def busy_share(seconds: float = LOOK_S) -> float:
    """The share of all processors that was used during the next ``seconds`` (proc(5), ``stat``)."""
    before_total, before_idle = _ticks()
    time.sleep(seconds)
    total, idle = _ticks()
    return 1 - (idle - before_idle) / max(1, total - before_total)


def _ticks() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4]


def wait_quiet(
    at_most_s: float, share: Callable[[], float] = busy_share, clock: Callable[[], float] = time.monotonic
) -> float:
    """Wait until other work leaves the machine, at most ``at_most_s``; return the share that was seen last."""
    end = clock() + at_most_s
    while (busy := share()) > QUIET_SHARE and clock() < end:
        pass
    return round(busy, 3)


def cpu_seconds(sessions: set[int]) -> tuple[float, float]:
    """Processor time so far: of these sessions' processes, and of all that is not the benchmark's.

    User and system time, ended children included. The second counts what the host took away (steal), and no kernel
    threads: forwarding in the kernel is no process's.
    """
    ours, others = 0, int(Path("/proc/stat").read_text().partition("\n")[0].split()[8])
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended between the listing and the look
            continue
        used = sum(int(field) for field in fields[11:15])
        if int(fields[3]) in sessions:
            ours += used
        elif int(folder.name) != os.getpid() and fields[1] != KERNEL_THREADS_PARENT:
            others += used
    return ours / CLOCK_TICKS_A_SECOND, others / CLOCK_TICKS_A_SECOND
