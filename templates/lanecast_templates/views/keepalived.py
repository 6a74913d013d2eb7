"""A bridge's instance in keepalived's terms."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from lanecast.nat_bridge import ADVERTISEMENT_NS, NatBridge

TAKE_OVER = "/etc/keepalived/lanecast-take-over"
"""What is run with an address when this instance becomes its holder."""

SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """One ``vrrp_instance``."""

    name: str
    address: IPv4Address
    virtual_router: int
    priority: int


@dataclass(frozen=True, slots=True)
class Keepalived:
    """What keepalived.conf is spelled from."""

    name: str
    interface: str
    own_address: IPv4Address
    peers: tuple[IPv4Address, ...]
    addresses: tuple[HeldAddress, ...]
    advertisement_s: str
    take_over: str = TAKE_OVER


def keepalived(bridge: NatBridge) -> Keepalived:
    """Return a bridge's instance in keepalived's terms."""
    return Keepalived(
        name=bridge.bridge,
        interface=bridge.interface,
        own_address=bridge.own_address,
        peers=bridge.peers,
        addresses=tuple(
            HeldAddress(f"{bridge.bridge}-{number}", shared.address, shared.virtual_router, shared.priority)
            for number, shared in enumerate(bridge.shared, start=1)
        ),
        advertisement_s=f"{ADVERTISEMENT_NS / SECOND_NS:g}",
    )
