"""A router in VRP 8's terms: lists of two kinds with numbered rules, wildcard masks, a block an interface.

``multicast boundary`` of VRP stops the packets of a group both ways, and so would stop a circuit's own lines. What the
model calls a boundary is about joins, which PIM's join policy filters on each of its interfaces; where hosts join by
IGMP its group policy does, from the same list.

Of the ICMP that these routers send, redirects are no part; what is said is that they take none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from math import ceil

from lanecast.router import (
    Bfd,
    Bgp,
    BgpNeighbor,
    IgmpInterface,
    Interface,
    InterfaceKind,
    MsdpPeer,
    RendezvousPoint,
    Route,
    Router,
)
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.huawei_vrp_lists import (
    REMAINDER_KBPS,
    REMAINDER_LIST,
    SSM_LIST,
    AccessList,
    AsPathFilter,
    PrefixList,
    access_lists,
    as_path_filters,
    control_list,
    join_list,
    list_name,
    msdp_list,
    neighbor_list,
    prefix_lists,
    traffic_filters,
)
from lanecast_templates.views.huawei_vrp_management import VrpManagement, vrp_management, word

MAXIMUM_PREFERENCE = 255
KEY_OF_KEYCHAIN = 1
"""A keychain's own number of its only key; what goes over the wire are TCP-AO's two."""

TCP_AO_ALGORITHMS = {"hmac-sha-1-96": "hmac-sha1-12", "aes-128-cmac-96": "aes-128-cmac"}

MAXIMUM_RESPONSE_S = 25


@dataclass(frozen=True, slots=True)
class VrpPim:
    """PIM on an interface."""

    silent: bool
    hello_s: int | None
    holdtime_s: int | None
    dr_priority: int | None
    neighbors: str | None
    joins: str | None
    bfd: Bfd | None


@dataclass(frozen=True, slots=True)
class VrpInterface:
    """An interface's block, in the order in which its commands depend on each other."""

    name: str
    description: str
    state: str | None = None
    """``shutdown`` or ``undo shutdown``, of a port."""
    is_port: bool = False
    tag: int | None = None
    access_vlan: int | None = None
    vlan_filter: str | None = None
    """On an access port: what filters its VLAN, since a VLAN's own interface takes no traffic policy."""
    vrf: str | None = None
    addresses: tuple[tuple[IPv4Address, IPv4Address], ...] = ()
    """Address and netmask; the first is the interface's own, the others are ``sub``."""
    reverse_path: str | None = None
    filter: str | None = None
    pim: VrpPim | None = None
    igmp: IgmpInterface | None = None
    joinable: str | None = None
    """The list of groups that hosts may join."""
    max_response_s: int | None = None


@dataclass(frozen=True, slots=True)
class VrpNeighbor:
    """A BGP peer, its secret or the TCP-AO that holds it, and its BFD timers."""

    neighbor: BgpNeighbor
    password: str | None
    tcp_ao: str | None
    bfd: Bfd | None


@dataclass(frozen=True, slots=True)
class TcpAoKey:
    """A keychain of one key that never ends, and the TCP-AO of the same name that is bound to it."""

    name: str
    key: int
    algorithm: str
    key_id: int
    secret: str


@dataclass(frozen=True, slots=True)
class VrpMsdpPeer:
    """An MSDP peer, its list and its password."""

    peer: MsdpPeer
    sources: str
    password: str | None


@dataclass(frozen=True, slots=True)
class ControlClass:
    """One class of packets to the CPU, and its bound."""

    number: int
    list: str
    rate_kbps: int


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """What the policy for the CPU says, and of which slots."""

    classes: tuple[ControlClass, ...]
    remainder: str
    remainder_kbps: int
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RendezvousList:
    """A rendezvous point and the list of its groups."""

    address: IPv4Address
    groups: str


@dataclass(frozen=True, slots=True)
class VrpVlan:
    """A VLAN that the router switches."""

    id: int
    name: str
    snooping: bool


@dataclass(frozen=True, slots=True)
class VrpRouter:
    """Everything that huawei-vrp.conf is spelled from."""

    name: str
    vrf: str | None
    route_distinguisher: str | None
    """BGP needs one in a VRF; nobody else sees it."""
    access_lists: tuple[AccessList, ...]
    prefix_lists: tuple[PrefixList, ...]
    as_path_filters: tuple[AsPathFilter, ...]
    filters: tuple[str, ...]
    """Lists that are bound to an interface: a classifier and a policy of the same name each."""
    control_plane: ControlPlane | None
    vlans: tuple[VrpVlan, ...]
    snooping: bool
    has_bfd: bool
    has_multicast: bool
    tcp_ao_keys: tuple[TcpAoKey, ...]
    interfaces: tuple[VrpInterface, ...]
    routes: tuple[Route, ...]
    bgp: Bgp | None
    neighbors: tuple[VrpNeighbor, ...]
    ssm_list: str | None
    register_list: str | None
    rendezvous_points: tuple[RendezvousList, ...]
    msdp_originator: str | None
    msdp_peers: tuple[VrpMsdpPeer, ...]
    management: VrpManagement


def vrp_router(router: Router, secrets: RouterSecrets) -> VrpRouter:
    """Return ``router`` in VRP's terms. Raises :class:`RenderError` for what VRP cannot say."""
    _check(router)
    bgp, multicast = router.bgp, router.multicast
    neighbors = bgp.neighbors if bgp else ()
    return VrpRouter(
        name=router.name,
        vrf=router.vrf,
        route_distinguisher=f"{bgp.router_id}:1" if bgp and router.vrf else None,
        access_lists=access_lists(router),
        prefix_lists=prefix_lists(router),
        as_path_filters=as_path_filters(router),
        filters=traffic_filters(router),
        control_plane=_control_plane(router),
        vlans=tuple(VrpVlan(vlan.id, vlan.name, vlan.snooping) for vlan in router.vlans),
        snooping=any(vlan.snooping for vlan in router.vlans),
        has_bfd=any(interface.bfd for interface in router.interfaces),
        has_multicast=multicast is not None,
        tcp_ao_keys=tuple(_tcp_ao_keys(router, secrets)),
        interfaces=_interfaces(router),
        routes=router.routes,
        bgp=bgp,
        neighbors=tuple(_neighbor(router, each, secrets) for each in neighbors),
        ssm_list=SSM_LIST if multicast else None,
        register_list=next(
            (list_name(each.register_sources.name) for each in _points(router) if each.register_sources is not None),
            None,
        ),
        rendezvous_points=tuple(RendezvousList(each.address, list_name(each.groups.name)) for each in _points(router)),
        msdp_originator=multicast.msdp.originator if multicast and multicast.msdp else None,
        msdp_peers=tuple(
            VrpMsdpPeer(peer, msdp_list(peer), word(router, secrets.msdp_password(peer), "an MSDP peer's password"))
            for peer in (multicast.msdp.peers if multicast and multicast.msdp else ())
        ),
        management=vrp_management(router, secrets),
    )


def _points(router: Router) -> tuple[RendezvousPoint, ...]:
    return router.multicast.rendezvous_points if router.multicast else ()


def _check(router: Router) -> None:
    problems = [
        f"route {route.prefix}: metric {route.metric} is no preference (1 to {MAXIMUM_PREFERENCE})"
        for route in router.routes
        if not 1 <= route.metric <= MAXIMUM_PREFERENCE
    ]
    problems += [
        f"{igmp.interface}: VRP takes IGMP's response time in whole seconds from 1 to {MAXIMUM_RESPONSE_S}"
        for igmp in (router.multicast.igmp if router.multicast else ())
        if igmp.max_response_ds % 10 or not 1 <= igmp.max_response_ds // 10 <= MAXIMUM_RESPONSE_S
    ]
    if problems:
        raise RenderError(*(f"{router.name}: {problem}" for problem in problems))


def _neighbor(router: Router, neighbor: BgpNeighbor, secrets: RouterSecrets) -> VrpNeighbor:
    return VrpNeighbor(
        neighbor,
        password=word(router, secrets.password(neighbor), f"the password of {neighbor.description}"),
        tcp_ao=_tcp_ao_name(router, neighbor) if neighbor.tcp_ao else None,
        bfd=router.interface(neighbor.interface).bfd if neighbor.bfd else None,
    )


def _tcp_ao_name(router: Router, neighbor: BgpNeighbor) -> str:
    return f"bgp-{router.interface(neighbor.interface).attached_to}"


def _tcp_ao_keys(router: Router, secrets: RouterSecrets) -> Iterator[TcpAoKey]:
    for neighbor in router.neighbors:
        if neighbor.tcp_ao is not None:
            yield TcpAoKey(
                _tcp_ao_name(router, neighbor),
                KEY_OF_KEYCHAIN,
                TCP_AO_ALGORITHMS[neighbor.tcp_ao.algorithm],
                neighbor.tcp_ao.key_id,
                word(router, secrets.tcp_ao_key(neighbor), f"the key of {neighbor.description}") or "",
            )


def _control_plane(router: Router) -> ControlPlane | None:
    if not router.control_plane:
        return None
    classes = tuple(
        ControlClass(number, control_list(held), -(-held.rate_bps // 1000))
        for number, held in enumerate(router.control_plane, start=1)
    )
    return ControlPlane(
        classes, REMAINDER_LIST, REMAINDER_KBPS, tuple(sorted({_slot(port) for port in _ports(router)}))
    )


def _ports(router: Router) -> tuple[str, ...]:
    """Every port that the text has a block for."""
    routed = [
        interface.parent or interface.name
        for interface in router.interfaces
        if interface.kind in (InterfaceKind.PORT, InterfaceKind.SUBINTERFACE)
    ]
    switched = [port for vlan in router.vlans for port in vlan.ports]
    return tuple(dict.fromkeys([*routed, *switched, *router.unused_ports]))


def _slot(port: str) -> int:
    """The slot that a port's number begins with; routers of one board count from 0, and their cards are the slots."""
    board, card = (int(number) for number in re.findall(r"\d+(?=/)", port))
    return board or card


def _interfaces(router: Router) -> tuple[VrpInterface, ...]:
    """Ports before what they carry, the unused ones and those of VLANs, then the interfaces themselves."""
    names = {interface.name for interface in router.interfaces}
    carried: dict[str, list[str]] = {}
    for interface in router.interfaces:
        if interface.parent is not None:
            carried.setdefault(interface.parent, []).append(interface.attached_to)
    blocks = [
        VrpInterface(port, f"carries {', '.join(what)}", "undo shutdown", is_port=True)
        for port, what in carried.items()
        if port not in names
    ]
    blocks += [VrpInterface(port, "unused", "shutdown", is_port=True) for port in router.unused_ports]
    for vlan in router.vlans:
        vlan_filter = _filter(router.interface(vlan.interface))
        blocks += [
            VrpInterface(
                port, f"hosts of {vlan.name}", "undo shutdown", True, access_vlan=vlan.id, vlan_filter=vlan_filter
            )
            for port in vlan.ports
        ]
    return (*blocks, *(_interface(router, interface) for interface in router.interfaces))


def _interface(router: Router, interface: Interface) -> VrpInterface:
    kind, multicast = interface.kind, router.multicast
    igmp = next((each for each in (multicast.igmp if multicast else ()) if each.interface == interface.name), None)
    return VrpInterface(
        name=interface.name,
        description=f"{interface.role} {interface.attached_to}",
        state="undo shutdown" if kind is InterfaceKind.PORT else None,
        is_port=kind is InterfaceKind.PORT,
        tag=interface.vlan if kind is InterfaceKind.SUBINTERFACE else None,
        vrf=router.vrf,
        addresses=tuple((address.ip, address.netmask) for address in interface.addresses),
        reverse_path=interface.reverse_path,
        filter=_filter(interface) if kind is not InterfaceKind.VLAN_INTERFACE else None,
        pim=_pim(router, interface),
        igmp=igmp,
        joinable=list_name(igmp.groups.name) if igmp else None,
        max_response_s=igmp.max_response_ds // 10 if igmp else None,
    )


def _filter(interface: Interface) -> str | None:
    return None if interface.access_list is None else list_name(interface.access_list)


def _pim(router: Router, interface: Interface) -> VrpPim | None:
    if router.multicast is None:
        return None
    if interface.kind is InterfaceKind.LOOPBACK:
        # The address of a rendezvous point has to be one of an interface with PIM; it has no neighbours there.
        return VrpPim(False, None, None, None, None, None, None)
    pim = next((each for each in router.multicast.pim if each.interface == interface.name), None)
    boundary = dict(router.multicast.boundaries).get(interface.name)
    if pim is None:
        if boundary is not None:
            raise RenderError(
                f"{router.name}: {interface.name} has a multicast boundary and no PIM, which would hold it"
            )
        return None
    joins = None if boundary is None else join_list(boundary)
    if pim.passive:
        return VrpPim(True, None, None, pim.dr_priority, None, joins, None)
    return VrpPim(
        silent=False,
        hello_s=pim.hello_s,
        holdtime_s=ceil(pim.hold_s),  # unsaid, VRP keeps 105 s whatever the interval is
        dr_priority=pim.dr_priority,
        neighbors=neighbor_list(interface),
        joins=joins,
        bfd=interface.bfd if pim.bfd else None,
    )
