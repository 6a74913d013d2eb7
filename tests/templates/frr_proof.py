"""Runs one router's rendered files in real FRR daemons and prints what they make of them, as JSON.

A script for namespaces of its own (``unshare --mount --net --pid --fork --mount-proc --kill-child``): its end is the
end of every process, interface and file of it. What is asked for stands on standard input.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DAEMONS = Path("/usr/lib/frr")
FOLDER = Path("/run/frr-proof")
POLL_S = 0.05
HOST = "member"
"""The namespace of the host that joins groups."""

JOIN = """
import socket, sys, time
held = []
for join in sys.argv[1:]:
    group, source, own = map(socket.inet_aton, join.split(","))
    held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    held[-1].setsockopt(socket.IPPROTO_IP, 39, group + own + source)  # IP_ADD_SOURCE_MEMBERSHIP (linux/in.h)
print("joined", flush=True)
sys.stdin.read()
"""


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 2) or (result.returncode and command[0] != "vtysh"):
        raise SystemExit(f"{' '.join(command)}: {result.stderr or result.stdout}")
    return result.stdout + (result.stderr if command[0] == "vtysh" else "")


def vtysh(*arguments: str) -> str:
    return run("vtysh", "--vty_socket", str(FOLDER), *arguments)


def show(command: str) -> Any:
    return json.loads(vtysh("-c", command) or "{}")


def prepare(interfaces: list[str]) -> None:
    """Private folders, and a pair of veths an interface, the other end up."""
    for path in ("/var/tmp", "/run"):
        run("mount", "-t", "tmpfs", "tmpfs", path)
    for folder in (Path("/var/tmp/frr"), Path("/run/frr"), FOLDER):
        folder.mkdir()
        shutil.chown(folder, "frr", "frr")
    run("ip", "link", "set", "lo", "up")
    run("ip", "netns", "add", HOST)
    for index, name in enumerate(interfaces):
        run("ip", "link", "add", name, "type", "veth", "peer", "name", f"far{index}", "netns", HOST)
        run("ip", "-n", HOST, "link", "set", f"far{index}", "up")


def start(daemons: list[str]) -> None:
    empty = FOLDER / "empty.conf"
    empty.touch()
    shutil.chown(empty, "frr", "frr")
    for daemon in daemons:
        run(
            str(DAEMONS / daemon), "-d", "-u", "frr", "-g", "frr", "-f", str(empty),
            "-i", str(FOLDER / f"{daemon}.pid"), "-z", str(FOLDER / "zserv.api"), "--vty_socket", str(FOLDER),
        )  # fmt: skip


def until(within_s: float, reached: Callable[[], bool]) -> None:
    """Poll until a state is there or the time is spent; what is there then is what the test judges."""
    deadline = time.monotonic() + within_s
    while not reached() and time.monotonic() < deadline:
        time.sleep(POLL_S)


def memberships(asked: dict[str, Any]) -> Any:
    """Join groups from a host behind an interface; return the memberships once the last one is there."""
    name, joins, within_s = asked["interface"], asked["joins"], float(asked["within_s"])
    far = f"far{asked['interfaces'].index(name)}"
    run("ip", "-n", HOST, "address", "add", asked["host"], "dev", far)
    run("ip", "netns", "exec", HOST, "sysctl", "-q", "-w", f"net.ipv4.conf.{far}.force_igmp_version=3")
    own = asked["host"].partition("/")[0]
    arguments = [f"{group},{source},{own}" for group, source in joins]
    command = ["ip", "netns", "exec", HOST, sys.executable, "-c", JOIN, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as member:
        until(within_s, lambda: joins[-1][0] in show("show ip igmp sources json").get(name, {}))
        member.communicate("")
    return show("show ip igmp sources json")


def main() -> None:
    asked = json.load(sys.stdin)
    within_s = float(asked["within_s"])
    prepare(asked["interfaces"])
    start(asked["daemons"])
    seen: dict[str, Any] = {"said": vtysh("-f", asked["configuration"]), "running": vtysh("-c", "show running-config")}
    if "pimd" in asked["daemons"]:
        until(
            within_s,
            lambda: {"up"} == {show("show ip pim interface json").get(n, {}).get("state") for n in asked["pim"]},
        )
        seen["pim"] = {
            name: show(f"show ip pim interface {name} json").get(name)
            for name in asked["interfaces"]
            if name in show("show ip pim interface json")
        }
        until(within_s, lambda: set(asked["igmp"]) <= set(show("show ip igmp interface json")))
        seen["igmp"] = show("show ip igmp interface detail json")
    if "bgpd" in asked["daemons"]:
        seen["bgp"] = show("show bgp neighbors json")
        seen["bgp_table"] = show("show bgp ipv4 unicast json")
    until(within_s, lambda: len(show("show ip route static json")) == asked["static_routes"])
    seen["static"] = show("show ip route static json")
    if asked.get("joins"):
        seen["memberships"] = memberships(asked)
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
