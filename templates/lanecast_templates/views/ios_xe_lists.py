"""A router's lists in IOS XE's terms: by kind, since a name has one, with wildcards for masks.

IOS tells a standard access list (networks) from an extended one (packets), and wants prefix lists for routes; which one
a list of the model is depends on where it is used. AS-path lists have numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TypeVar

from lanecast.router import ANYWHERE, AccessRule, MulticastRouting, Prefixes, Router
from lanecast_templates.errors import RenderError
from lanecast_templates.views.lists import accepted_paths, neighbor_prefixes, path_expression

SSM_LIST = "ssm-ranges"
SSH_LIST = "ssh-sources"
SEQUENCE_STEP = 5
"""IOS's own step between entries of a prefix list."""

PORT_NAMES = {("tcp", 49): "tacacs", ("tcp", 179): "bgp", ("udp", 123): "ntp"}
"""Ports that IOS shows by name, so that what it shows is what was written."""


@dataclass(frozen=True, slots=True)
class StandardList:
    """A standard access list: ``entries`` are action and network. What no entry has is denied."""

    name: str
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExtendedEntry:
    """A line of an extended access list; a remark stands above the first of several lines that share it."""

    action: str
    protocol: str
    source: str
    source_port: str | None
    destination: str
    destination_port: str | None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class ExtendedList:
    """An extended access list. IOS numbers its entries; remarks among them take no number in all releases."""

    name: str
    entries: tuple[ExtendedEntry, ...]


@dataclass(frozen=True, slots=True)
class PrefixEntry:
    """A line of a prefix list; ``longest`` is set where longer prefixes match as well."""

    sequence: int
    action: str
    prefix: IPv4Network
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A prefix list. What no entry permits is denied, by IOS itself."""

    name: str
    entries: tuple[PrefixEntry, ...]


@dataclass(frozen=True, slots=True)
class AsPathList:
    """An AS-path list of one regular expression."""

    number: int
    expression: str


@dataclass(frozen=True, slots=True)
class RouteMap:
    """What a neighbour may tell or be told: both lists have to permit. It is called as its prefix list is."""

    name: str
    as_path: int | None


List = TypeVar("List", StandardList, ExtendedList, PrefixList)


def pim_list_name(attached_to: str) -> str:
    """The list of an interface's PIM neighbours."""
    return f"pim-{attached_to}"


def class_name(name: str) -> str:
    """A class of the control plane, and the list of what belongs to it."""
    return f"copp-{name}"


def standard_lists(router: Router) -> tuple[StandardList, ...]:
    """Lists of groups and hosts, each once."""
    found = [StandardList(held.name, tuple(_networks(held))) for held in _groups_and_hosts(router)]
    return _each_once(router, found)


def extended_lists(router: Router) -> tuple[ExtendedList, ...]:
    """Lists of packets: what comes in by interfaces, what is registered or told by MSDP, the control plane."""
    found = [ExtendedList(held.name, tuple(_entries(held.rules))) for held in router.access_lists]
    found += [ExtendedList(name, tuple(_entries(rules))) for name, rules in _sources_and_groups(router.multicast)]
    found += [ExtendedList(class_name(held.name), tuple(_entries(held.rules))) for held in router.control_plane]
    taken = {held.name for held in standard_lists(router)}
    twice = [f"{router.name}: {held.name} is the name of two kinds of list" for held in found if held.name in taken]
    if twice:
        raise RenderError(*twice)
    return _each_once(router, found)


def prefix_lists(router: Router) -> tuple[PrefixList, ...]:
    """What neighbours may announce and hear."""
    return _each_once(router, [PrefixList(each.name, tuple(_prefixes(each))) for each in neighbor_prefixes(router)])


def as_path_lists(router: Router) -> dict[str, AsPathList]:
    """By the model's name. Paths of the neighbour's own AS alone, however often it stands there (RFC 7454, 6.1.1)."""
    numbered = enumerate(accepted_paths(router), start=1)
    return {name: AsPathList(number, path_expression(asn)) for number, (name, asn) in numbered}


def route_maps(router: Router) -> tuple[RouteMap, ...]:
    """Two for each neighbour; without them nothing is taken or told (RFC 8212)."""
    paths = as_path_lists(router)
    return tuple(
        each
        for neighbor in router.neighbors
        for each in (
            RouteMap(neighbor.accept.name, paths[neighbor.accept_as_paths].number),
            RouteMap(neighbor.announce.name, None),
        )
    )


def wildcard(network: IPv4Network) -> str:
    """A network with the wildcard of access lists."""
    return f"{network.network_address} {network.hostmask}"


def _each_once(router: Router, lists: Iterable[List]) -> tuple[List, ...]:
    found: dict[str, List] = {}
    for each in lists:
        if found.setdefault(each.name, each) != each:
            raise RenderError(f"{router.name}: two lists of different content are called {each.name}")
    return tuple(found.values())


def _groups_and_hosts(router: Router) -> Iterator[Prefixes]:
    attached = {interface.name: interface.attached_to for interface in router.interfaces}
    if router.multicast is not None:
        yield Prefixes(SSM_LIST, router.multicast.ssm_ranges)
        yield from (igmp.groups for igmp in router.multicast.igmp)
        yield from (groups for _, groups in router.multicast.boundaries)
        yield from (point.groups for point in router.multicast.rendezvous_points)
        for pim in router.multicast.pim:
            if not pim.passive:
                hosts = tuple(IPv4Network(address) for address in pim.neighbors)
                yield Prefixes(pim_list_name(attached[pim.interface]), hosts)
    if router.management.ssh_sources:
        yield Prefixes(SSH_LIST, router.management.ssh_sources)


def _sources_and_groups(multicast: MulticastRouting | None) -> Iterator[tuple[str, tuple[AccessRule, ...]]]:
    """Extended lists whose destinations are groups; a peer's has the name of its senders' list."""
    for point in multicast.rendezvous_points if multicast else ():
        if point.register_sources is not None:
            yield point.register_sources.name, tuple(_pairs(point.register_sources.permitted, (ANYWHERE,)))
    for peer in multicast.msdp.peers if multicast and multicast.msdp else ():
        yield peer.sources.name, tuple(_pairs(peer.sources.permitted, peer.groups.permitted))


def _pairs(sources: tuple[IPv4Network, ...], groups: tuple[IPv4Network, ...]) -> Iterator[AccessRule]:
    yield from (AccessRule("", True, "ip", source, group) for source in sources for group in groups)
    if not (sources and groups):
        yield AccessRule("", False, "ip")  # as in _networks


def _networks(held: Prefixes) -> Iterator[str]:
    for network in held.permitted:
        if network.prefixlen == network.max_prefixlen:
            yield f"permit {network.network_address}"
        else:
            yield "permit any" if network == ANYWHERE else f"permit {wildcard(network)}"
    if not held.permitted:
        yield "deny any"  # a list without entries permits in some places of IOS: it has to say what it means


def _entries(rules: tuple[AccessRule, ...]) -> Iterator[ExtendedEntry]:
    above = ""
    for rule in rules:
        yield ExtendedEntry(
            action="permit" if rule.permit else "deny",
            protocol=rule.protocol,
            source=_end(rule.source),
            source_port=_port(rule.protocol, rule.source_port),
            destination=_end(rule.destination),
            destination_port=_port(rule.protocol, rule.destination_port),
            remark=rule.comment if rule.comment != above else None,
        )
        above = rule.comment


def _end(network: IPv4Network) -> str:
    if network == ANYWHERE:
        return "any"
    return f"host {network.network_address}" if network.prefixlen == network.max_prefixlen else wildcard(network)


def _port(protocol: str, port: int | None) -> str | None:
    return None if port is None else PORT_NAMES.get((protocol, port), str(port))


def _prefixes(held: Prefixes) -> Iterator[PrefixEntry]:
    for index, prefix in enumerate(held.permitted, start=1):
        longest = held.longer if held.longer is not None and held.longer > prefix.prefixlen else None
        yield PrefixEntry(index * SEQUENCE_STEP, "permit", prefix, longest)
    if not held.permitted:
        yield PrefixEntry(SEQUENCE_STEP, "deny", ANYWHERE, ANYWHERE.max_prefixlen)
