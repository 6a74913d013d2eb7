"""Applies a node's rendered files in namespaces of its own, twice, and prints what the kernel made of them, as JSON.

A script for ``unshare --mount --net --pid --fork --mount-proc --kill-child``. Standard input names the files, the
interfaces, and the packets that a stranger behind an interface then sends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FAR = "far"
MANAGEMENT = "management0"
WITHIN_S = 5.0
POLL_S = 0.02

SEND = """
import socket, sys
for target in sys.argv[1:]:
    address, port = target.rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        sender.sendto(b"x", (address, int(port)))
"""


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode or result.stderr:
        raise SystemExit(f"{' '.join(command)}: {result.stderr or result.stdout}")
    return result.stdout


def counters() -> dict[str, int]:
    """Packets by the comment of the rule that counted them; ``dropped`` is what no rule took."""
    found = {}
    for item in json.loads(run("nft", "-j", "list", "table", "inet", "lanecast"))["nftables"]:
        if "counter" in item:
            found[item["counter"]["name"]] = item["counter"]["packets"]
        for statement in item.get("rule", {}).get("expr", []):
            if isinstance(statement.get("counter"), dict) and "comment" in item["rule"]:
                found[item["rule"]["comment"]] = statement["counter"]["packets"]
    return found


def send(name: str, asked: dict[str, Any]) -> None:
    """Send each packet from behind an interface and wait until all were counted."""
    far = f"far{asked['interfaces'].index(name)}"
    for address in asked["from"]:
        run("ip", "-n", FAR, "address", "add", address, "dev", far)
    run("ip", "-n", FAR, "route", "add", "224.0.0.0/4", "dev", far)
    before = sum(counters().values())
    run("ip", "netns", "exec", FAR, sys.executable, "-c", SEND, *asked["send"])
    deadline = time.monotonic() + WITHIN_S
    while sum(counters().values()) < before + len(asked["send"]) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def way(target: str) -> str:
    """The interface by which an address is reached."""
    found: str = json.loads(run("ip", "-j", "route", "get", target))[0]["dev"]
    return found


def unplug(asked: dict[str, Any]) -> list[str]:
    """The way to an address, then the one that it has once a port has lost its link."""
    port, target = asked["unplug"]
    before = way(target)
    run("ip", "-n", FAR, "link", "set", f"far{asked['interfaces'].index(port)}", "down")
    deadline = time.monotonic() + WITHIN_S
    while way(target) == before and time.monotonic() < deadline:
        time.sleep(POLL_S)  # the kernel tells of links once a second
    return [before, way(target)]


def main() -> None:
    asked = json.load(sys.stdin)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("ip", "netns", "add", FAR)
    run("ip", "link", "add", MANAGEMENT, "type", "veth", "peer", "name", "far-management", "netns", FAR)
    for index, name in enumerate(asked["interfaces"]):
        run("ip", "link", "add", name, "type", "veth", "peer", "name", f"far{index}", "netns", FAR)
        run("ip", "-n", FAR, "link", "set", f"far{index}", "up")
    run("nft", "add table inet theirs; add chain inet theirs input { type filter hook input priority 10; }")
    for _ in range(2):
        for file, command in asked["apply"]:
            run(*command, file)
    if asked.get("send"):
        send(asked["interfaces"][0], asked)
    ways = unplug(asked) if asked.get("unplug") else []
    settings = {name: Path("/proc/sys", name).read_text().strip() for name in asked["settings"]}
    seen = {
        "settings": settings,
        "tables": run("nft", "list", "tables").split("\n")[:-1],
        "rules": run("nft", "list", "table", "inet", "lanecast") if asked.get("filtered") else "",
        "counters": counters() if asked.get("filtered") else {},
        "addresses": {
            link["ifname"]: [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["family"] == "inet"]
            for link in json.loads(run("ip", "-j", "address"))
        },
        "ways": ways,
        "routes": json.loads(run("ip", "-j", "route")),
    }
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
