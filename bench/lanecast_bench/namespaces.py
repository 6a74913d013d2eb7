"""The network: three namespaces of this run only, two veth pairs, nothing outside them touched.

A namespace's name carries its run's process id and start time. A run removes its own at its end; what a killed run left
is removed by the next one, and never while that process lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from lanecast_bench.addresses import (
    RELAY_INPUT,
    RELAY_OUTPUT,
    SENDER,
    SINK_LINK,
    multicast_leg,
    receivers,
)
from lanecast_bench.processes import BenchError, run, start_ticks

NAME = re.compile(r"lanecast-bench-(\d+)-(\d+)-(sender|relay|sink)")
IN_NAMESPACE = """
for filter in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > "$filter"; done
echo 512 > /proc/sys/net/ipv4/igmp_max_memberships
echo 1 > /proc/sys/net/ipv4/ip_forward
"""
"""Receivers on one interface answer for many addresses, and kernel multicast routing has to forward."""


@dataclass(frozen=True, slots=True)
class Network:
    """The namespaces by role. Links: ``to-relay``/``from-sender``, ``to-sink``/``from-relay``."""

    sender: str
    relay: str
    sink: str

    def inside(self, namespace: str, *arguments: str) -> list[str]:
        """The argument vector that runs a command inside one of the namespaces."""
        return ["ip", "netns", "exec", namespace, *arguments]

    def link(self, namespace: str, device: str) -> tuple[int, str]:
        """A link's index and MAC address."""
        shown = json.loads(run("ip", "-json", "-n", namespace, "link", "show", device))[0]
        return int(shown["ifindex"]), str(shown["address"])


@contextlib.contextmanager
def network(fanout: int, multicast_legs: int = 0) -> Iterator[Network]:
    """Build the network for up to ``fanout`` receivers, and remove it at the end, however that comes."""
    if os.geteuid() != 0:
        raise BenchError("network namespaces need root: run `make bench`, or this command with sudo")
    remove_left_behind()
    prefix = f"lanecast-bench-{os.getpid()}-{start_ticks(os.getpid())}"
    built = Network(f"{prefix}-sender", f"{prefix}-relay", f"{prefix}-sink")
    try:
        _build(built, fanout, multicast_legs)
        yield built
    finally:
        for name in (built.sender, built.relay, built.sink):
            if name in _names():
                _remove(name)


def remove_left_behind() -> list[str]:
    """Remove what runs left that no longer live; return the names."""
    removed = []
    for name in _names():
        found = NAME.fullmatch(name)
        if found and start_ticks(int(found[1])) != int(found[2]):
            _remove(name)
            removed.append(name)
    return removed


def _names() -> list[str]:
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.strip()]


def _remove(name: str) -> None:
    for pid in run("ip", "netns", "pids", name).split():
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.kill(int(pid), signal.SIGKILL)
    run("ip", "netns", "del", name)


def _build(built: Network, fanout: int, multicast_legs: int) -> None:
    for name in (built.sender, built.relay, built.sink):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    _pair(built.sender, "to-relay", f"{SENDER}/24", built.relay, "from-sender", f"{RELAY_INPUT}/24")
    _pair(built.relay, "to-sink", f"{RELAY_OUTPUT}/20", built.sink, "from-relay", f"{SINK_LINK}/20")
    for index in range(multicast_legs):
        near, far = multicast_leg(index)
        _pair(built.relay, f"leg{index}", f"{near}/30", built.sink, f"end{index}", f"{far}/30")
    addresses = receivers(fanout)
    _batch(built.sink, [f"addr add {address}/20 dev from-relay" for address in addresses])
    _, mac = built.link(built.sink, "from-relay")
    # Permanent neighbours: the first packets of a trial wait for no ARP.
    _batch(built.relay, [f"neigh replace {each} lladdr {mac} dev to-sink nud permanent" for each in addresses])
    run("ip", "-n", built.sender, "route", "add", "239.0.0.0/8", "dev", "to-relay")
    for name in (built.relay, built.sink):
        run(*built.inside(name, "sh", "-c", IN_NAMESPACE))


def _pair(near: str, near_device: str, near_address: str, far: str, far_device: str, far_address: str) -> None:
    ends = ["link", "add", near_device, "netns", near, "type", "veth", "peer", "name", far_device, "netns", far]
    run("ip", *ends)
    for name, device, address in ((near, near_device, near_address), (far, far_device, far_address)):
        run("ip", "-n", name, "addr", "add", address, "dev", device)
        run("ip", "-n", name, "link", "set", device, "up")


def _batch(namespace: str, commands: list[str]) -> None:
    run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(commands) + "\n")
