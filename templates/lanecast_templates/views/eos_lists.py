"""EOS's lists, from what a router filters by: which rules stand in which, in what order and under which name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from lanecast.router import (
    ANYWHERE,
    AccessRule,
    Interface,
    MsdpPeer,
    Prefixes,
    Router,
)
from lanecast_templates.errors import RenderError

SEQUENCE_STEP = 10
"""EOS's own step between entries of a list."""

SSH_PORT = 22

SSM_LIST = "ssm-ranges"
SSH_LIST = "ssh-sources"
NEIGHBOR_LIST = "pim-{}"
CONTROL_PLANE_LIST = "control-plane"
CLASS_LIST = "copp-{}"
NOTHING_LIST = "msdp-nothing"
"""What MSDP peers are told of."""


@dataclass(frozen=True, slots=True)
class StandardEntry:
    """One line of a list of addresses or groups."""

    sequence: int
    action: str
    match: str


@dataclass(frozen=True, slots=True)
class StandardList:
    """A list of addresses or groups; what it does not permit it denies."""

    name: str
    entries: tuple[StandardEntry, ...]


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One line of an access list: a remark, or a rule."""

    sequence: int
    remark: str | None
    action: str = ""
    protocol: str = ""
    source: str = ""
    source_port: int | None = None
    destination: str = ""
    destination_port: int | None = None


@dataclass(frozen=True, slots=True)
class AccessList:
    """An access list; ``counts`` what each line matched, where it drops."""

    name: str
    entries: tuple[AccessEntry, ...]
    counts: bool


@dataclass(frozen=True, slots=True)
class PrefixEntry:
    """One line of a prefix list; ``longest`` is set where longer prefixes match as well."""

    sequence: int
    action: str
    prefix: IPv4Network
    longest: int | None


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A prefix list; what it does not permit it denies."""

    name: str
    entries: tuple[PrefixEntry, ...]


@dataclass(frozen=True, slots=True)
class AsPathList:
    """An AS-path list of one regular expression."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class RouteMap:
    """EOS takes AS-path lists in route maps alone, and misses a policy where there is none (RFC 8212)."""

    name: str
    prefix_list: str
    as_path_list: str | None


@dataclass(frozen=True, slots=True)
class ControlClass:
    """A class of the control plane's policy. Such classes exist on switches that police with Trident chips; others
    take the list of the control plane, and refuse the classes."""

    name: str
    list_name: str
    rate_pps: int


def neighbor_list_name(interface: Interface) -> str:
    """What the list of an interface's PIM neighbours is called."""
    return NEIGHBOR_LIST.format(interface.attached_to)


def standard_lists(router: Router) -> tuple[StandardList, ...]:
    """Every list of addresses or groups, by name."""
    lists: dict[str, Prefixes] = {}
    for prefixes in _standard(router):
        if lists.setdefault(prefixes.name, prefixes) != prefixes:
            raise RenderError(f"{router.name}: two lists of different content are called {prefixes.name}")
    return tuple(StandardList(name, tuple(_standard_entries(each))) for name, each in sorted(lists.items()))


def _standard(router: Router) -> Iterator[Prefixes]:
    if router.management.ssh_sources:
        yield Prefixes(SSH_LIST, router.management.ssh_sources)
    if router.multicast is None:
        return
    yield Prefixes(SSM_LIST, router.multicast.ssm_ranges)
    yield from (prefixes for _, prefixes in router.multicast.boundaries)
    yield from (point.groups for point in router.multicast.rendezvous_points)
    for pim in router.multicast.pim:
        # EOS sends hellos wherever PIM runs. Where it ought to be passive, the list has nobody in it.
        allowed = tuple(IPv4Network(neighbor) for neighbor in pim.neighbors)
        yield Prefixes(neighbor_list_name(router.interface(pim.interface)), allowed)


def _standard_entries(prefixes: Prefixes) -> Iterator[StandardEntry]:
    for number, prefix in enumerate(prefixes.permitted, start=1):
        yield StandardEntry(number * SEQUENCE_STEP, "permit", _match(prefix))
    if not prefixes.permitted:
        yield StandardEntry(SEQUENCE_STEP, "deny", "any")  # an empty list would be none


def _match(network: IPv4Network) -> str:
    """A network as a line of an access list has it."""
    if network == ANYWHERE:
        return "any"
    return f"host {network.network_address}" if network.prefixlen == network.max_prefixlen else str(network)


def access_lists(router: Router) -> tuple[AccessList, ...]:
    """Those of interfaces, of the control plane and its classes, and of MSDP."""
    lists = [AccessList(each.name, tuple(_entries(each.rules)), counts=True) for each in router.access_lists]
    lists.append(AccessList(CONTROL_PLANE_LIST, tuple(_entries(tuple(_control_plane(router)))), counts=True))
    lists += [
        AccessList(CLASS_LIST.format(each.name), tuple(_entries(each.rules, remarks=False)), counts=False)
        for each in router.control_plane
    ]
    if router.multicast and router.multicast.msdp:
        lists.append(AccessList(NOTHING_LIST, tuple(_entries((NOTHING_ELSE,), remarks=False)), counts=False))
        lists += [_announced(peer) for peer in router.multicast.msdp.peers]
    return tuple(sorted(lists, key=lambda each: each.name))


NOTHING_ELSE = AccessRule("everything else", False, "ip")


def _control_plane(router: Router) -> Iterator[AccessRule]:
    """All classes, and nothing else; of PIM no registers, which go to a rendezvous point's own address.

    Management1 is no interface of the plan, but may be in the same table. Where the plan does not say who may use SSH,
    it is answered there as it was, and not on the addresses of the plan.
    """
    for point in router.multicast.rendezvous_points if router.multicast else ():
        if point.register_sources is not None:
            yield AccessRule("no registers", False, "pim", destination=IPv4Network(point.address))
    for each in router.control_plane:
        yield from each.rules
    if router.vrf is None and not router.management.ssh_sources:
        own = sorted({address.ip for interface in router.interfaces for address in interface.addresses})
        for address in own:
            destination = IPv4Network(address)
            yield AccessRule("no SSH by the plan", False, "tcp", destination=destination, destination_port=SSH_PORT)
        yield AccessRule("SSH by Management1", True, "tcp", destination_port=SSH_PORT)
    yield NOTHING_ELSE


def _announced(peer: MsdpPeer) -> AccessList:
    """EOS filters by pairs: every source that the peer may tell of, with every group."""
    rules = tuple(
        AccessRule("", True, "ip", source, group)
        for source in peer.sources.permitted
        for group in peer.groups.permitted
    )
    return AccessList(peer.sources.name, tuple(_entries(rules or (NOTHING_ELSE,), remarks=False)), counts=False)


def _entries(rules: tuple[AccessRule, ...], remarks: bool = True) -> Iterator[AccessEntry]:
    """Rules with their comments as remarks, each where it begins."""
    sequence, comment = 0, None
    for rule in rules:
        if remarks and rule.comment != comment:
            sequence, comment = sequence + SEQUENCE_STEP, rule.comment
            yield AccessEntry(sequence, rule.comment)
        sequence += SEQUENCE_STEP
        yield AccessEntry(
            sequence,
            None,
            action="permit" if rule.permit else "deny",
            protocol=rule.protocol,
            source=_match(rule.source),
            source_port=rule.source_port,
            destination=_match(rule.destination),
            destination_port=rule.destination_port,
        )


def control_classes(router: Router) -> tuple[ControlClass, ...]:
    """The classes and their bounds."""
    return tuple(
        ControlClass(CLASS_LIST.format(each.name), CLASS_LIST.format(each.name), each.rate_pps)
        for each in router.control_plane
    )


def prefix_lists(router: Router) -> tuple[PrefixList, ...]:
    """What neighbours may announce and what is announced to them, by name."""
    lists: dict[str, Prefixes] = {}
    for neighbor in router.bgp.neighbors if router.bgp else ():
        for prefixes in (neighbor.accept, neighbor.announce):
            if lists.setdefault(prefixes.name, prefixes) != prefixes:
                raise RenderError(f"{router.name}: two prefix lists of different content are called {prefixes.name}")
    return tuple(PrefixList(name, tuple(_prefix_entries(each))) for name, each in sorted(lists.items()))


def _prefix_entries(prefixes: Prefixes) -> Iterator[PrefixEntry]:
    for number, prefix in enumerate(prefixes.permitted, start=1):
        longer = prefixes.longer if prefixes.longer is not None and prefixes.longer > prefix.prefixlen else None
        yield PrefixEntry(number * SEQUENCE_STEP, "permit", prefix, longer)
    if not prefixes.permitted:
        yield PrefixEntry(SEQUENCE_STEP, "deny", ANYWHERE, ANYWHERE.max_prefixlen)


def as_path_lists(router: Router) -> tuple[AsPathList, ...]:
    """Paths of the neighbour's own AS alone, however often it stands there (RFC 7454, 6.1.1)."""
    asns: dict[str, int] = {}
    for neighbor in router.bgp.neighbors if router.bgp else ():
        if asns.setdefault(neighbor.accept_as_paths, neighbor.asn) != neighbor.asn:
            raise RenderError(f"{router.name}: AS-path list {neighbor.accept_as_paths} is asked for two AS numbers")
    return tuple(AsPathList(name, f"^{asn}(_{asn})*$") for name, asn in sorted(asns.items()))


def route_maps(router: Router) -> tuple[RouteMap, ...]:
    """One for each direction of each neighbour, called as its prefix list is."""
    maps: dict[str, RouteMap] = {}
    for neighbor in router.bgp.neighbors if router.bgp else ():
        for prefixes, as_paths in ((neighbor.accept, neighbor.accept_as_paths), (neighbor.announce, None)):
            wanted = RouteMap(prefixes.name, prefixes.name, as_paths)
            if maps.setdefault(prefixes.name, wanted) != wanted:
                raise RenderError(f"{router.name}: two policies of different content are called {prefixes.name}")
    return tuple(each for _, each in sorted(maps.items()))
