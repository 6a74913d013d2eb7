"""How frames reach each subscriber: interface and link-layer addresses, from the kernel's own tables (rtnetlink(7)).

Fan-out in the kernel clones finished frames, so it has to know what a socket's send would look up. Addresses without a
neighbour that answers are left out; the relay serves them by sockets, whose sends make the kernel ask for it.
"""

from __future__ import annotations

import contextlib
import json
import select
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from socket import AF_INET, socketpair
from typing import Any

from pyroute2 import IPRoute, NetlinkError

REFRESH_S = 30.0
"""How often everything is read again, and neighbours are told that they are in use, though nothing was announced."""

SETTLE_S = 0.2
"""How long announcements are collected before the tables are read: a route that moves announces many."""

ETHERNET = 1
"""ARPHRD_ETHER, include/uapi/linux/if_arp.h: other links have other frames."""

USE = 0x01
"""NTF_USE, include/uapi/linux/neighbour.h: the kernel confirms a neighbour that is in use but whose entry is old."""

VALID_STATES = 0x02 | 0x04 | 0x08 | 0x10 | 0x80
"""REACHABLE, STALE, DELAY, PROBE and PERMANENT, include/uapi/linux/neighbour.h: states with a link-layer address."""


@dataclass(frozen=True, slots=True)
class Way:
    """How frames reach an address."""

    interface_index: int
    to: str
    source: str


def _bytes(address: str) -> list[int]:
    return [int(part, 16) for part in address.split(":")]


def ways_json(ways: dict[str, Way]) -> str:
    """Return ``ways`` as the engine reads them."""
    return json.dumps(
        {
            address: {"interface_index": way.interface_index, "to": _bytes(way.to), "from": _bytes(way.source)}
            for address, way in ways.items()
        }
    )


def find_ways(netlink: Any, addresses: Iterable[str]) -> dict[str, Way]:
    """Return the way to each of ``addresses`` that has one over Ethernet, and mark its neighbour as used."""
    links = {
        link["index"]: link.get_attr("IFLA_ADDRESS") for link in netlink.get_links() if link["ifi_type"] == ETHERNET
    }
    neighbours = {
        (entry["ifindex"], entry.get_attr("NDA_DST")): entry.get_attr("NDA_LLADDR")
        for entry in netlink.get_neighbours(family=AF_INET)
        if entry["state"] & VALID_STATES
    }
    ways = {}
    for address in addresses:
        hop = _next_hop(netlink, address)
        if hop is not None and hop in neighbours and hop[0] in links:
            ways[address] = Way(hop[0], neighbours[hop], links[hop[0]])
            # It may be gone since it was read; the next reading tells.
            with contextlib.suppress(NetlinkError):
                netlink.neigh("change", dst=hop[1], ifindex=hop[0], flags=USE)
    return ways


def _next_hop(netlink: Any, address: str) -> tuple[int, str] | None:
    """The interface that leads to ``address`` and the neighbour behind it; None without a route."""
    try:
        (route,) = netlink.route("get", dst=address)
    except NetlinkError:
        return None
    interface: int = route.get_attr("RTA_OIF")
    return interface, route.get_attr("RTA_GATEWAY") or address


class WaysWatcher:
    """Tells ``tell`` how ``addresses()`` are reached, whenever that changes, from a thread of its own."""

    def __init__(self, addresses: Callable[[], Iterable[str]], tell: Callable[[str], None]) -> None:
        self._addresses = addresses
        self._tell = tell
        self._wake, self._woken = socketpair()
        self._stopping = False
        self._thread = threading.Thread(target=self._watch, name="relay-ways", daemon=True)
        self._thread.start()

    def look_again(self) -> None:
        """The subscribers are others now."""
        self._wake.send(b"x")

    def close(self) -> None:
        """Stop watching."""
        self._stopping = True
        self._wake.send(b"x")
        self._thread.join()
        self._wake.close()
        self._woken.close()

    def _watch(self) -> None:
        told: str | None = None
        with IPRoute() as events, IPRoute() as netlink:
            events.bind()
            while not self._stopping:
                ways = ways_json(find_ways(netlink, sorted(set(self._addresses()))))
                if ways != told:
                    self._tell(ways)
                    told = ways
                if not _wait(events, self._woken, REFRESH_S):
                    continue
                # What our own look-ups announce comes back at once; a short rest keeps the two from chasing each other.
                while not self._stopping and _wait(events, self._woken, SETTLE_S):
                    pass


def _wait(events: Any, woken: Any, within_s: float) -> bool:
    """Whether something was announced within that time; what was is thrown away."""
    ready, _, _ = select.select([events, woken], [], [], within_s)
    if woken in ready:
        woken.recv(64)
    if events in ready:
        for _ in events.get():
            pass
    return bool(ready)


@contextlib.contextmanager
def watching(
    wanted: bool, addresses: Callable[[], Iterable[str]], tell: Callable[[str], None]
) -> Iterator[WaysWatcher | None]:
    """Keep the engine told meanwhile; do nothing unless ``wanted``."""
    if not wanted:
        yield None
        return
    watcher = WaysWatcher(addresses, tell)
    try:
        yield watcher
    finally:
        watcher.close()
