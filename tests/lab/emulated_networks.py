"""Runs of the lab by the command, and what a lab could leave on the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
LANECAST = [sys.executable, "-m", "lanecast.cli"]


@dataclass(frozen=True)
class Run:
    status: int
    verdict: dict[str, Any]
    report: Path
    errors: str

    def check(self, name: str) -> dict[str, Any]:
        return next(check for check in self.verdict["checks"] if check["name"] == name)


def lab_run(report: Path, plan: Path, *options: str) -> Run:
    command = [*LANECAST, "lab", "run", str(plan), "--report", str(report), "--json", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    verdict = json.loads(result.stdout) if result.stdout else {}
    return Run(result.returncode, verdict, report, result.stderr)


def machine() -> dict[str, set[str]]:
    """What a lab could leave: namespaces, links, processes, files and kernel settings."""
    links = {link["ifname"] for link in json.loads(subprocess.check_output(["ip", "-j", "link"]))}
    namespaces = set(subprocess.check_output(["lsns", "-n", "-t", "net", "-o", "NS"], text=True).split())
    processes = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            arguments = read(entry / "cmdline").split("\0")
            if is_of_a_lab(arguments):
                processes.add(f"{entry.name} {' '.join(arguments)}")
    files = {str(path) for folder in ("/run", "/var/tmp", "/tmp") for path in Path(folder).iterdir()}
    files = {name for name in files if not Path(name).name.startswith(("pytest", "bash", "tmp", "hypothesis"))}
    sysctls = {
        f"{path}={read(path).strip()}"
        for base in ("net/ipv4", "net/bridge", "net/core", "kernel")
        for path in sorted((Path("/proc/sys") / base).glob("**/*"))
        if path.is_file() and path.stat().st_mode & 0o200 and path.name not in UNSTEADY
    }
    return {"links": links, "namespaces": namespaces, "processes": processes, "files": files, "sysctls": sysctls}


PROGRAMS = (
    "lanecast",
    "mnexec",
    "zebra",
    "pimd",
    "bgpd",
    "bfdd",
    "staticd",
    "watchfrr",
    "keepalived",
    "tcpdump",
    "unshare",
    "nsenter",
)
"""What a lab starts, by the beginning of the program's name."""


def is_of_a_lab(arguments: list[str]) -> bool:
    """Whether a command line is a program that a lab starts, a module of ours, or a node's shell."""
    program = Path(arguments[0]).name
    ours = program.startswith("python") and any(argument.startswith("lanecast_lab") for argument in arguments[1:])
    return program.startswith(PROGRAMS) or ours or any(argument.startswith("mininet:") for argument in arguments)


UNSTEADY = {"ns_last_pid", "random", "uuid", "boot_id", "flush", "netdev_rss_key", "tcp_fastopen_key"}


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def left_behind(before: dict[str, set[str]]) -> dict[str, set[str]]:
    """What differs from ``before``, once the kernel has had time to finish removing namespaces."""
    deadline = time.monotonic() + 20
    while True:
        after = machine()
        differences = {kind: after[kind] ^ before[kind] for kind in before if after[kind] != before[kind]}
        if not differences or time.monotonic() > deadline:
            return differences
        time.sleep(0.1)  # between two looks at the machine
