"""The Fabric: the network with everything decided, which every back end walks and none adds to.

``compile`` (``lanecast.compiler``) makes it from a plan. All durations are nanoseconds, all rates bits or packets a
second; collections are sorted by name, so that what is generated from them is stable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lanecast.cloud_state import CloudState
from lanecast.nat_bridge import NatBridge
from lanecast.plan.model import Promise
from lanecast.router import NOT_MANAGED, Firewall, Interface, Management, Route, Router, RouterRole, Sysctl
from lanecast_relay.config.model import Endpoint, Protocol, RelayFile


class HostRole(StrEnum):
    """What a host does."""

    RELAY = "relay"
    SUBSCRIBER = "subscriber"
    BRIDGE = "bridge"
    """A bridge's instance: it translates addresses between two peerings."""
    SOURCE = "source"
    """The exchange's sender; the lab runs it."""


IN_THE_CLOUD = (HostRole.SUBSCRIBER, HostRole.BRIDGE)
"""Instances: a cloud gives them their addresses and routes."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host: a relay box, an instance of a subscriber or a bridge, or the exchange's sender.

    ``relay`` is the relay file that it runs, ``nat`` what it translates.
    """

    name: str
    role: HostRole
    place: str
    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    firewall: Firewall
    sysctls: tuple[Sysctl, ...]
    relay: RelayFile | None = None
    management: Management = NOT_MANAGED
    nat: NatBridge | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A switched segment of a site, snooped where it carries multicast. ``switch`` is the box it is a VLAN of."""

    name: str
    site: str
    switch: str
    cidr: IPv4Network
    multicast: bool
    attachments: tuple[tuple[str, str], ...]
    """(node, interface), the router first."""


def is_in_the_cloud(node: Router | Host) -> bool:
    """Whether the cloud makes it: a gateway or an instance."""
    return node.role is RouterRole.GATEWAY or node.role in IN_THE_CLOUD


class LinkKind(StrEnum):
    """What a point-to-point link is."""

    CIRCUIT = "circuit"
    UPLINK = "uplink"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Link:
    """A point-to-point link between two nodes' interfaces; ``delay_ns`` is one-way."""

    name: str
    kind: LinkKind
    ends: tuple[tuple[str, str], tuple[str, str]]
    """(node, interface): the exchange's or the site's end first."""
    delay_ns: int
    bandwidth_bps: int | None
    vlan: int | None
    carries: tuple[str, ...] = ()
    """``feed.line`` for circuits."""


@dataclass(frozen=True, slots=True)
class FeedLine:
    """One line of a feed: its source and groups, and the circuits that carry it."""

    name: str
    source: IPv4Address
    groups: dict[str, Endpoint]
    circuits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recovery:
    """An exchange's re-request servers of a feed: by channel, in the order in which they are asked."""

    servers: dict[str, tuple[Endpoint, ...]]
    wait_ns: int
    """How long a hole is asked for after hole-wait."""
    retry_ns: int


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as traffic sources and judges need it."""

    name: str
    exchange: str
    protocol: Protocol
    rate_pps: int
    payload_bytes: int
    burst_packets: int
    burst_within_ns: int
    hole_wait_ns: int
    lines: tuple[FeedLine, ...]
    promise: Promise | None
    recovery: Recovery | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The feed's channels, the same on every line."""
        return tuple(self.lines[0].groups)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One relay's copy of a feed to one instance: where it arrives, and everything on its way."""

    instance: str
    subscriber: str
    feed: str
    relay: str
    endpoints: dict[str, Endpoint]
    """Where the instance takes this relay's copy, by channel."""
    path: tuple[str, ...]
    """Names from relay to instance: switch, router, uplink, gateway's VPC, and then peering and VPC, once or twice; a
    bridge that translates stands behind its VPC."""
    delay_ns: int
    """One way from the relay to the instance."""
    sent_to: dict[str, Endpoint]
    """Where the relay sends it, by channel. Through a bridge that translates that is an address of the bridge, and the
    instance sees the copy come from there."""
    bridge: str | None = None
    """The bridge that translates on the way."""


@dataclass(frozen=True, slots=True)
class BridgeOffer:
    """A service at one end of a bridge that translates, and where the other end reaches it."""

    bridge: str
    name: str
    protocol: str
    vpc: str
    """Where it is."""
    target: Endpoint
    reached_from: str
    """The VPC at the other end."""
    at: Endpoint
    """Where that one reaches it."""


@dataclass(frozen=True, slots=True)
class Application:
    """Where an instance's application reads a feed, after any second arbitration, by channel."""

    instance: str
    subscriber: str
    feed: str
    endpoints: dict[str, Endpoint]


@dataclass(frozen=True)
class Fabric:
    """The compiled network."""

    name: str
    feeds: tuple[Feed, ...]
    routers: tuple[Router, ...]
    hosts: tuple[Host, ...]
    segments: tuple[Segment, ...]
    links: tuple[Link, ...]
    cloud: CloudState
    deliveries: tuple[Delivery, ...]
    applications: tuple[Application, ...]
    offers: tuple[BridgeOffer, ...] = ()
    site_regions: dict[str, str] = field(default_factory=dict)
    """The region that each site is in."""
    invented: dict[str, str] = field(default_factory=dict)
    """Every value that the plan left open, by purpose: what the lock file keeps."""
    templates: Path | None = None
    """The folder with templates of the plan's own."""

    def nodes(self) -> Iterator[Router | Host]:
        """Routers, then hosts."""
        yield from self.routers
        yield from self.hosts

    def router(self, name: str) -> Router:
        """The router of that name; raises ``KeyError`` when there is none."""
        return self._routers[name]

    @cached_property
    def _routers(self) -> dict[str, Router]:
        return {router.name: router for router in self.routers}

    def feed(self, name: str) -> Feed:
        """The feed of that name; raises ``KeyError`` when there is none."""
        return {feed.name: feed for feed in self.feeds}[name]
