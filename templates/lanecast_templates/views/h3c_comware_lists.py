"""A router's lists in Comware's terms: basic and advanced ACLs with numbered rules, prefix lists, AS-path lists.

Packet filters and QoS policies take ACLs by name; PIM, IGMP, MSDP and SSH take them by number alone, so those have a
number, and their name as a description. Basic lists match one address, which stands for groups or hosts; advanced ones
match both ends of a packet, or source and group.

A rule without a VPN instance is for packets of none. Lists that packets are held against therefore name the router's in
each rule; lists of multicast protocols must not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from lanecast.router import (
    ANYWHERE,
    CONTROL_PACKET_BYTES,
    REMAINDER_PPS,
    AccessRule,
    BgpNeighbor,
    ControlPlaneClass,
    Interface,
    MsdpPeer,
    Prefixes,
    Router,
)
from lanecast_templates.errors import RenderError

STEP = 5
"""Comware's own step between rules."""
INDEX_STEP = 10
"""Comware's own step between entries of a prefix list."""
FIRST_NUMBERS = {"basic": 2001, "advanced": 3001}
MOST_LISTS = 999
MOST_AS_PATH_LISTS = 256

SSM_LIST = "ssm-ranges"
SSH_LIST = "ssh-sources"
REMAINDER = "cpu-remainder"
REMAINDER_KBPS = -(-REMAINDER_PPS * CONTROL_PACKET_BYTES * 8 // 1000)

PROTOCOLS = {"pim": "103"}
"""Protocols that Comware knows by number alone."""

LINK_LOCAL = IPv4Network("224.0.0.0/24")
"""Groups of one link (RFC 5771, section 4): the router's own PIM and queries leave by them."""
ALL_GROUPS = IPv4Network("224.0.0.0/4")


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
    counting: bool = False
    comment: str | None = None
    """None where it is that of the rule before."""


@dataclass(frozen=True, slots=True)
class AccessList:
    """An ACL; ``kind`` is ``basic`` or ``advanced``."""

    name: str
    kind: str
    rules: tuple[ListRule, ...]
    number: int | None = None
    """None where it is called by its name."""


@dataclass(frozen=True, slots=True)
class PrefixEntry:
    """One line of a prefix list; ``longest`` is set where longer prefixes match as well."""

    index: int
    action: str
    prefix: IPv4Network
    longest: int | None


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A prefix list. What no entry permits is denied, by Comware itself."""

    name: str
    entries: tuple[PrefixEntry, ...]


@dataclass(frozen=True, slots=True)
class AsPathList:
    """An AS-path list of one regular expression; ``name`` is the model's, ``number`` what Comware calls it."""

    name: str
    number: int
    expression: str


@dataclass(slots=True)
class _Lists:
    """Lists in their order, with numbers for those that need them."""

    router: Router
    held: dict[str, AccessList] = field(default_factory=dict)
    next_numbers: dict[str, int] = field(default_factory=lambda: dict(FIRST_NUMBERS))

    def add(self, name: str, kind: str, rules: tuple[ListRule, ...], *, numbered: bool) -> None:
        there = self.held.get(name)
        if there is not None:
            if (there.kind, there.rules) != (kind, rules):
                raise RenderError(f"{self.router.name}: two lists of different content are called {name}")
            return
        number = None
        if numbered:
            number = self.next_numbers[kind]
            self.next_numbers[kind] += 1
            if number >= FIRST_NUMBERS[kind] + MOST_LISTS - 1:
                raise RenderError(f"{self.router.name}: Comware takes {MOST_LISTS} {kind} lists")
        self.held[name] = AccessList(name, kind, rules, number)


def neighbor_list(interface: Interface) -> str:
    """The list of those who may be PIM neighbours on an interface."""
    return f"pim-{interface.attached_to}"


def boundary_list(prefixes: Prefixes) -> str:
    """The filter of what may leave by an interface with a boundary."""
    return f"only-{prefixes.name}"


def msdp_list(peer: MsdpPeer) -> str:
    """The list of what an MSDP peer may tell of."""
    return f"msdp-{peer.node}"


def control_name(held: ControlPlaneClass) -> str:
    """What the list, the traffic class and the behaviour of a class of packets to the CPU are called."""
    return f"cpu-{held.name}"


def access_lists(router: Router) -> Mapping[str, AccessList]:
    """Every ACL that the router's text refers to, by name. Raises :class:`RenderError` for two of one name."""
    lists = _Lists(router)
    _add_multicast_lists(router, lists)
    for held in router.access_lists:
        lists.add(held.name, "advanced", _filter_rules(held.rules, router.vrf), numbered=False)
    for each in router.control_plane:
        lists.add(control_name(each), "advanced", _filter_rules(each.rules, router.vrf), numbered=False)
    if router.management.ssh_sources:
        rules = _permitting(((source, ANYWHERE) for source in router.management.ssh_sources), None, router.vrf)
        lists.add(SSH_LIST, "basic", rules, numbered=True)
    return lists.held


def _add_multicast_lists(router: Router, lists: _Lists) -> None:
    multicast = router.multicast
    if multicast is None:
        return

    def basic(name: str, permitted: Iterable[IPv4Network]) -> None:
        lists.add(name, "basic", _permitting(((each, ANYWHERE) for each in permitted), None), numbered=True)

    def advanced(name: str, permitted: Iterable[tuple[IPv4Network, IPv4Network]]) -> None:
        lists.add(name, "advanced", _permitting(permitted, "ip"), numbered=True)

    basic(SSM_LIST, multicast.ssm_ranges)
    for pim in multicast.pim:
        if not pim.passive:
            basic(neighbor_list(router.interface(pim.interface)), map(IPv4Network, pim.neighbors))
    for igmp in multicast.igmp:
        basic(igmp.groups.name, igmp.groups.permitted)
    for point in multicast.rendezvous_points:
        basic(point.groups.name, point.groups.permitted)
        if point.register_sources is not None:
            advanced(point.register_sources.name, ((each, ANYWHERE) for each in point.register_sources.permitted))
    for peer in multicast.msdp.peers if multicast.msdp else ():
        advanced(
            msdp_list(peer), ((source, group) for source in peer.sources.permitted for group in peer.groups.permitted)
        )
    for _, groups in multicast.boundaries:
        lists.add(boundary_list(groups), "advanced", _filter_rules(_boundary(groups), router.vrf), numbered=False)


def _boundary(groups: Prefixes) -> Iterator[AccessRule]:
    yield AccessRule("what stays on the link", True, "ip", destination=LINK_LOCAL)
    for group in groups.permitted:
        yield AccessRule("groups that may pass", True, "ip", destination=group)
    yield AccessRule("every other group", False, "ip", destination=ALL_GROUPS)
    yield AccessRule("unicast", True, "ip")


def _permitting(
    permitted: Iterable[tuple[IPv4Network, IPv4Network]], protocol: str | None, vrf: str | None = None
) -> tuple[ListRule, ...]:
    """Rules that permit pairs of addresses and deny the others."""
    rules = [
        ListRule(number * STEP, "permit", protocol, _with_wildcard(source), _with_wildcard(destination), vrf=vrf)
        for number, (source, destination) in enumerate(permitted, start=1)
    ]
    return (*rules, ListRule((len(rules) + 1) * STEP, "deny", protocol, vrf=vrf))


def _filter_rules(rules: Iterable[AccessRule], vrf: str | None) -> tuple[ListRule, ...]:
    """Rules for packets; what they drop is counted."""
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
                vrf=vrf,
                counting=not rule.permit,
                comment=rule.comment if rule.comment != described else None,
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
    lists: dict[str, Prefixes] = {}
    for neighbor in _neighbors(router):
        for prefixes in (neighbor.accept, neighbor.announce):
            if lists.setdefault(prefixes.name, prefixes) != prefixes:
                raise RenderError(f"{router.name}: two prefix lists of different content are called {prefixes.name}")
    return tuple(PrefixList(name, tuple(_entries(prefixes))) for name, prefixes in sorted(lists.items()))


def _entries(prefixes: Prefixes) -> Iterator[PrefixEntry]:
    for number, prefix in enumerate(prefixes.permitted, start=1):
        longest = prefixes.longer if prefixes.longer is not None and prefixes.longer > prefix.prefixlen else None
        yield PrefixEntry(number * INDEX_STEP, "permit", prefix, longest)
    if not prefixes.permitted:
        # A list that does not exist permits everything, so one without prefixes has to say that it denies them.
        yield PrefixEntry(INDEX_STEP, "deny", ANYWHERE, ANYWHERE.max_prefixlen)


def as_path_lists(router: Router) -> Mapping[str, AsPathList]:
    """By name, lists of paths of the neighbour's own AS alone, however often (RFC 7454, section 6.1.1)."""
    asns: dict[str, int] = {}
    for neighbor in _neighbors(router):
        if asns.setdefault(neighbor.accept_as_paths, neighbor.asn) != neighbor.asn:
            raise RenderError(f"{router.name}: AS-path list {neighbor.accept_as_paths} is asked for two AS numbers")
    if len(asns) > MOST_AS_PATH_LISTS:
        raise RenderError(f"{router.name}: Comware takes {MOST_AS_PATH_LISTS} AS-path lists, not {len(asns)}")
    return {
        name: AsPathList(name, number, f"^{asn}(_{asn})*$")
        for number, (name, asn) in enumerate(sorted(asns.items()), start=1)
    }


def _neighbors(router: Router) -> tuple[BgpNeighbor, ...]:
    return router.bgp.neighbors if router.bgp else ()
