"""The outside of a lab: starts its supervisor in namespaces of its own, listens to it, and finds running ones.

Nothing of a lab is kept on the machine's disk. Which labs run is read from the processes that are them, so there is no
record that could outlive one.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanecast_lab import waits
from lanecast_lab.errors import LabError
from lanecast_lab.node import missing_programs
from lanecast_lab.request import LEDGER, RunRequest

SUPERVISOR_MODULE = "lanecast_lab.supervisor"
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent dies."""

REQUIRED_PROGRAMS = ("unshare", "nsenter", "mount", "ip", "bridge", "nft", "sysctl", "vtysh", "mnexec", "brctl", "ping")

Event = dict[str, Any]


def check_machine() -> None:
    """Raise :class:`LabError` naming everything that this machine lacks for a lab."""
    if os.geteuid() != 0:
        raise LabError("a lab makes network namespaces: run it as root, for instance with sudo")
    if missing := missing_programs((*REQUIRED_PROGRAMS, "tcpdump")):
        raise LabError(f"not installed: {', '.join(missing)}; setup/debian-packages.txt names the packages")


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start_supervisor(request: RunRequest) -> subprocess.Popen[str]:
    """Start a lab. One that is not asked to stay up dies with this process, however that ends."""
    command = [
        "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--propagation=private", "--",
        sys.executable, "-m", SUPERVISOR_MODULE, request.name,
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if not request.keep_up else subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=None if request.keep_up else _die_with_parent,
    )
    assert process.stdin is not None  # asked for above
    process.stdin.write(request.encode() + "\n")
    process.stdin.flush()
    return process


def events(process: subprocess.Popen[str]) -> Iterator[Event]:
    """What a supervisor says, until it ends."""
    assert process.stdout is not None  # asked for in start_supervisor
    for line in process.stdout:
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


def run_lab(request: RunRequest, report: Path, listen: Callable[[Event], None]) -> Event:
    """Run a whole lab, copy its report and return its ``done`` event.

    Raises :class:`LabError` when the run could not be done.
    """
    process = start_supervisor(request)
    last: Event | None = None
    try:
        for event in events(process):
            listen(event)
            if event["event"] in ("done", "failed"):
                last = event
                _copy_report(process.pid, event["report"], report)
                _answer(process)
                break
        _, errors = process.communicate(timeout=waits.PROCESS_STOPPED_S)
    except BaseException:
        stop_process(process)
        raise
    if last is None:
        raise LabError(f"the lab ended with status {process.returncode}: {errors.strip()[-2000:]}")
    if last["event"] == "failed":
        raise LabError(last["message"])
    return last


def bring_up_lab(request: RunRequest, listen: Callable[[Event], None]) -> Event:
    """Start a lab that stays; return its ``up`` event, or raise :class:`LabError` when it did not come up."""
    process = start_supervisor(request)
    try:
        for event in events(process):
            listen(event)
            if event["event"] == "up":
                return event
            if event["event"] == "failed":
                _answer(process)
                process.wait(waits.PROCESS_STOPPED_S)
                raise LabError(event["message"])
    except BaseException:
        stop_process(process)
        raise
    raise LabError(f"the lab ended with status {process.wait(waits.PROCESS_STOPPED_S)} before it was up")


def _answer(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # asked for in start_supervisor
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write("collected\n")
        process.stdin.flush()


def _copy_report(unshare_pid: int, inside: str, report: Path) -> None:
    """Copy what the lab wrote in its own memory, through its root as the kernel shows it."""
    source = Path(f"/proc/{_child(unshare_pid)}/root{inside}")
    if not source.is_dir():
        return
    report.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        shutil.copyfile(file, report / file.name)


def _child(pid: int) -> int:
    """The only child of ``unshare --fork``: the supervisor."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def stop_process(process: subprocess.Popen[str]) -> None:
    """Ask a lab to take itself down; kill it when it does not. Either way the kernel removes what is left."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
            os.kill(_child(process.pid), signal.SIGTERM)
        try:
            process.wait(waits.PROCESS_STOPPED_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(waits.PROCESS_STOPPED_S)


@dataclass(frozen=True, slots=True)
class RunningLab:
    """A lab that runs on this machine. ``pid`` is its supervisor's, as this machine counts."""

    pid: int
    name: str
    plan: str
    keep_up: bool
    nodes: dict[str, int]
    """Each node's process, as the lab counts."""


def running_labs() -> list[RunningLab]:
    """Every lab that runs on this machine, by name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _is_supervisor(entry):
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, PermissionError):
                ledger = json.loads((entry / "root" / LEDGER.relative_to("/")).read_text())
                found.append(RunningLab(int(entry.name), **ledger))
    return sorted(found, key=lambda lab: (lab.name, lab.pid))


def _is_supervisor(entry: Path) -> bool:
    """Whether a process is a lab's first one: a child that it is starting has the same command line for a moment."""
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
        status = (entry / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return words[1:3] == [b"-m", SUPERVISOR_MODULE.encode()] and numbers[-1:] == ["1"] and len(numbers) > 1


def find_lab(name: str | None) -> RunningLab:
    """The lab of that name, or the only one; raise :class:`LabError` when that is not clear."""
    labs = running_labs()
    chosen = [lab for lab in labs if name is None or lab.name == name]
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(lab.name for lab in labs) or "none"
    if not chosen:
        raise LabError(f"no lab {'is up' if name is None else f'is called {name}'} (running: {known})")
    raise LabError(f"several labs are up: name one with --lab ({known})")


def exec_in_node(lab: RunningLab, node: str, command: list[str]) -> int:
    """Run a command in a node of a running lab, on this terminal; return its exit status."""
    if node not in lab.nodes:
        raise LabError(f"{lab.name} has no node {node}: it has {', '.join(sorted(lab.nodes))}")
    inside = ["nsenter", f"--target={lab.nodes[node]}", "--net", "--mount", "--", *command]
    outside = ["nsenter", f"--target={lab.pid}", "--mount", "--net", "--pid", "--", *inside]
    return subprocess.run(outside, check=False).returncode


def take_down(lab: RunningLab) -> None:
    """End a lab and wait until it is gone."""
    os.kill(lab.pid, signal.SIGTERM)
    deadline = time.monotonic() + waits.PROCESS_STOPPED_S
    while Path(f"/proc/{lab.pid}").exists() and _is_supervisor(Path(f"/proc/{lab.pid}")):
        if time.monotonic() > deadline:
            os.kill(lab.pid, signal.SIGKILL)
            return
        time.sleep(waits.POLL_INTERVAL_S)
