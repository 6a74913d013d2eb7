"""A router's lists in Junos's terms: policies of terms, packet filters and policers.

Policies are Junos's lists of prefixes, of groups and of neighbours, and its multicast boundaries; filters are its
access lists and its control-plane policing. Names are the model's; what the model has no name for is called after the
line that it belongs to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lanecast.router import (
    ANYWHERE,
    AccessRule,
    BgpNeighbor,
    ControlPlaneClass,
    Interface,
    MsdpPeer,
    PimInterface,
    Prefixes,
    Router,
)
from lanecast_templates.errors import RenderError

HOST_LENGTH = IPv4Address(0).max_prefixlen

NETWORKS = "bgp-networks"
"""The policy of what the router originates: in front of each neighbour's own, so that nothing learnt is passed on."""
TELL_NOBODY = "msdp-to-nobody"
CONTROL_FILTER = "control-plane"
"""The filter of what comes to the router itself. A routing instance that has a unit of lo0 is guarded by that alone."""
POLICER = "control-{}"

MANAGEMENT_PORT = "fxp0.0"
ANSWERS = "answers"
"""The class of what servers answer, which is there where there are servers."""

BGP_PORT = 179
NTP_PORT = 123
GTSM_TTL = 255
"""What a neighbour sends, and nobody farther off can (RFC 5082)."""

MINIMUM_BURST_BYTES = 15_000
"""Ten full frames: less would drop the first packets of a session that is opened."""
BURSTS_A_SECOND = 10
"""A bound's burst is what it lets through in a tenth of a second."""


@dataclass(frozen=True, slots=True)
class RouteFilter:
    """One range in a policy, and which prefixes in it are meant."""

    prefix: IPv4Network
    match: str


@dataclass(frozen=True, slots=True)
class PolicyTerm:
    """A named term; conditions that are empty are not asked for."""

    name: str
    action: str = "accept"
    protocol: str | None = None
    as_path: str | None = None
    interface: str | None = None
    routes: tuple[RouteFilter, ...] = ()
    sources: tuple[RouteFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy. What no term takes is rejected, which the template says at its end, unless a term has said it."""

    name: str
    terms: tuple[PolicyTerm, ...]
    rejects_rest: bool = True


@dataclass(frozen=True, slots=True)
class AsPath:
    """A named expression over AS paths."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class FilterTerm:
    """A term of a packet filter: any of the sources, any of the destinations, and all the rest."""

    name: str
    permit: bool
    protocol: str | None = None
    sources: tuple[IPv4Network, ...] = ()
    destinations: tuple[IPv4Network, ...] = ()
    source_port: int | None = None
    destination_port: int | None = None
    port: int | None = None
    """At either end."""
    not_with_ttl: int | None = None
    """Packets that do not have this TTL."""
    interface: str | None = None
    """Packets that came in by it."""
    policer: str | None = None


@dataclass(frozen=True, slots=True)
class PacketFilter:
    """What may come in by an interface, or to the router itself."""

    name: str
    terms: tuple[FilterTerm, ...]


@dataclass(frozen=True, slots=True)
class Policer:
    """The bound of a class."""

    name: str
    bandwidth_bps: int
    burst_bytes: int
    shared: bool
    """Whether several terms have it, each of which Junos would bound by itself."""


def boundary_name(interface: Interface) -> str:
    """The policy of which groups may pass an interface."""
    return f"boundary-{interface.attached_to}"


def neighbors_name(interface: Interface) -> str:
    """The policy of who may be a PIM neighbour on an interface."""
    return f"pim-neighbors-{interface.attached_to}"


def sources_name(peer: MsdpPeer) -> str:
    """The policy of what an MSDP peer may tell of."""
    return f"msdp-from-{peer.node}"


def policies(router: Router, logical: Callable[[str], str]) -> tuple[Policy, ...]:
    """All policies, by name; ``logical`` is what Junos calls an interface.

    Raises :class:`RenderError` for two of one name.
    """
    found: dict[str, Policy] = {}
    for policy in _policies(router, logical):
        if found.setdefault(policy.name, policy) != policy:
            raise RenderError(f"{router.name}: two policies of different content are called {policy.name}")
    return tuple(found[name] for name in sorted(found))


def _policies(router: Router, logical: Callable[[str], str]) -> Iterator[Policy]:
    if router.bgp is not None:
        connected = PolicyTerm("connected", "next policy", protocol="direct", routes=_exactly(router.bgp.networks))
        yield Policy(NETWORKS, _unless_empty(connected))
        for neighbor in router.bgp.neighbors:
            yield from _bgp_policies(neighbor)
    multicast = router.multicast
    if multicast is None:
        return
    for pim in multicast.pim:
        yield _pim_policy(pim, router.interface(pim.interface))
    for igmp in multicast.igmp:
        yield Policy(igmp.groups.name, _unless_empty(PolicyTerm("joined", routes=_addresses(igmp.groups))))
    for name, groups in multicast.boundaries:
        yield _boundary(router.interface(name), groups, logical(name))
    for point in multicast.rendezvous_points:
        if point.register_sources is not None:
            term = PolicyTerm("senders", sources=_addresses(point.register_sources))
            yield Policy(point.register_sources.name, _unless_empty(term))
    for peer in multicast.msdp.peers if multicast.msdp else ():
        yield Policy(TELL_NOBODY, ())
        term = PolicyTerm("told", routes=_addresses(peer.groups), sources=_addresses(peer.sources))
        yield Policy(sources_name(peer), (term,) if term.routes and term.sources else ())


def _unless_empty(term: PolicyTerm) -> tuple[PolicyTerm, ...]:
    """A term that names nothing would fit everything, so there is none."""
    return (term,) if term.routes or term.sources else ()


def _bgp_policies(neighbor: BgpNeighbor) -> Iterator[Policy]:
    accepted = PolicyTerm("accepted", as_path=neighbor.accept_as_paths, routes=_prefixes(neighbor.accept))
    yield Policy(neighbor.accept.name, _unless_empty(accepted))
    yield Policy(neighbor.announce.name, _unless_empty(PolicyTerm("announced", routes=_prefixes(neighbor.announce))))


def _pim_policy(pim: PimInterface, interface: Interface) -> Policy:
    allowed = PolicyTerm("allowed", routes=_exactly(IPv4Network(each) for each in pim.neighbors))
    return Policy(neighbors_name(interface), _unless_empty(allowed))


def _boundary(interface: Interface, groups: Prefixes, logical: str) -> Policy:
    """Of one interface alone: other interfaces have policies of their own beside it."""
    passing = PolicyTerm("passing", interface=logical, routes=_addresses(groups))
    rest = PolicyTerm("rest", "reject", interface=logical)
    return Policy(boundary_name(interface), (*_unless_empty(passing), rest), rejects_rest=False)


def _exactly(networks: Iterable[IPv4Network]) -> tuple[RouteFilter, ...]:
    return tuple(RouteFilter(network, "exact") for network in networks)


def _prefixes(prefixes: Prefixes) -> tuple[RouteFilter, ...]:
    return tuple(RouteFilter(each, _match(each, prefixes.longer)) for each in prefixes.permitted)


def _addresses(prefixes: Prefixes) -> tuple[RouteFilter, ...]:
    """Ranges of groups or senders: Junos holds each of these against them as a host prefix."""
    return tuple(RouteFilter(each, _match(each, HOST_LENGTH)) for each in prefixes.permitted)


def _match(prefix: IPv4Network, longest: int | None) -> str:
    if longest is None or longest <= prefix.prefixlen:
        return "exact"
    return "orlonger" if longest == HOST_LENGTH else f"upto /{longest}"


def as_paths(router: Router) -> tuple[AsPath, ...]:
    """Paths of the neighbour's own AS alone, however often. Junos holds an expression against the whole path."""
    asns: dict[str, int] = {}
    for neighbor in router.bgp.neighbors if router.bgp else ():
        if asns.setdefault(neighbor.accept_as_paths, neighbor.asn) != neighbor.asn:
            raise RenderError(f"{router.name}: AS-path list {neighbor.accept_as_paths} is asked for two AS numbers")
    return tuple(AsPath(name, f"{asn}+") for name, asn in sorted(asns.items()))


def packet_filters(router: Router) -> tuple[PacketFilter, ...]:
    """What may come in by each interface: the model's lines in their order, some of them in one term."""
    return tuple(
        PacketFilter(each.name, tuple(_terms(_neighboring(each.rules), None, {}))) for each in router.access_lists
    )


def policers(router: Router, control: PacketFilter) -> tuple[Policer, ...]:
    """One for each class of the control plane's filter."""
    users = Counter(term.policer for term in control.terms)
    return tuple(
        Policer(
            POLICER.format(each.name),
            each.rate_bps,
            max(MINIMUM_BURST_BYTES, each.rate_bps // (8 * BURSTS_A_SECOND)),
            shared=users[POLICER.format(each.name)] > 1,
        )
        for each in router.control_plane
    )


def control_filter(router: Router) -> PacketFilter:
    """What may reach the router itself, each class within its bound; nothing else does.

    Junos sends BGP with the TTL that a neighbour is told; that none comes with less is a filter's to see to (RFC 5082).
    """
    names: dict[str, int] = {}
    classes = (term for each in router.control_plane for term in _terms(_alike(each), POLICER.format(each.name), names))
    far = FilterTerm("bgp-from-afar", permit=False, protocol="tcp", port=BGP_PORT, not_with_ttl=GTSM_TTL)
    rest = FilterTerm("everything-else", permit=False)
    return PacketFilter(CONTROL_FILTER, (far, *classes, *_asks_itself(router), *_out_of_band(router), rest))


def _asks_itself(router: Router) -> Iterator[FilterTerm]:
    """Junos's ``show ntp`` asks the router's own NTP, from the address that servers are asked from."""
    managed = router.management
    if managed.ntp is not None and managed.source_interface is not None:
        own = IPv4Network(router.interface(managed.source_interface).address.ip)
        yield FilterTerm(
            "ntp-of-the-router-itself",
            permit=True,
            protocol="udp",
            sources=(own,),
            destination_port=NTP_PORT,
            policer=POLICER.format(ANSWERS),
        )


def _neighboring(rules: Iterable[AccessRule]) -> list[list[AccessRule]]:
    """Lines that follow each other and differ in their source alone, or in their destination alone."""
    found: list[list[AccessRule]] = []
    for rule in rules:
        if found and _differ_in_one_end([*found[-1], rule]):
            found[-1].append(rule)
        else:
            found.append([rule])
    return found


def _differ_in_one_end(rules: list[AccessRule]) -> bool:
    sources, destinations = {rule.source for rule in rules}, {rule.destination for rule in rules}
    differing, same = (sources, destinations) if len(destinations) == 1 else (destinations, sources)
    return (
        len({_but_ends(rule) for rule in rules}) == 1
        and (len(same), len(differing)) == (1, len(rules))
        and ANYWHERE not in differing
    )


def _but_ends(rule: AccessRule) -> tuple[object, ...]:
    return rule.comment, rule.permit, rule.protocol, rule.source_port, rule.destination_port


def _alike(class_: ControlPlaneClass) -> list[list[AccessRule]]:
    """A class's lines that differ in their source alone; what belongs to a class has no order."""
    found: dict[tuple[object, ...], list[AccessRule]] = {}
    for rule in class_.rules:
        found.setdefault((*_but_ends(rule), rule.destination, rule.source == ANYWHERE), []).append(rule)
    return list(found.values())


def _terms(groups: list[list[AccessRule]], policer: str | None, names: dict[str, int]) -> Iterator[FilterTerm]:
    """Terms called after what they are for. ``names``: how often each is taken; terms of one name would become one."""
    for rules in groups:
        first = rules[0]
        name = re.sub(r"[^a-z0-9]+", "-", first.comment.lower()).strip("-")
        names[name] = names.get(name, 0) + 1
        yield FilterTerm(
            name=name if names[name] == 1 else f"{name}-{names[name]}",
            permit=first.permit,
            protocol=None if first.protocol == "ip" else first.protocol,
            sources=_named(rule.source for rule in rules),
            destinations=_named(rule.destination for rule in rules),
            source_port=first.source_port,
            destination_port=first.destination_port,
            policer=policer,
        )


def _out_of_band(router: Router) -> Iterator[FilterTerm]:
    """The filter guards the management port as well. Where a plan does not say who may log in, that port is not the
    plan's: it stays as it is."""
    if not router.management.ssh_sources:
        yield FilterTerm("management-port", permit=True, interface=MANAGEMENT_PORT)


def _named(networks: Iterable[IPv4Network]) -> tuple[IPv4Network, ...]:
    """Each of them once; any address needs no condition."""
    found = tuple(dict.fromkeys(networks))
    return () if ANYWHERE in found else found
