"""A router's lists in VRP's terms: basic and advanced ACLs with numbered rules, ip-prefix lists, AS-path filters.

Basic lists match a source alone, and stand for groups and for hosts as well; advanced ones match both ends and ports.
Names are one space for both kinds, so a list that is needed in both has a second name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network

from lanecast.router import (
    ANYWHERE,
    CONTROL_PACKET_BYTES,
    REMAINDER_PPS,
    AccessRule,
    ControlPlaneClass,
    Interface,
    MsdpPeer,
    Prefixes,
    RendezvousPoint,
    Router,
)
from lanecast_templates.errors import RenderError
from lanecast_templates.views.lists import accepted_paths, by_name, longest, neighbor_prefixes, path_expression

STEP = 5
"""VRP's own step between rules."""

INDEX_STEP = 10
"""VRP's own step between entries of an ip-prefix list."""

SSM_LIST = "ssm-ranges"
SSH_LIST = "ssh-sources"
REMAINDER_LIST = "cpu-remainder"
REMAINDER_KBPS = -(-REMAINDER_PPS * CONTROL_PACKET_BYTES * 8 // 1000)

PROTOCOLS = {"pim": "103"}
"""Protocols that VRP knows by number alone."""

NAME_CHARACTERS = 31
"""The most that VRP takes in the name of an ACL, a traffic classifier and a traffic policy alike."""

DIGEST_CHARACTERS = 6
"""What stands for the end of a name that is longer."""


@dataclass(frozen=True, slots=True)
class ListRule:
    """One rule of an ACL; ``protocol`` is None in a basic one, and what is None matches anything."""

    number: int
    action: str
    protocol: str | None = None
    source: str | None = None
    """Address and wildcard mask; ``0`` is that of a single address."""
    destination: str | None = None
    source_port: int | None = None
    destination_port: int | None = None
    vrf: str | None = None
    description: str | None = None
    """None where it is that of the rule before."""


@dataclass(frozen=True, slots=True)
class AccessList:
    """An ACL; ``kind`` is ``basic`` or ``advance``."""

    name: str
    kind: str
    rules: tuple[ListRule, ...]


@dataclass(frozen=True, slots=True)
class PrefixEntry:
    """One line of an ip-prefix list; ``longest`` is set where longer prefixes match as well."""

    index: int
    action: str
    prefix: IPv4Network
    longest: int | None


@dataclass(frozen=True, slots=True)
class PrefixList:
    """An ip-prefix list. What no entry permits is denied, by VRP itself."""

    name: str
    entries: tuple[PrefixEntry, ...]


@dataclass(frozen=True, slots=True)
class AsPathFilter:
    """An AS-path filter of one regular expression."""

    name: str
    expression: str


def list_name(name: str) -> str:
    """The name itself, or its beginning and a digest of all of it where VRP would not take it."""
    if len(name) <= NAME_CHARACTERS:
        return name
    digest = sha256(name.encode()).hexdigest()[:DIGEST_CHARACTERS]
    return f"{name[: NAME_CHARACTERS - DIGEST_CHARACTERS - 1]}-{digest}"


def neighbor_list(interface: Interface) -> str:
    """The list of those who may be PIM neighbours on an interface."""
    return list_name(f"pim-{interface.attached_to}")


def join_list(prefixes: Prefixes) -> str:
    """The list that joins by PIM are held against: an advanced one, beside IGMP's basic one of the same groups."""
    return list_name(f"joins-{prefixes.name}")


def msdp_list(peer: MsdpPeer) -> str:
    """The list of what an MSDP peer may tell of."""
    return list_name(f"msdp-{peer.node}")


def control_list(held: ControlPlaneClass) -> str:
    """The list of what belongs to a class of packets to the CPU."""
    return list_name(f"cpu-{held.name}")


def traffic_filters(router: Router) -> tuple[str, ...]:
    """The lists that are bound to an interface."""
    used = {interface.access_list for interface in router.interfaces}
    return tuple(list_name(each.name) for each in router.access_lists if each.name in used)


def access_lists(router: Router) -> tuple[AccessList, ...]:
    """Every ACL that the router's text refers to. Raises :class:`RenderError` for two of one name."""
    lists: dict[str, AccessList] = {}
    for held in _access_lists(router):
        if lists.setdefault(held.name, held) != held:
            raise RenderError(f"{router.name}: two lists of different content are called {held.name}")
    return tuple(lists.values())


def _access_lists(router: Router) -> Iterator[AccessList]:
    yield from _multicast_lists(router)
    for held in router.access_lists:
        yield AccessList(list_name(held.name), "advance", _filter_rules(held.rules))
    if router.control_plane:
        for each in router.control_plane:
            yield AccessList(control_list(each), "advance", _filter_rules(each.rules))
        everything = (AccessRule("", True, protocol) for protocol in ("ip", "igmp", "pim"))
        yield AccessList(REMAINDER_LIST, "advance", _filter_rules(everything))
    if router.management.ssh_sources:
        yield _basic(SSH_LIST, router.management.ssh_sources, router.vrf)


def _multicast_lists(router: Router) -> Iterator[AccessList]:
    multicast = router.multicast
    if multicast is None:
        return
    yield _basic(SSM_LIST, multicast.ssm_ranges)
    for pim in multicast.pim:
        if not pim.passive:
            yield _basic(neighbor_list(router.interface(pim.interface)), map(IPv4Network, pim.neighbors))
    for igmp in multicast.igmp:
        yield _basic(list_name(igmp.groups.name), igmp.groups.permitted)
    for _, groups in multicast.boundaries:
        yield _advanced(join_list(groups), ((ANYWHERE, group) for group in groups.permitted))
    for point in multicast.rendezvous_points:
        yield from _rendezvous_lists(point)
    for peer in multicast.msdp.peers if multicast.msdp else ():
        told = ((source, group) for source in peer.sources.permitted for group in peer.groups.permitted)
        yield _advanced(msdp_list(peer), told)


def _rendezvous_lists(point: RendezvousPoint) -> Iterator[AccessList]:
    yield _basic(list_name(point.groups.name), point.groups.permitted)
    registers = point.register_sources
    if registers is not None:
        yield _advanced(list_name(registers.name), ((source, ANYWHERE) for source in registers.permitted))


def _basic(name: str, permitted: Iterable[IPv4Network], vrf: str | None = None) -> AccessList:
    """A list that permits sources, or what stands in their place, and denies the others.

    A packet or a request that VRP takes from a VRF is only of a rule that names the VRF.
    """
    rules = [
        ListRule(number * STEP, "permit", source=_with_wildcard(network), vrf=vrf)
        for number, network in enumerate(permitted, start=1)
    ]
    return AccessList(name, "basic", (*rules, ListRule((len(rules) + 1) * STEP, "deny", vrf=vrf)))


def _advanced(name: str, permitted: Iterable[tuple[IPv4Network, IPv4Network]]) -> AccessList:
    """A list that permits pairs of source and group, and denies the others."""
    rules = [
        ListRule(number * STEP, "permit", "ip", _with_wildcard(source), _with_wildcard(group))
        for number, (source, group) in enumerate(permitted, start=1)
    ]
    return AccessList(name, "advance", (*rules, ListRule((len(rules) + 1) * STEP, "deny", "ip")))


def _filter_rules(rules: Iterable[AccessRule]) -> tuple[ListRule, ...]:
    described = ""
    filtered = []
    for number, rule in enumerate(rules, start=1):
        filtered.append(
            ListRule(
                number * STEP,
                "permit" if rule.permit else "deny",
                PROTOCOLS.get(rule.protocol, rule.protocol),
                _with_wildcard(rule.source),
                _with_wildcard(rule.destination),
                rule.source_port,
                rule.destination_port,
                description=rule.comment if rule.comment != described else None,
            )
        )
        described = rule.comment
    return tuple(filtered)


def _with_wildcard(network: IPv4Network) -> str | None:
    if network == ANYWHERE:
        return None
    single = network.prefixlen == network.max_prefixlen
    return f"{network.network_address} {0 if single else network.hostmask}"


def prefix_lists(router: Router) -> tuple[PrefixList, ...]:
    """The lists of what neighbours may tell and are told. Raises :class:`RenderError` for two of one name."""
    return tuple(
        PrefixList(name, tuple(_entries(prefixes))) for name, prefixes in by_name(router, neighbor_prefixes(router))
    )


def _entries(prefixes: Prefixes) -> Iterator[PrefixEntry]:
    for number, prefix in enumerate(prefixes.permitted, start=1):
        yield PrefixEntry(number * INDEX_STEP, "permit", prefix, longest(prefix, prefixes.longer))
    if not prefixes.permitted:
        # A list that does not exist permits everything, so one without prefixes has to say that it denies them.
        yield PrefixEntry(INDEX_STEP, "deny", ANYWHERE, ANYWHERE.max_prefixlen)


def as_path_filters(router: Router) -> tuple[AsPathFilter, ...]:
    """Paths of the neighbour's own AS alone, however often it stands there (RFC 7454, section 6.1.1)."""
    return tuple(AsPathFilter(name, path_expression(asn)) for name, asn in accepted_paths(router))
