"""Does what containerlab would with a topology of Linux containers, in namespaces, and prints who reaches whom, as JSON.

A script for ``unshare --mount --net --pid --fork --mount-proc --kill-child``. Standard input names the topology and the
(node, address) pairs to ping. FRR and relays are not started: FRR's addresses are set from its file instead.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

NOT_RUN = ("/usr/lib/frr/frrinit.sh start", "mkdir -p /run/lanecast-relay", "sh -c 'lanecast-relay run ")
"""Programs of the images: what they need is their own tests'."""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        raise SystemExit(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def has_vlans() -> bool:
    probe = ["ip", "link", "add", "link", "lo", "name", "probe", "type", "vlan", "id", "1"]
    there = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    if there:
        run("ip", "link", "delete", "probe")
    return there


def without_vlans(command: list[str]) -> list[str]:
    """Where the kernel has no VLAN devices, a device of the same name without a tag stands for each."""
    at = command.index("type") if "type" in command else len(command)
    return [*command[:at], "type", "macvlan", "mode", "bridge"] if command[at + 1 : at + 2] == ["vlan"] else command


def bound(word: str, binds: dict[str, str]) -> str:
    """A file of a container, where it comes from."""
    return binds.get(word, word)


def execute(name: str, node: dict[str, Any], folder: Path, vlans: bool) -> None:
    binds = {}
    for bind in node.get("binds", []):
        source, target, mode = bind.split(":")
        if mode != "ro" or not (folder / source).is_file():
            raise SystemExit(f"{name}: {bind}")
        binds[target] = str(folder / source)
    for line in node.get("exec", []):
        if line.startswith(NOT_RUN):
            continue
        command = shlex.split(line)
        if not vlans:
            command = without_vlans(command)
        run("ip", "netns", "exec", name, *(bound(word, binds) for word in command))
    if "/etc/frr/frr.conf" in binds:
        set_addresses(name, Path(binds["/etc/frr/frr.conf"]).read_text())


def set_addresses(name: str, configuration: str) -> None:
    interface = ""
    for line in configuration.splitlines():
        words = line.split()
        if words[:1] == ["interface"]:
            interface = words[1]
        elif words[:2] == ["ip", "address"]:
            run("ip", "-n", name, "address", "add", words[2], "dev", interface)


def reaches(node: str, address: str) -> bool:
    command = ["ip", "netns", "exec", node, "ping", "-c", "1", "-W", "2", address]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> None:
    asked = json.load(sys.stdin)
    path = Path(asked["topology"])
    topology = yaml.safe_load(os.path.expandvars(path.read_text()))["topology"]
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    vlans = has_vlans()
    for name in topology["nodes"]:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    for link in topology["links"]:
        (first, one), (second, other) = (end.split(":") for end in link["endpoints"])
        run("ip", "link", "add", one, "netns", first, "type", "veth", "peer", "name", other, "netns", second)
        run("ip", "-n", first, "link", "set", one, "up")
        run("ip", "-n", second, "link", "set", other, "up")
    for name, node in topology["nodes"].items():
        execute(name, node, path.parent, vlans)
    json.dump([reaches(node, address) for node, address in asked["ping"]], sys.stdout)


if __name__ == "__main__":
    main()
