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
COMMANDS = {"etc/sysctl.d/60-lanecast.conf": ("sysctl", "-q", "-p"), "etc/nftables.conf": ("nft", "-f")}
"""By file, in the order of a boot: what takes it."""

MACHINE_WIDE = "etc/sysctl.d/61-lanecast-machine.conf"
"""Settings that namespaces share: only looked for, never written."""

FRR = "etc/frr/frr.conf"
FRR_DAEMONS_FILE = "etc/frr/daemons"

NO_VLANS = "this kernel has no VLAN devices (8021q)"


def run(*command: str) -> str:
    """What a command says of a file beside it; nothing where it is content."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    said = (done.stderr or (done.stdout if done.returncode else "")).strip()
    return said or ("" if done.returncode == 0 else f"status {done.returncode}")


def must(*command: str) -> None:
    """Run what only prepares the ground. FRR's daemons have something to say also when all is well."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr or done.stdout}")


def prepare() -> None:
    """Private folders, as a boot would find them."""
    for path in ("/var/tmp", "/run"):
        must("mount", "-t", "tmpfs", "tmpfs", path)
    # The machine's own /sys shows the interfaces of another namespace.
    must("mount", "-t", "sysfs", "sysfs", "/sys")
    for folder in (Path("/var/tmp/frr"), Path("/run/frr"), FOLDER):
        folder.mkdir()
    must("ip", "link", "set", "lo", "up")


def has_vlans() -> bool:
    """Whether the kernel has VLAN devices; containers' kernels may lack the module (8021q)."""
    probe = ("ip", "link", "add", "link", "lo", "name", "probe", "type", "vlan", "id", "1")
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return False
    must("ip", "link", "delete", "probe")
    return True


def plug(ports: list[str]) -> None:
    """A pair of veths for each port."""
    for index, port in enumerate(ports):
        must("ip", "link", "add", port, "type", "veth", "peer", "name", f"far{index}")
        must("ip", "link", "set", port, "up")
        must("ip", "link", "set", f"far{index}", "up")


def written(name: str, text: str) -> str:
    """Write a file where only this program sees it; return its name."""
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


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
    command = frr_daemons.vtysh_command(directory, "-f", written("frr.conf", configuration))
    loaded = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    shown = subprocess.run(
        frr_daemons.vtysh_command(directory, "-c", "show running-config"), capture_output=True, text=True, check=True
    )
    return (loaded.stdout + loaded.stderr).strip(), shown.stdout


def network(asked: dict[str, Any], vlans: bool) -> dict[str, str]:
    """What the kernel says to each networkd file: VLANs first, then addresses and routes."""
    # Without VLAN devices their names stand for them, so that all else can be checked.
    plug(asked["ports"] if vlans else sorted({*asked["ports"], *asked["interfaces"]}))
    batches = [*(asked["vlans"] if vlans else []), *asked["links"]]
    return {name: run("ip", "-batch", written(name, "\n".join(lines) + "\n")) for name, lines in batches}


def main() -> None:
    """Read the question, answer it."""
    asked: dict[str, Any] = json.load(sys.stdin)
    files: dict[str, str] = asked["files"]
    prepare()
    vlans = not asked["vlans"] or has_vlans()
    said = network(asked, vlans)
    taken = {name: command for name, command in COMMANDS.items() if name in files}
    said |= {name: run(*command, written(name, files[name])) for name, command in taken.items()}
    answer: dict[str, Any] = {
        "said": said,
        "unchecked": {} if vlans else {name: NO_VLANS for name, _ in asked["vlans"]},
    }
    if MACHINE_WIDE in files:
        said[MACHINE_WIDE] = unknown_settings(files[MACHINE_WIDE])
    if FRR in files:
        said[FRR], answer["running"] = frr(files[FRR], files[FRR_DAEMONS_FILE])
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
