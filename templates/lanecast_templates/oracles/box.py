"""Applies one node's rendered files as its boot would, and prints what was said to them, as JSON.

A program for namespaces of its own (``unshare --mount --net --pid --fork --mount-proc --kill-child``): its end is the
end of every process, interface and file of it. Standard input has the node's ports and files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lanecast_templates import frr_daemons

FOLDER = Path("/run/lanecast-oracle")
COMMANDS = {
    "links.ip": ("ip", "-batch"),
    "network.ip": ("ip", "-batch"),
    "60-lanecast.conf": ("sysctl", "-q", "-p"),
    "nftables.conf": ("nft", "-f"),
}
"""By file, in the order of a boot: what takes it."""

MACHINE_WIDE = "61-lanecast-machine.conf"
"""Settings that namespaces share: only looked for, never written."""


def run(*command: str) -> str:
    """What a command says; nothing where it is content."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (done.stderr or (done.stdout if done.returncode else "")).strip()
    return said or ("" if done.returncode == 0 else f"status {done.returncode}")


def must(*command: str) -> None:
    """Run what only prepares the ground."""
    said = run(*command)
    if said:
        raise SystemExit(f"{' '.join(command)}: {said}")


def prepare(ports: list[str]) -> None:
    """Private folders, and a pair of veths a port."""
    for path in ("/var/tmp", "/run"):
        must("mount", "-t", "tmpfs", "tmpfs", path)
    # The machine's own /sys shows the interfaces of another namespace.
    must("mount", "-t", "sysfs", "sysfs", "/sys")
    for folder in (Path("/var/tmp/frr"), Path("/run/frr"), FOLDER):
        folder.mkdir()
    must("ip", "link", "set", "lo", "up")
    for index, port in enumerate(ports):
        must("ip", "link", "add", port, "type", "veth", "peer", "name", f"far{index}")
        must("ip", "link", "set", port, "up")
        must("ip", "link", "set", f"far{index}", "up")


def written(name: str, text: str) -> Path:
    """The file, where only this program sees it."""
    path = FOLDER / name
    path.write_text(text)
    return path


def unknown_settings(text: str) -> str:
    """Names of a sysctl.d(5) file that the kernel does not have."""
    names = [line.partition("=")[0].strip() for line in text.splitlines() if "=" in line and line[0] not in "#;"]
    missing = [name for name in names if not Path("/proc/sys", name).exists()]
    return f"the kernel has no {', '.join(missing)}" if missing else ""


def frr(configuration: str, daemons: str) -> tuple[str, str]:
    """What vtysh says to a configuration, and what runs then."""
    directory = FOLDER / "frr"
    empty = frr_daemons.prepare(directory)
    for folder in ("/var/tmp/frr", "/run/frr"):
        must("chown", "frr:frr", folder)
    for daemon in frr_daemons.daemons_of(daemons):
        must(*frr_daemons.start_command(daemon, directory, empty))
    path = written("frr.conf", configuration)
    loaded = subprocess.run(
        frr_daemons.vtysh_command(directory, "-f", str(path)), capture_output=True, text=True, check=False
    )
    shown = subprocess.run(
        frr_daemons.vtysh_command(directory, "-c", "show running-config"), capture_output=True, text=True, check=True
    )
    return (loaded.stdout + loaded.stderr).strip(), shown.stdout


def main() -> None:
    """Read the question, answer it."""
    asked: dict[str, Any] = json.load(sys.stdin)
    files: dict[str, str] = asked["files"]
    prepare(asked["ports"])
    said = {name: run(*command, str(written(name, files[name]))) for name, command in COMMANDS.items() if name in files}
    answer: dict[str, Any] = {"said": said}
    if MACHINE_WIDE in files:
        said[MACHINE_WIDE] = unknown_settings(files[MACHINE_WIDE])
    if "frr.conf" in files:
        said["frr.conf"], answer["running"] = frr(files["frr.conf"], files["daemons"])
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
