"""What a router's configuration says, in no vendor's words: what readers find in a text, and what they ought to find.

A reader shares no code with views and templates, so that a mistake of theirs cannot hide itself in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal

from lanecast.platforms import FACTS, Duty
from lanecast.router import (
    ANYWHERE,
    AccessRule,
    BgpNeighbor,
    Firewall,
    FirewallRule,
    ForwardRule,
    IgmpInterface,
    MsdpPeer,
    MulticastRouting,
    PimInterface,
    Prefixes,
    RendezvousPoint,
    Router,
)
from lanecast_relay.config.model import Endpoint

Range = tuple[IPv4Network, int]
"""A network, and the longest prefix in it that is meant; the network's own length where longer ones are not."""

Authentication = Literal["md5", "tcp-ao"]


@dataclass(frozen=True, slots=True)
class NeighborFacts:
    """A BGP neighbour; lists by content, whatever they are called."""

    address: IPv4Address
    asn: int
    accept: frozenset[Range]
    announce: frozenset[Range]
    accept_paths_of: int | None
    """Paths are taken that have this AS alone, however often."""
    maximum_prefixes: int | None
    keepalive_s: int
    hold_s: int
    authentication: Authentication | None
    gtsm: bool
    first_as: bool
    bfd: bool


@dataclass(frozen=True, slots=True)
class PimFacts:
    """PIM on an interface."""

    interface: str
    passive: bool
    hello_s: int | None
    """None where it is passive: it sends none."""
    neighbors: frozenset[IPv4Address] | None
    """Who may be one; None where there is no list."""
    dr_priority: int | None
    bfd: bool


@dataclass(frozen=True, slots=True)
class IgmpFacts:
    """IGMP on an interface."""

    interface: str
    version: int
    query_interval_s: int
    max_response_ds: int
    groups: frozenset[IPv4Network] | None
    maximum_groups: int | None
    static_joins: frozenset[tuple[IPv4Address, IPv4Address]]
    """(group, source)."""


@dataclass(frozen=True, slots=True)
class RendezvousFacts:
    """A rendezvous point."""

    address: IPv4Address
    groups: frozenset[IPv4Network]
    register_sources: frozenset[IPv4Network] | None
    """Whose registers are taken, where it is this router; None where it is another, or where there is no list."""


@dataclass(frozen=True, slots=True)
class MsdpFacts:
    """An MSDP peer."""

    address: IPv4Address
    local_interface: str
    """Whose address the session is from; readers of platforms that name the address look up the interface."""
    sources: frozenset[IPv4Network] | None
    groups: frozenset[IPv4Network] | None
    maximum_active_sources: int | None
    authenticated: bool


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """One line of an access list."""

    permit: bool
    protocol: str
    source: IPv4Network
    destination: IPv4Network
    source_port: int | None
    destination_port: int | None


@dataclass(frozen=True, slots=True)
class AcceptedFacts:
    """What a packet filter with state accepts on the router's own addresses."""

    interface: str
    protocol: str
    sources: frozenset[IPv4Network]
    destinations: frozenset[IPv4Network]
    ports: frozenset[int]
    rate_pps: int | None


@dataclass(frozen=True, slots=True)
class ForwardedFacts:
    """What a packet filter with state lets through: UDP from one source to one destination, each with its port."""

    interface: str
    out: str
    source: IPv4Network
    source_port: int | None
    destination: IPv4Network
    destination_port: int | None
    answers: bool
    """Only what answers a packet that was let through the other way."""


@dataclass(frozen=True, slots=True)
class FilterFacts:
    """A packet filter with state."""

    filtered: frozenset[str]
    """By these interfaces nothing is accepted but ``accepted`` and answers, of no version of IP."""
    accepted: frozenset[AcceptedFacts]
    guarded: frozenset[str]
    """To and from these nothing is forwarded but ``forwarded``."""
    forwarded: frozenset[ForwardedFacts]


@dataclass(frozen=True, slots=True)
class VlanFacts:
    """A switched VLAN."""

    id: int
    interface: str
    ports: frozenset[str]
    snooping: bool


@dataclass(frozen=True, slots=True)
class ManagementFacts:
    """How the router is managed; servers in no order but AAA's."""

    ssh_sources: frozenset[IPv4Network]
    ntp_servers: frozenset[IPv4Address]
    ntp_key_id: int | None
    ptp_domain: int | None
    syslog: frozenset[IPv4Address]
    aaa: tuple[str, tuple[IPv4Address, ...]] | None
    """``tacacs+`` or ``radius``, and the servers in order."""
    users: frozenset[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything."""

    name: str
    addresses: frozenset[tuple[str, IPv4Interface]]
    tags: frozenset[tuple[str, int]]
    """(interface, VLAN) of subinterfaces."""
    vlans: frozenset[VlanFacts]
    vrf_of: frozenset[tuple[str, str]]
    """(interface, VRF)."""
    shut: frozenset[str]
    routes: frozenset[tuple[IPv4Network, IPv4Address]]
    asn: int | None
    router_id: IPv4Address | None
    networks: frozenset[IPv4Network]
    neighbors: frozenset[NeighborFacts]
    bfd: frozenset[tuple[str, int, int]]
    """(interface, milliseconds, multiplier)."""
    ssm_ranges: frozenset[IPv4Network]
    pim: frozenset[PimFacts]
    igmp: frozenset[IgmpFacts]
    boundaries: frozenset[tuple[str, frozenset[IPv4Network]]] | None
    """(interface, groups that may pass it); None where another part does it."""
    rendezvous_points: frozenset[RendezvousFacts]
    msdp: frozenset[MsdpFacts]
    access: Mapping[str, tuple[AccessFacts, ...]] | None
    """By interface, in order."""
    control_plane: frozenset[tuple[frozenset[AccessFacts], int]] | None
    """(what belongs to a class, packets a second)."""
    reverse_path: frozenset[tuple[str, str]] | None
    """(interface, ``strict`` or ``loose``)."""
    no_redirects: frozenset[str] | None
    """Interfaces that send none and forward no directed broadcasts."""
    management: ManagementFacts | None
    packet_filter: FilterFacts | None = None
    """None where the text has no filter with state."""
    kernel_settings: frozenset[tuple[str, str]] | None = None
    """(name, value) of what the text sets beside its platform's own commands; None where it cannot."""


def expected(router: Router) -> Facts:
    """What a text for ``router`` has to say; ``None`` stands where another part does it on the router's platform."""
    elsewhere = FACTS[router.platform].elsewhere
    multicast = router.multicast
    interfaces = router.interfaces
    return Facts(
        name=router.name,
        addresses=frozenset((each.name, address) for each in interfaces for address in each.addresses),
        tags=frozenset((each.name, each.vlan) for each in interfaces if each.vlan is not None and each.parent),
        vlans=frozenset(
            VlanFacts(each.id, each.interface, frozenset(each.ports), each.snooping) for each in router.vlans
        ),
        vrf_of=frozenset((each.name, router.vrf) for each in interfaces if router.vrf is not None),
        shut=frozenset(router.unused_ports),
        routes=frozenset((route.prefix, route.via) for route in router.routes),
        asn=router.bgp.asn if router.bgp else None,
        router_id=router.bgp.router_id if router.bgp else None,
        networks=frozenset(router.bgp.networks if router.bgp else ()),
        neighbors=frozenset(_neighbors(router)),
        bfd=frozenset((each.name, each.bfd.interval_ms, each.bfd.multiplier) for each in interfaces if each.bfd),
        ssm_ranges=frozenset(multicast.ssm_ranges if multicast else ()),
        pim=frozenset(_pim(each, elsewhere) for each in (multicast.pim if multicast else ())),
        igmp=frozenset(_igmp(each, elsewhere) for each in (multicast.igmp if multicast else ())),
        boundaries=None if Duty.BOUNDARY in elsewhere else frozenset(_boundaries(multicast)),
        rendezvous_points=frozenset(_points(multicast, elsewhere)),
        msdp=frozenset(
            _msdp(each, elsewhere) for each in (multicast.msdp.peers if multicast and multicast.msdp else ())
        ),
        access=None if Duty.ACCESS_LISTS in elsewhere else _access(router),
        control_plane=None if Duty.CONTROL_PLANE in elsewhere else frozenset(_control_plane(router)),
        reverse_path=None
        if Duty.REVERSE_PATH in elsewhere
        else frozenset((each.name, each.reverse_path.value) for each in interfaces if each.reverse_path),
        no_redirects=None
        if Duty.NO_REDIRECTS in elsewhere
        else frozenset(each.name for each in interfaces if each.reverse_path),
        management=None if Duty.MANAGEMENT in elsewhere else _management(router),
        packet_filter=_packet_filter(router.firewall) if FACTS[router.platform].filters_with_state else None,
        kernel_settings=frozenset((each.name, each.value) for each in router.sysctls)
        if FACTS[router.platform].filters_with_state
        else None,
    )


def _ranges(prefixes: Prefixes) -> frozenset[Range]:
    return frozenset((each, max(prefixes.longer or 0, each.prefixlen)) for each in prefixes.permitted)


def _neighbors(router: Router) -> Iterator[NeighborFacts]:
    elsewhere = FACTS[router.platform].elsewhere
    for each in router.bgp.neighbors if router.bgp else ():
        assert router.bgp is not None  # it has the neighbours
        yield NeighborFacts(
            address=each.address,
            asn=each.asn,
            accept=_ranges(each.accept),
            announce=_ranges(each.announce),
            accept_paths_of=None if Duty.AS_PATHS in elsewhere else each.asn,
            maximum_prefixes=None if Duty.MAXIMUM_PREFIXES in elsewhere else each.maximum_prefixes,
            keepalive_s=router.bgp.keepalive_s,
            hold_s=router.bgp.hold_s,
            authentication=_authentication(each),
            gtsm=Duty.GTSM not in elsewhere,
            first_as=Duty.FIRST_AS not in elsewhere,
            bfd=each.bfd,
        )


def _authentication(neighbor: BgpNeighbor) -> Authentication | None:
    if neighbor.tcp_ao is not None:
        return "tcp-ao"
    return "md5" if neighbor.password is not None else None


def _pim(pim: PimInterface, elsewhere: Mapping[Duty, str]) -> PimFacts:
    passive = pim.passive and Duty.PIM_PASSIVE not in elsewhere
    # An interface that ought to be passive, and cannot be, has a list of nobody.
    listed = not passive and Duty.PIM_NEIGHBORS not in elsewhere
    return PimFacts(
        interface=pim.interface,
        passive=passive,
        hello_s=None if passive else pim.hello_s,
        neighbors=frozenset(pim.neighbors) if listed else None,
        dr_priority=pim.dr_priority,
        bfd=pim.bfd,
    )


def _igmp(igmp: IgmpInterface, elsewhere: Mapping[Duty, str]) -> IgmpFacts:
    return IgmpFacts(
        interface=igmp.interface,
        version=igmp.version,
        query_interval_s=igmp.query_interval_s,
        max_response_ds=igmp.max_response_ds,
        groups=None if Duty.IGMP_GROUPS in elsewhere else frozenset(igmp.groups.permitted),
        maximum_groups=None if Duty.IGMP_LIMIT in elsewhere else igmp.maximum_groups,
        static_joins=frozenset((join.group, join.source) for join in igmp.static_joins),
    )


def _boundaries(multicast: MulticastRouting | None) -> Iterator[tuple[str, frozenset[IPv4Network]]]:
    for interface, prefixes in multicast.boundaries if multicast else ():
        yield interface, frozenset(prefixes.permitted)


def _points(multicast: MulticastRouting | None, elsewhere: Mapping[Duty, str]) -> Iterator[RendezvousFacts]:
    for point in multicast.rendezvous_points if multicast else ():
        yield RendezvousFacts(point.address, frozenset(point.groups.permitted), _registers(point, elsewhere))


def _registers(point: RendezvousPoint, elsewhere: Mapping[Duty, str]) -> frozenset[IPv4Network] | None:
    if point.register_sources is None or Duty.REGISTER_FILTER in elsewhere:
        return None
    return frozenset(point.register_sources.permitted)


def _peers(multicast: MulticastRouting | None) -> tuple[MsdpPeer, ...]:
    return multicast.msdp.peers if multicast and multicast.msdp else ()


def _msdp(peer: MsdpPeer, elsewhere: Mapping[Duty, str]) -> MsdpFacts:
    bounded = Duty.MSDP_FILTER not in elsewhere
    return MsdpFacts(
        address=peer.address,
        local_interface=peer.interface,
        sources=frozenset(peer.sources.permitted) if bounded else None,
        groups=frozenset(peer.groups.permitted) if bounded else None,
        maximum_active_sources=peer.maximum_active_sources if bounded else None,
        authenticated=peer.password is not None,
    )


def _rule(rule: AccessRule) -> AccessFacts:
    return AccessFacts(
        rule.permit, rule.protocol, rule.source, rule.destination, rule.source_port, rule.destination_port
    )


def _access(router: Router) -> Mapping[str, tuple[AccessFacts, ...]]:
    lists = {each.name: tuple(_rule(rule) for rule in each.rules) for each in router.access_lists}
    return {each.name: lists[each.access_list] for each in router.interfaces if each.access_list is not None}


def _control_plane(router: Router) -> Iterator[tuple[frozenset[AccessFacts], int]]:
    for each in router.control_plane:
        yield frozenset(_rule(rule) for rule in each.rules), each.rate_pps


def _packet_filter(firewall: Firewall) -> FilterFacts:
    return FilterFacts(
        filtered=frozenset(firewall.interfaces),
        accepted=frozenset(_accepted(rule) for rule in firewall.rules),
        guarded=frozenset(firewall.guarded),
        forwarded=frozenset(each for rule in firewall.forwarded for each in _forwarded(rule)),
    )


def _accepted(rule: FirewallRule) -> AcceptedFacts:
    return AcceptedFacts(
        rule.interface,
        rule.protocol,
        frozenset(rule.sources),
        frozenset(rule.destinations),
        frozenset(rule.ports),
        rule.rate_pps,
    )


def _forwarded(rule: ForwardRule) -> Iterator[ForwardedFacts]:
    anywhere: list[tuple[IPv4Network, int | None]] = [(ANYWHERE, None)]
    sources = [(each, None) for each in rule.sources] + _with_ports(rule.source_endpoints)
    destinations = [(each, None) for each in rule.destinations] + _with_ports(rule.destination_endpoints)
    for source, source_port in sources or anywhere:
        for destination, port in destinations or anywhere:
            yield ForwardedFacts(rule.interface, rule.out, source, source_port, destination, port, rule.answers)


def _with_ports(endpoints: tuple[Endpoint, ...]) -> list[tuple[IPv4Network, int | None]]:
    return [(IPv4Network(end.address), end.port) for end in endpoints]


def _management(router: Router) -> ManagementFacts:
    held = router.management
    return ManagementFacts(
        ssh_sources=frozenset(held.ssh_sources),
        ntp_servers=frozenset(held.ntp.servers if held.ntp else ()),
        ntp_key_id=held.ntp.key_id if held.ntp else None,
        ptp_domain=held.ptp.domain if held.ptp else None,
        syslog=frozenset(held.syslog),
        aaa=(held.aaa.protocol.value, held.aaa.servers) if held.aaa else None,
        users=frozenset(user.name for user in held.users),
    )


def differences(wanted: Facts | FilterFacts, found: Facts | FilterFacts) -> list[str]:
    """What a text lacks of what is wanted, and what it says besides; empty where both are the same."""
    told: list[str] = []
    for each in fields(wanted):
        want, have = getattr(wanted, each.name), getattr(found, each.name)
        if want is None or want == have:
            continue
        if isinstance(want, frozenset):
            told += [f"{each.name}: lacks {_shown(item)}" for item in sorted(want - have, key=repr)]
            told += [f"{each.name}: has {_shown(item)}" for item in sorted(have - want, key=repr)]
        elif isinstance(want, Mapping):
            told += [
                f"{each.name} of {key}: is {_shown(have.get(key))}, not {_shown(want.get(key))}"
                for key in sorted({*want, *have})
                if want.get(key) != have.get(key)
            ]
        elif isinstance(want, FilterFacts) and have is not None:
            told += [f"{each.name}: {difference}" for difference in differences(want, have)]
        else:
            told.append(f"{each.name}: is {_shown(have)}, not {_shown(want)}")
    return told


def _shown(item: object) -> str:
    """An item without the classes' names; sets in order."""
    if isinstance(item, frozenset):
        return "{" + ", ".join(sorted(_shown(each) for each in item)) + "}"
    if isinstance(item, tuple):
        return "(" + ", ".join(_shown(each) for each in item) + ")"
    if hasattr(item, "__dataclass_fields__"):
        named = ((each, getattr(item, each)) for each in item.__dataclass_fields__)
        return ", ".join(f"{name} {_shown(value)}" for name, value in named)
    return str(item)
