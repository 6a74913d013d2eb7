"""The Fabric: the network with everything decided, which every back end walks and none adds to.

``compile`` (``lanecast.compiler``) makes it from a plan. All durations are nanoseconds, all rates bits or packets a
second; collections are sorted by name, so that what is generated from them is stable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from lanecast.cloud_state import CloudState
from lanecast.plan.model import Platform, Promise, SecretReference
from lanecast_relay.config.model import Endpoint, Protocol, RelayFile


class InterfaceRole(StrEnum):
    """What an interface is for; decides multicast protocols, filters and reverse-path checks."""

    CIRCUIT = "circuit"
    """Between an exchange's router and a site's: PIM and BGP."""
    MULTICAST = "multicast"
    """Towards relay hosts, or a relay host's own: IGMPv3, no PIM neighbour."""
    LAN = "lan"
    """Unicast between relays and routers."""
    UPLINK = "uplink"
    """Between a site's router and the cloud's gateway."""
    SOURCE = "source"
    """Between an exchange's router and its senders."""
    CLOUD = "cloud"
    """An instance's interface in its subnet, or a gateway's into its VPC."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface of a node. ``attached_to`` names a :class:`Segment`, a :class:`Link` or a cloud subnet."""

    name: str
    role: InterfaceRole
    addresses: tuple[IPv4Interface, ...]
    attached_to: str
    vlan: int | None = None
    parent: str | None = None
    """The port that carries the VLAN; None where the interface is untagged."""

    @property
    def address(self) -> IPv4Interface:
        """The first address."""
        return self.addresses[0]


@dataclass(frozen=True, slots=True)
class Route:
    """A static route; the lowest metric wins while its interface is up."""

    prefix: IPv4Network
    via: IPv4Address
    interface: str
    metric: int = 100


@dataclass(frozen=True, slots=True)
class Prefixes:
    """A named list of prefixes; ``longer`` accepts more specific ones as well, up to that length."""

    name: str
    permitted: tuple[IPv4Network, ...]
    longer: int | None = None


@dataclass(frozen=True, slots=True)
class BgpNeighbor:
    """An eBGP neighbour on a directly connected link. What no list permits is neither accepted nor announced."""

    node: str
    description: str
    address: IPv4Address
    asn: int
    interface: str
    accept: Prefixes
    announce: Prefixes
    accept_as_paths: str
    """The name of the AS-path list: paths that begin and end with the neighbour's own AS."""
    maximum_prefixes: int
    password: SecretReference | None = None


@dataclass(frozen=True, slots=True)
class Bgp:
    """A router's BGP (RFC 4271): eBGP only, policy required (RFC 8212)."""

    asn: int
    router_id: IPv4Address
    networks: tuple[IPv4Network, ...]
    """What the router originates."""
    neighbors: tuple[BgpNeighbor, ...]
    keepalive_s: int
    hold_s: int
    connect_retry_s: int


@dataclass(frozen=True, slots=True)
class MulticastRouting:
    """PIM-SSM (RFC 7761, RFC 4607) and IGMPv3 (RFC 3376) of a router."""

    ssm_ranges: tuple[IPv4Network, ...]
    pim_interfaces: tuple[str, ...]
    passive_interfaces: tuple[str, ...]
    """PIM without hellos: towards hosts and sources, where no neighbour is to be accepted."""
    igmp_interfaces: tuple[str, ...]
    boundaries: tuple[tuple[str, Prefixes], ...]
    """Which groups may be joined through an interface; what is not named is denied."""
    hello_s: int
    igmp_query_interval_s: int
    igmp_max_response_ds: int
    """Tenths of a second (RFC 3376, section 4.1.1)."""


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """One kind of packet that a node accepts on its own addresses; ``ports`` are destination ports."""

    comment: str
    interface: str
    protocol: str
    """``udp``, ``tcp``, ``icmp``, ``igmp`` or ``pim``."""
    sources: tuple[IPv4Network, ...] = ()
    destinations: tuple[IPv4Network, ...] = ()
    ports: tuple[int, ...] = ()
    rate_pps: int | None = None
    """None: not limited. What exceeds it is dropped and counted."""


@dataclass(frozen=True, slots=True)
class ForwardRule:
    """One kind of UDP packet that a router lets through from one interface to another."""

    comment: str
    interface: str
    """Where it comes in."""
    out: str
    sources: tuple[IPv4Network, ...] = ()
    source_endpoints: tuple[Endpoint, ...] = ()
    destinations: tuple[IPv4Network, ...] = ()
    destination_endpoints: tuple[Endpoint, ...] = ()
    answers: bool = False
    """Only what answers a packet that was let through the other way."""


@dataclass(frozen=True, slots=True)
class Firewall:
    """What a node accepts on the interfaces of the plan; other interfaces are not touched. Drops are counted."""

    interfaces: tuple[str, ...]
    rules: tuple[FirewallRule, ...]
    guarded: tuple[str, ...] = ()
    """To and from these nothing is forwarded but what ``forwarded`` lets through."""
    forwarded: tuple[ForwardRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting. ``machine_wide`` ones exist once a machine, the others once a network namespace."""

    name: str
    value: str
    comment: str
    machine_wide: bool = False


class RouterRole(StrEnum):
    """Whose router it is."""

    SITE = "site"
    EXCHANGE = "exchange"
    """The exchange's own, described for the hand-over and run by the lab; never rendered for production."""
    GATEWAY = "gateway"
    """The cloud's end of an uplink; the lab runs it, the cloud does in production."""


@dataclass(frozen=True, slots=True)
class Router:
    """A router with everything that its configuration says."""

    name: str
    role: RouterRole
    place: str
    """The site, exchange or region.vpc that it belongs to."""
    platform: Platform
    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    bgp: Bgp | None
    multicast: MulticastRouting | None
    firewall: Firewall
    sysctls: tuple[Sysctl, ...]


class HostRole(StrEnum):
    """What a host does."""

    RELAY = "relay"
    SUBSCRIBER = "subscriber"
    SOURCE = "source"
    """The exchange's sender; the lab runs it."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host: a relay box, a subscriber's instance, or the exchange's sender. ``relay`` is the relay file it runs."""

    name: str
    role: HostRole
    place: str
    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    firewall: Firewall
    sysctls: tuple[Sysctl, ...]
    relay: RelayFile | None = None


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
    """Names from relay to instance: switch, router, uplink, gateway's VPC, peering, VPC."""
    delay_ns: int
    """One way from the relay to the instance."""


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
