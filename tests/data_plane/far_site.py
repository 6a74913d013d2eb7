"""A site at the other end of a dedicated line: a namespace with a router, plugged into a VLAN of the patch panel."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_plane_under_test import DataPlane

NETWORK, HOST = "172.16.0.0/16", "172.16.0.1"
ASN, CLOUD_ASN = 65101, 45085
VTYSH = ["vtysh", "--vty_socket", "/etc/frr"]

FRR = """
set -e
mount -t tmpfs -o mode=755 tmpfs /etc/frr
chown frr:frr /etc/frr; touch /etc/frr/vtysh.conf
install -o frr -g frr -m 600 /dev/null /etc/frr/empty.conf
for daemon in zebra bfdd bgpd; do
    /usr/lib/frr/$daemon -d -u frr -g frr -f /etc/frr/empty.conf -i /etc/frr/$daemon.pid -z /etc/frr/zserv.api \
        --vty_socket /etc/frr --log file:/etc/frr/$daemon.log 2>/dev/null
done
vtysh --vty_socket /etc/frr -f "$1"
read pid rest </proc/self/stat
echo "ready $pid"
exec cat >/dev/null
"""
"""Daemons in a process namespace that ends with the shell's standard input."""


def configuration(cloud: str, key: str, networks: tuple[str, ...], bfd_ms: int) -> str:
    """What the site's router is told."""
    lines = [f"ip prefix-list out seq {number * 5} permit {one}" for number, one in enumerate(networks, start=1)]
    lines += ["ip prefix-list in seq 5 permit 0.0.0.0/0 le 32"]
    if bfd_ms:
        lines += ["bfd", "profile up", "detect-multiplier 3", f"transmit-interval {bfd_ms}"]
        lines += [f"receive-interval {bfd_ms}", "minimum-ttl 254"]
    neighbor = f"neighbor {cloud}"
    lines += [f"router bgp {ASN}", "no bgp network import-check", "timers bgp 1 3"]
    lines += [f"{neighbor} remote-as {CLOUD_ASN}", f"{neighbor} timers connect 1", f"{neighbor} ttl-security hops 1"]
    lines += [f"{neighbor} password {key}"] if key else []
    lines += [f"{neighbor} bfd profile up"] if bfd_ms else []
    lines += ["address-family ipv4 unicast", *(f"network {one}" for one in networks)]
    lines += [f"{neighbor} prefix-list in in", f"{neighbor} prefix-list out out"]
    return "\n".join([*lines, ""])


@dataclass(slots=True)
class Site:
    """A site's router. Commands run in its namespace."""

    plane: DataPlane
    line: str
    vlan: int
    pid: int
    port: str
    """Its cable's end in the patch panel."""
    frr: list[str] = field(default_factory=list)

    def run(self, *command: str) -> str:
        """What a command prints there."""
        inside = ["nsenter", f"--target={self.pid}", "--net", "--", *command]
        return subprocess.run(inside, capture_output=True, text=True, check=True).stdout

    def show(self, command: str) -> Any:
        """What its FRR says in JSON."""
        return json.loads(subprocess.run([*self.frr, *VTYSH, "-c", command], capture_output=True, check=True).stdout)

    def learned(self) -> set[str]:
        """The prefixes that the cloud announces."""
        routes = self.show("show bgp ipv4 unicast json")["routes"]
        return {prefix for prefix, ways in routes.items() if any(way["peerId"] != "(unspec)" for way in ways)}

    def sessions(self) -> int:
        """How many sessions there have been; 0 while none is up."""
        [neighbor] = self.show("show bgp neighbors json").values()
        return int(neighbor["connectionsEstablished"]) if neighbor["bgpState"] == "Established" else 0

    def has_bfd(self) -> bool:
        """Whether a session of BFD is up."""
        return any(peer["status"] == "up" for peer in self.show("show bfd peers json"))

    def cut(self) -> None:
        """From now on nothing passes, and nobody is told: the cable's lights stay on."""
        self.plane.run(self.line, "ip", "link", "set", self.port, "nomaster")

    def mend(self) -> None:
        """As it was."""
        self.plane.run(self.line, "ip", "link", "set", self.port, "master", f"vlan{self.vlan}")


@contextmanager
def a_site(plane: DataPlane, line: str, vlan: int, link: str) -> Iterator[Site]:
    """A site at a VLAN of a line, with the second address of the link (``192.0.2.0/30``), and a host behind it."""
    holder = subprocess.Popen(
        ["unshare", "--net", "--", "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    port = f"site-{vlan}"
    try:
        site = Site(plane, line, vlan, holder.pid, port)
        panel = plane.node(line)["pid"]
        ends = ["name", port, "netns", str(panel), "type", "veth", "peer", "name", "uplink", "netns", str(holder.pid)]
        subprocess.run(["ip", "link", "add", *ends], check=True)
        site.mend()
        plane.run(line, "ip", "link", "set", port, "up")
        base, _, length = link.partition("/")
        first, _, last = base.rpartition(".")
        for command in (
            ["ip", "link", "set", "lo", "up"],
            ["ip", "link", "set", "uplink", "up"],
            ["ip", "address", "add", f"{first}.{int(last) + 2}/{length}", "dev", "uplink"],
            ["ip", "address", "add", f"{HOST}/32", "dev", "lo"],
            ["sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter=0"],
        ):
            site.run(*command)
        yield site
    finally:
        holder.communicate("")


@contextmanager
def routing(
    site: Site,
    directory: Path,
    cloud: str,
    key: str = "",
    networks: tuple[str, ...] = (NETWORK,),
    bfd_ms: int = 0,
) -> Iterator[None]:
    """FRR at the site, with BGP towards the cloud's address."""
    path = directory / f"site-{site.vlan}.conf"
    path.write_text(configuration(cloud, key, networks, bfd_ms))
    command = ["nsenter", f"--target={site.pid}", "--net", "--", "unshare", "--mount", "--propagation", "private"]
    daemons = subprocess.Popen(
        [*command, "--pid", "--fork", "--kill-child", "--", "sh", "-c", FRR, "site", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemons.stdout is not None
    try:
        said = daemons.stdout.readline().split()
        assert said[:1] == ["ready"], said
        site.frr = ["nsenter", f"--target={said[1]}", "--net", "--mount", "--pid", "--"]
        yield
    finally:
        daemons.communicate("")
