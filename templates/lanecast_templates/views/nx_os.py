"""A router in Cisco NX-OS's own terms: features, ports and what is on them, route maps, classes of the control plane.

What NX-OS does in another way than the model says it:

- There is no multicast boundary. A neighbour's joins are held against a join-prune policy and hosts' reports against an
  IGMP report policy; data that comes in is held against the interface's access list.
- Route maps, not prefix lists, say which groups are meant: a route map's group is a range by definition.
- The VLAN's own interface is its querier, since PIM runs on it; a snooping querier is for VLANs without PIM.
- The first AS is enforced for the whole switch, and registers are filtered for the VRF, not for each rendezvous point.
- The policer of the control plane counts bits.
- PTP runs on ports: of a switched VLAN, on its access ports.
- BFD goes without echo packets: reverse-path checks would drop them, and no access list lets them in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from lanecast.plan.model import AaaProtocol
from lanecast.router import (
    ANYWHERE,
    REMAINDER_PPS,
    AccessRule,
    BgpNeighbor,
    ControlPlaneClass,
    IgmpInterface,
    Interface,
    InterfaceKind,
    MsdpPeer,
    MulticastRouting,
    PimInterface,
    Prefixes,
    RendezvousPoint,
    Router,
    Vlan,
)
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.nx_os_limits import problems

PREFIX_STEP = 5
"""NX-OS's own step between entries of a prefix list or an AS-path list."""
STEP = 10
"""Its own step between entries of an access list or a route map."""

DEFAULT_VRF = "default"
ALL_GROUPS = IPv4Network("224.0.0.0/4")

SSM = "ssm-ranges"
SSH = "ssh-from"
AAA_GROUP = "aaa-servers"
NOBODY = "msdp-out"
"""The route map that tells MSDP peers of nothing."""

CONTROL_LIST = "copp-acl-{}"
"""The switch's hardware takes lists for protocols by these names: for IGMP and PTP they have to hold ``acl-igmp`` and
``acl-ptp`` (security guide, Configuring Control Plane Policing, Static CoPP ACLs)."""
CONTROL_CLASS = "copp-class-{}"
BURST_SHARE = 4
"""What may come at once: a quarter of a second's packets."""

SSH_PORT = 22
MILLISECONDS = 1000
DECISECONDS = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list; ``sequence`` says where it stands."""

    sequence: int
    words: str


@dataclass(frozen=True, slots=True)
class NamedList:
    """A list of lines: a prefix list, an AS-path list or an access list."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class RouteMapEntry:
    """An entry of a route map; no more than one of each kind of match stands in one."""

    sequence: int
    action: str
    match: str


@dataclass(frozen=True, slots=True)
class RouteMap:
    """Which groups, or sources with their groups, are meant."""

    name: str
    entries: tuple[RouteMapEntry, ...]


@dataclass(frozen=True, slots=True)
class PolicedClass:
    """A class of the control plane and its bound."""

    name: str
    access_list: NamedList | None
    """What it matches, where that is a list of ours."""
    match: str | None
    """What its class map says; None: it is the switch's own class for all that no other has."""
    rate_bps: int
    burst_bytes: int


@dataclass(frozen=True, slots=True)
class Trunk:
    """A port that carries subinterfaces."""

    name: str
    carries: str


@dataclass(frozen=True, slots=True)
class AccessPort:
    """An untagged port of a VLAN."""

    name: str
    vlan: Vlan
    ptp: bool


@dataclass(frozen=True, slots=True)
class NxOsInterface:
    """An interface with an address, and what of multicast runs on it."""

    interface: Interface
    is_port: bool
    is_loopback: bool
    reverse_path: str | None
    pim: PimInterface | None
    hello_ms: int | None
    neighbors: str | None
    """The prefix list of neighbours that are allowed."""
    joins: str | None
    """The route map of groups that a neighbour may join."""
    rendezvous_point: bool
    igmp: IgmpInterface | None
    max_response_s: int | None
    ptp: bool


@dataclass(frozen=True, slots=True)
class NxOsNeighbor:
    """A neighbour and its password, where it has one."""

    neighbor: BgpNeighbor
    password: str | None


@dataclass(frozen=True, slots=True)
class NxOsMsdpPeer:
    """An MSDP peer, its password, and the route maps of what it may tell of and is told of."""

    peer: MsdpPeer
    password: str | None
    accept: str
    announce: str


@dataclass(frozen=True, slots=True)
class AaaServers:
    """Servers that are asked who may log in."""

    protocol: str
    name: str
    servers: tuple[str, ...]
    key: str | None
    radius: bool


@dataclass(frozen=True, slots=True)
class NxOsRouter:
    """Everything that the configuration is spelled from."""

    name: str
    model: Router
    features: tuple[str, ...]
    vrf: str | None
    vrf_name: str
    """What the VRF is called where it must be said, the default one as well."""
    indent: str
    """Before what stands in the VRF's block, where there is one."""
    prefix_lists: tuple[NamedList, ...]
    as_path_lists: tuple[NamedList, ...]
    route_maps: tuple[RouteMap, ...]
    access_lists: tuple[NamedList, ...]
    terminal_list: str | None
    """None where the plan does not say from where SSH is answered: its interfaces drop it, and mgmt0 stays as it is."""
    """The access list of the terminal lines."""
    classes: tuple[PolicedClass, ...]
    trunks: tuple[Trunk, ...]
    access_ports: tuple[AccessPort, ...]
    interfaces: tuple[NxOsInterface, ...]
    ssm: str | None
    rendezvous_points: tuple[RendezvousPoint, ...]
    register_policy: str | None
    msdp_peers: tuple[NxOsMsdpPeer, ...]
    neighbors: tuple[NxOsNeighbor, ...]
    aaa: AaaServers | None
    ntp_key: str | None
    ptp_source: str | None


def nx_os_router(router: Router, secrets: RouterSecrets) -> NxOsRouter:
    """Return ``router`` in NX-OS's terms. Raises :class:`RenderError` for what NX-OS has no words for."""
    found = [*problems(router), *_problems_of_lists(router)]
    if found:
        raise RenderError(*(f"{router.name}: {problem}" for problem in found))
    multicast = router.multicast
    points = multicast.rendezvous_points if multicast else ()
    return NxOsRouter(
        name=router.name,
        model=router,
        features=tuple(_features(router)),
        vrf=router.vrf,
        vrf_name=router.vrf or DEFAULT_VRF,
        indent="  " if router.vrf else "",
        prefix_lists=tuple(_prefix_lists(router)),
        as_path_lists=tuple(_as_path_lists(router)),
        route_maps=tuple(_route_maps(router)),
        access_lists=tuple(_access_lists(router)),
        terminal_list=SSH if router.management.ssh_sources else None,
        classes=tuple(_classes(router)),
        trunks=tuple(_trunks(router)),
        access_ports=tuple(_access_ports(router)),
        interfaces=tuple(_interfaces(router)),
        ssm=SSM if multicast else None,
        rendezvous_points=points,
        register_policy=next((each.register_sources.name for each in points if each.register_sources), None),
        msdp_peers=tuple(
            NxOsMsdpPeer(peer, _typed(secrets.msdp_password(peer)), _accepted_by(peer), NOBODY)
            for peer in _peers(router)
        ),
        neighbors=tuple(NxOsNeighbor(each, _typed(secrets.password(each))) for each in _neighbors(router)),
        aaa=_aaa(router, _typed(secrets.aaa_key())),
        ntp_key=_typed(secrets.ntp_key()),
        ptp_source=_ptp_source(router),
    )


NOT_IN_A_SECRET = re.compile(r'["?]')


def _typed(secret: str | None) -> str | None:
    """A secret as a command line takes it: there a question mark asks for help."""
    if secret is not None and NOT_IN_A_SECRET.search(secret):
        raise RenderError("a secret of NX-OS has no quotes and no question marks")
    return secret


def _features(router: Router) -> Iterator[str]:
    """What has to be switched on before its commands are known."""
    multicast, management = router.multicast, router.management
    asked = {
        "bgp": router.bgp is not None,
        "pim": multicast is not None,
        "msdp": multicast is not None and multicast.msdp is not None,
        "bfd": any(each.bfd for each in router.interfaces),
        "interface-vlan": bool(router.vlans),
        "ptp": management.ptp is not None,
        "tacacs+": management.aaa is not None and management.aaa.protocol is AaaProtocol.TACACS,
        "ssh": True,
    }
    yield from (name for name, wanted in asked.items() if wanted)


def _neighbors(router: Router) -> tuple[BgpNeighbor, ...]:
    return router.bgp.neighbors if router.bgp else ()


def _peers(router: Router) -> tuple[MsdpPeer, ...]:
    return router.multicast.msdp.peers if router.multicast and router.multicast.msdp else ()


# ---------------------------------------------------------------- lists


def _allowed_name(interface: Interface) -> str:
    return f"pim-{interface.attached_to}"


def _accepted_by(peer: MsdpPeer) -> str:
    return f"msdp-in-{peer.node}"


def _listed_prefixes(router: Router) -> Iterator[Prefixes]:
    """What prefix lists say: BGP's routes, and who may be a PIM neighbour."""
    for neighbor in _neighbors(router):
        yield neighbor.accept
        yield neighbor.announce
    for pim in router.multicast.pim if router.multicast else ():
        if not pim.passive:
            name = _allowed_name(router.interface(pim.interface))
            yield Prefixes(name, tuple(IPv4Network(address) for address in pim.neighbors))


def _prefix_lists(router: Router) -> Iterator[NamedList]:
    for name, prefixes in sorted({each.name: each for each in _listed_prefixes(router)}.items()):
        words = [f"permit {prefix}{_longest(prefix, prefixes.longer)}" for prefix in prefixes.permitted]
        # A list of nothing would not be there at all, and then everything passes.
        yield _numbered(name, words or [f"deny {ANYWHERE} le {ANYWHERE.max_prefixlen}"], PREFIX_STEP)


def _longest(prefix: IPv4Network, longer: int | None) -> str:
    return f" le {longer}" if longer is not None and longer > prefix.prefixlen else ""


def _as_path_lists(router: Router) -> Iterator[NamedList]:
    """Paths of the neighbour's own AS alone, however often it stands there (RFC 7454, 6.1.1: no other's routes)."""
    for name, asn in sorted({each.accept_as_paths: each.asn for each in _neighbors(router)}.items()):
        yield _numbered(name, [f'permit "^{asn}(_{asn})*$"'], PREFIX_STEP)


def _numbered(name: str, words: list[str], step: int = STEP) -> NamedList:
    return NamedList(name, tuple(Entry(index * step, each) for index, each in enumerate(words, start=1)))


def _group_lists(multicast: MulticastRouting) -> Iterator[Prefixes]:
    yield Prefixes(SSM, multicast.ssm_ranges)
    yield from (igmp.groups for igmp in multicast.igmp)
    yield from (prefixes for _, prefixes in multicast.boundaries)
    yield from (point.groups for point in multicast.rendezvous_points)


def _route_maps(router: Router) -> Iterator[RouteMap]:
    multicast = router.multicast
    if multicast is None:
        return
    for name, prefixes in sorted({each.name: each for each in _group_lists(multicast)}.items()):
        yield _route_map(name, [f"group {group}" for group in prefixes.permitted])
    for point in multicast.rendezvous_points:
        if point.register_sources is not None:
            sources = point.register_sources.permitted
            yield _route_map(point.register_sources.name, [f"source {source} group {ALL_GROUPS}" for source in sources])
    for peer in _peers(router):
        pairs = [(source, group) for source in peer.sources.permitted for group in peer.groups.permitted]
        yield _route_map(_accepted_by(peer), [f"source {source} group {group}" for source, group in pairs])
    if _peers(router):
        yield _route_map(NOBODY, [])


def _route_map(name: str, matches: list[str]) -> RouteMap:
    """What no entry permits is denied anyway, but a map of no entries would not be there, and permit."""
    if not matches:
        return RouteMap(name, (RouteMapEntry(STEP, "deny", f"group {ALL_GROUPS}"),))
    return RouteMap(
        name, tuple(RouteMapEntry(index * STEP, "permit", match) for index, match in enumerate(matches, start=1))
    )


def _problems_of_lists(router: Router) -> Iterator[str]:
    """Lists of one name have one content."""
    for kind, listed in (("prefix lists", _listed_prefixes(router)), ("lists of groups", _all_group_lists(router))):
        first: dict[str, Prefixes] = {}
        for prefixes in listed:
            if first.setdefault(prefixes.name, prefixes) != prefixes:
                yield f"two {kind} of different content are called {prefixes.name}"


def _all_group_lists(router: Router) -> Iterator[Prefixes]:
    yield from _group_lists(router.multicast) if router.multicast else ()


# ---------------------------------------------------------------- access lists and the control plane


def _access_lists(router: Router) -> Iterator[NamedList]:
    for access_list in router.access_lists:
        yield _numbered(access_list.name, list(_with_remarks(access_list.rules)))
    sources = router.management.ssh_sources
    if not sources:
        return
    permitted = [AccessRule("SSH from management", True, "tcp", each, destination_port=SSH_PORT) for each in sources]
    yield _numbered(SSH, list(_with_remarks((*permitted, AccessRule("everything else", False, "ip")))))


def _with_remarks(rules: tuple[AccessRule, ...]) -> Iterator[str]:
    """Each run of rules of the same purpose stands below a remark."""
    last = None
    for rule in rules:
        if rule.comment != last:
            yield f"remark {rule.comment}"
            last = rule.comment
        yield _spelled(rule)


def _spelled(rule: AccessRule) -> str:
    action = "permit" if rule.permit else "deny"
    source = f"{_address(rule.source)}{_port(rule.source_port)}"
    return f"{action} {rule.protocol} {source} {_address(rule.destination)}{_port(rule.destination_port)}"


def _address(network: IPv4Network) -> str:
    if network == ANYWHERE:
        return "any"
    return f"host {network.network_address}" if network.prefixlen == network.max_prefixlen else str(network)


def _port(port: int | None) -> str:
    return "" if port is None else f" eq {port}"


def _classes(router: Router) -> Iterator[PolicedClass]:
    """The model's, and two for what the switch cannot live without: ARP, and what no class has."""
    for each in router.control_plane:
        listed = _numbered(CONTROL_LIST.format(each.name), [_spelled(rule) for rule in each.rules])
        match = f"access-group name {listed.name}"
        yield PolicedClass(CONTROL_CLASS.format(each.name), listed, match, each.rate_bps, _burst_bytes(each))
    remainder = ControlPlaneClass("remainder", (), REMAINDER_PPS)
    bounds = remainder.rate_bps, _burst_bytes(remainder)
    yield PolicedClass(CONTROL_CLASS.format("arp"), None, "protocol arp", *bounds)
    yield PolicedClass("class-default", None, None, *bounds)


def _burst_bytes(bound: ControlPlaneClass) -> int:
    return bound.rate_bps // 8 // BURST_SHARE


# ---------------------------------------------------------------- interfaces


def _trunks(router: Router) -> Iterator[Trunk]:
    own = {each.name for each in router.interfaces}
    carried: dict[str, list[str]] = {}
    for each in router.interfaces:
        if each.parent is not None:
            carried.setdefault(each.parent, []).append(each.attached_to)
    yield from (Trunk(name, ", ".join(lines)) for name, lines in sorted(carried.items()) if name not in own)


def _ptp_ports(router: Router) -> set[str]:
    """The ports of the network that requests come from, where the clocks of the plan are."""
    source = router.management.source_interface
    if router.management.ptp is None or source is None:
        return set()
    return {port for vlan in router.vlans if vlan.interface == source for port in vlan.ports} or {source}


def _ptp_source(router: Router) -> str | None:
    source = router.management.source_interface
    if router.management.ptp is None or source is None:
        return None
    return str(router.interface(source).address.ip)


def _access_ports(router: Router) -> Iterator[AccessPort]:
    clocked = _ptp_ports(router)
    for vlan in router.vlans:
        yield from (AccessPort(port, vlan, port in clocked) for port in vlan.ports)


ORDER = tuple(InterfaceKind)
"""A port is routed before subinterfaces can be on it."""


def _interfaces(router: Router) -> Iterator[NxOsInterface]:
    multicast = router.multicast
    pim = {each.interface: each for each in multicast.pim} if multicast else {}
    igmp = {each.interface: each for each in multicast.igmp} if multicast else {}
    boundaries = dict(multicast.boundaries) if multicast else {}
    points = {each.address for each in multicast.rendezvous_points if each.local} if multicast else set()
    clocked = _ptp_ports(router)
    for each in sorted(router.interfaces, key=lambda each: ORDER.index(each.kind)):
        held, boundary, asked = pim.get(each.name), boundaries.get(each.name), igmp.get(each.name)
        active = held is not None and not held.passive
        yield NxOsInterface(
            interface=each,
            is_port=each.kind is InterfaceKind.PORT,
            is_loopback=each.kind is InterfaceKind.LOOPBACK,
            reverse_path=None if each.reverse_path is None else {"strict": "rx", "loose": "any"}[each.reverse_path],
            pim=held,
            hello_ms=held.hello_s * MILLISECONDS if held is not None and active else None,
            neighbors=_allowed_name(each) if active else None,
            joins=boundary.name if boundary is not None and active else None,
            rendezvous_point=any(address.ip in points for address in each.addresses),
            igmp=asked,
            max_response_s=None if asked is None else asked.max_response_ds // DECISECONDS,
            ptp=each.name in clocked,
        )


# ---------------------------------------------------------------- management


def _aaa(router: Router, key: str | None) -> AaaServers | None:
    aaa = router.management.aaa
    if aaa is None:
        return None
    servers = tuple(str(server) for server in aaa.servers)
    return AaaServers(aaa.protocol.value, AAA_GROUP, servers, key, aaa.protocol is AaaProtocol.RADIUS)
