"""What an exchange's engineer needs to know of the circuits to one site: the counterpart's side, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast.fabric import (
    Fabric,
    Link,
    LinkKind,
)
from lanecast.platforms import FACTS
from lanecast.router import (
    BgpNeighbor,
    Interface,
    InterfaceRole,
    Prefixes,
    Router,
    RouterRole,
)
from lanecast_relay.config.model import Endpoint
from lanecast_relay.config.quantity import BANDWIDTH, DURATION

HOLD_HELLOS = 3.5
"""RFC 7761, section 4.3.2: a neighbour is gone after so many hello periods."""


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a circuit. ``announce`` and ``accept`` are the prefixes that it sends and takes by BGP."""

    address: IPv4Interface
    asn: int
    announce: tuple[str, ...]
    accept: tuple[str, ...]
    maximum_prefixes: int


@dataclass(frozen=True, slots=True)
class Circuit:
    """A circuit as both ends configure it."""

    name: str
    vlan: str
    bandwidth: str
    delay: str
    router: str
    theirs: Side
    ours: Side
    authentication: str
    """How BGP's packets are signed; keys never stand in a sheet."""
    bfd: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """A group that is joined, and over which circuits."""

    feed: str
    line: str
    channel: str
    source: IPv4Address
    group: Endpoint
    circuits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """A re-request server that relays ask."""

    feed: str
    channel: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class MsdpSession:
    """An MSDP session with one of the site's rendezvous points."""

    theirs: IPv4Address
    ours: IPv4Address
    our_asn: int
    router: str
    has_password: bool
    maximum_active_sources: int


@dataclass(frozen=True, slots=True)
class RendezvousPoint:
    """The exchange's rendezvous point; where it tells of sources by MSDP, the site has one of its own."""

    address: IPv4Address
    groups: tuple[IPv4Network, ...]
    own_address: IPv4Address | None
    sessions: tuple[MsdpSession, ...]


@dataclass(frozen=True, slots=True)
class HandOver:
    """Everything of one exchange at one site."""

    plan: str
    exchange: str
    site: str
    circuits: tuple[Circuit, ...]
    channels: tuple[Channel, ...]
    servers: tuple[Server, ...]
    askers: tuple[IPv4Network, ...]
    """Where requests to the servers come from."""
    ssm_ranges: tuple[IPv4Network, ...]
    """Those that the channels' groups are in."""
    rendezvous: RendezvousPoint | None
    """None: source-specific multicast alone."""
    hello_s: int
    keepalive_s: int
    hold_s: int

    @property
    def msdp_sessions(self) -> tuple[MsdpSession, ...]:
        """The sessions with the exchange's rendezvous point."""
        return () if self.rendezvous is None else self.rendezvous.sessions

    @property
    def pim_hold_s(self) -> float:
        """After how long without a hello a neighbour is gone."""
        return self.hello_s * HOLD_HELLOS


@dataclass(frozen=True, slots=True)
class _End:
    """A router's end of a circuit, and how it sees the other one."""

    router: Router
    port: Interface
    sees: BgpNeighbor


def hand_overs(fabric: Fabric) -> Iterator[HandOver]:
    """A sheet for each exchange and each site that it has circuits to."""
    ends = _ends(fabric)
    by_pair: dict[tuple[str, str], list[Link]] = {}
    for link in fabric.links:
        if link.kind is LinkKind.CIRCUIT:
            exchange, site = (ends[end].router for end in link.ends)
            by_pair.setdefault((exchange.name, site.place), []).append(link)
    for (exchange_name, site_name), links in sorted(by_pair.items()):
        yield _hand_over(fabric, fabric.router(exchange_name), site_name, links, ends)


def _ends(fabric: Fabric) -> dict[tuple[str, str], _End]:
    """Every end of a circuit, by router and interface."""
    found = {}
    for router in fabric.routers:
        if router.role is RouterRole.GATEWAY or router.bgp is None:
            continue
        neighbors = {neighbor.interface: neighbor for neighbor in router.bgp.neighbors}
        for port in router.interfaces:
            if port.role is InterfaceRole.CIRCUIT:
                found[router.name, port.name] = _End(router, port, neighbors[port.name])
    return found


def _hand_over(
    fabric: Fabric, exchange: Router, site: str, links: list[Link], ends: dict[tuple[str, str], _End]
) -> HandOver:
    channels = tuple(_channels(fabric, exchange.place, {link.name for link in links}))
    multicast, bgp = exchange.multicast, exchange.bgp
    assert multicast is not None and bgp is not None  # noqa: PT018 - the compiler gives every exchange's router both
    servers = tuple(_servers(fabric, {channel.feed for channel in channels}))
    asking = {prefix for link in links for prefix in ends[link.ends[1]].sees.announce.permitted}
    return HandOver(
        plan=fabric.name,
        exchange=exchange.place,
        site=site,
        circuits=tuple(_circuit(link, ends[link.ends[0]], ends[link.ends[1]]) for link in links),
        channels=channels,
        servers=servers,
        askers=tuple(sorted(asking)) if servers else (),
        ssm_ranges=tuple(
            each for each in multicast.ssm_ranges if any(channel.group.address in each for channel in channels)
        ),
        rendezvous=_rendezvous(fabric, exchange, site),
        hello_s=max(each.hello_s for each in multicast.pim),
        keepalive_s=bgp.keepalive_s,
        hold_s=bgp.hold_s,
    )


def _circuit(link: Link, theirs: _End, ours: _End) -> Circuit:
    return Circuit(
        name=link.name,
        vlan="untagged" if link.vlan is None else str(link.vlan),
        bandwidth="" if link.bandwidth_bps is None else BANDWIDTH.write(link.bandwidth_bps),
        delay=DURATION.write(link.delay_ns),
        router=ours.router.name,
        # What one end says of its neighbour is what the other end is.
        theirs=_side(theirs, ours.sees.asn),
        ours=_side(ours, theirs.sees.asn),
        authentication=_authentication(ours.sees),
        bfd=_bfd(ours),
        lines=link.carries,
    )


def _authentication(neighbor: BgpNeighbor) -> str:
    if neighbor.tcp_ao is not None:
        return f"TCP-AO, key {neighbor.tcp_ao.key_id}, {neighbor.tcp_ao.algorithm}; its secret apart from this sheet"
    return "none" if neighbor.password is None else "password (TCP MD5), agreed apart from this sheet"


def _bfd(ours: _End) -> str:
    """FRR takes a neighbour with GTSM for one behind several hops (RFC 5883); others have one session for all."""
    timers = ours.port.bfd
    if timers is None:
        return "none"
    said = f"every {timers.interval_ms} ms, down after {timers.multiplier} without one; single hop (UDP 3784)"
    if not FACTS[ours.router.platform].runs_frr:
        return said
    return f"{said} for PIM, and one over several hops (UDP 4784, TTL 254 at least) for BGP"


def _rendezvous(fabric: Fabric, exchange: Router, site: str) -> RendezvousPoint | None:
    multicast = exchange.multicast
    if multicast is None or not multicast.rendezvous_points:
        return None
    [point] = multicast.rendezvous_points
    routers = [each for each in fabric.routers if each.role is RouterRole.SITE and each.place == site]
    sessions = tuple(session for router in routers for session in _sessions(router, exchange.name))
    multicasts = [router.multicast for router in routers if router.multicast is not None]
    held = {each.address for found in multicasts for each in found.rendezvous_points if each.local}
    return RendezvousPoint(point.address, point.groups.permitted, next(iter(held)) if sessions else None, sessions)


def _sessions(router: Router, exchange: str) -> Iterator[MsdpSession]:
    peers = router.multicast.msdp.peers if router.multicast and router.multicast.msdp else ()
    for peer in peers:
        if peer.node == exchange and router.bgp is not None:
            yield MsdpSession(
                theirs=peer.address,
                ours=router.interface(peer.interface).address.ip,
                our_asn=router.bgp.asn,
                router=router.name,
                has_password=peer.password is not None,
                maximum_active_sources=peer.maximum_active_sources,
            )


def _side(end: _End, asn: int) -> Side:
    return Side(
        address=end.port.address,
        asn=asn,
        announce=_shown(end.sees.announce),
        accept=_shown(end.sees.accept),
        maximum_prefixes=end.sees.maximum_prefixes,
    )


def _shown(prefixes: Prefixes) -> tuple[str, ...]:
    longest = prefixes.longer
    return tuple(
        f"{prefix} up to /{longest}" if longest is not None and longest > prefix.prefixlen else str(prefix)
        for prefix in prefixes.permitted
    )


def _channels(fabric: Fabric, exchange: str, circuits: set[str]) -> Iterator[Channel]:
    for feed in fabric.feeds:
        if feed.exchange != exchange:
            continue
        for line in feed.lines:
            carrying = tuple(circuit for circuit in line.circuits if circuit in circuits)
            for channel, group in line.groups.items() if carrying else ():
                yield Channel(feed.name, line.name, channel, line.source, group, carrying)


def _servers(fabric: Fabric, feeds: set[str]) -> Iterator[Server]:
    for feed in fabric.feeds:
        if feed.name in feeds and feed.recovery is not None:
            for channel, endpoints in feed.recovery.servers.items():
                for endpoint in endpoints:
                    yield Server(feed.name, channel, endpoint)
