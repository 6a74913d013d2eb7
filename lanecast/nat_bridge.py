"""A bridge's instance: what it translates, and which of its addresses it stands in for others with.

Every translation is a function of the rules alone, so whichever instance holds an address sends a flow on alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lanecast_relay.config.model import Endpoint

TRANSLATED_SOURCE_PORTS = (32768, 60999)
"""What the far end sees flows come from: Linux's ephemeral ports, so that a sender's own port stays, and none that
stands for something."""

ADVERTISEMENT_NS = 100_000_000
"""VRRP: an address is taken over when three advertisements and a little more are missing (RFC 5798, section 6.1)."""


@dataclass(frozen=True, slots=True)
class Translation:
    """One address and port of the bridge, and what it stands for at the far end."""

    purpose: str
    protocol: str
    """``udp`` or ``tcp``."""
    at: Endpoint
    target: Endpoint


@dataclass(frozen=True, slots=True)
class Direction:
    """What one end of a bridge reaches at the other."""

    name: str
    sources: tuple[IPv4Network, ...]
    """Whose packets are translated; nobody else's."""
    translations: tuple[Translation, ...]
    """Sorted by port."""


@dataclass(frozen=True, slots=True)
class SharedAddress:
    """An address that one of a bridge's instances holds at a time, agreed by VRRP over unicast."""

    address: IPv4Address
    virtual_router: int
    """VRRP's number for it, of its own in the subnet."""
    priority: int
    """This instance's; the highest that is alive holds the address."""


@dataclass(frozen=True, slots=True)
class NatBridge:
    """One instance of a bridge."""

    bridge: str
    interface: str
    own_address: IPv4Address
    peers: tuple[IPv4Address, ...]
    """The bridge's other instances."""
    shared: tuple[SharedAddress, ...]
    directions: tuple[Direction, ...]
