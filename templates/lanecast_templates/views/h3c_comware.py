"""A router in Comware 7's terms: numbered and named lists, wildcard masks, a view an interface.

``multicast boundary`` of Comware stops the packets of a group both ways, and so would stop a circuit's own lines, and
PIM has no policy for joins. The model's boundaries are therefore packet filters of what leaves: a join for a group that
may not pass an interface brings it nothing. Where hosts join by IGMP its group policy holds besides.

IGMP has no limit on routed interfaces; on switched ports IGMP snooping has one, of groups. BGP has no timer that says
how soon it tries again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
    Vlan,
)
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.h3c_comware_lists import (
    REMAINDER,
    REMAINDER_KBPS,
    SSH_LIST,
    SSM_LIST,
    AccessList,
    AsPathList,
    PrefixList,
    access_lists,
    as_path_lists,
    boundary_list,
    control_name,
    msdp_list,
    neighbor_list,
    prefix_lists,
)
from lanecast_templates.views.h3c_comware_management import (
    MOST_OF_PASSWORD,
    ComwareManagement,
    comware_management,
    word,
)

MAXIMUM_PREFERENCE = 255
HOLD_HELLOS = 3.5
"""How many hellos a PIM neighbour may miss (RFC 7761, section 4.11); Comware keeps 105 s whatever the interval is."""


@dataclass(frozen=True, slots=True)
class ComwarePim:
    """PIM on an interface."""

    passive: bool
    hello_s: int | None = None
    holdtime_s: int | None = None
    dr_priority: int | None = None
    neighbors: int | None = None
    bfd: bool = False


@dataclass(frozen=True, slots=True)
class AccessPort:
    """What a switched port is in: its VLAN, and how many groups its hosts may join there."""

    vlan: int
    maximum_groups: int | None


@dataclass(frozen=True, slots=True)
class ComwareInterface:
    """An interface's view, in the order in which its commands depend on each other."""

    name: str
    description: str
    state: str | None = None
    """``shutdown`` or ``undo shutdown``, of a port."""
    access: AccessPort | None = None
    tag: int | None = None
    vrf: str | None = None
    addresses: tuple[tuple[IPv4Address, IPv4Address], ...] = ()
    """Address and netmask; the first is the interface's own, the others are ``sub``."""
    reverse_path: str | None = None
    inbound: str | None = None
    outbound: str | None = None
    bfd: Bfd | None = None
    pim: ComwarePim | None = None
    igmp: IgmpInterface | None = None
    joinable: int | None = None
    """The list of groups that hosts may join."""
    max_response_s: int | None = None


@dataclass(frozen=True, slots=True)
class ComwareNeighbor:
    """A BGP peer, its AS-path list and its secret."""

    neighbor: BgpNeighbor
    as_paths: int
    password: str | None


@dataclass(frozen=True, slots=True)
class ComwareMsdpPeer:
    """An MSDP peer, its list and its password."""

    peer: MsdpPeer
    sources: int
    password: str | None


@dataclass(frozen=True, slots=True)
class ControlClass:
    """One class of packets to the control plane, and its bound; without a list it has everything."""

    name: str
    list: str | None
    rate_kbps: int


@dataclass(frozen=True, slots=True)
class RendezvousList:
    """A rendezvous point and the list of its groups."""

    address: IPv4Address
    groups: int


@dataclass(frozen=True, slots=True)
class ComwareRouter:
    """Everything that h3c-comware.conf is spelled from."""

    name: str
    vrf: str | None
    route_distinguisher: str | None
    """BGP needs one in a VPN instance; nobody else sees it."""
    access_lists: tuple[AccessList, ...]
    prefix_lists: tuple[PrefixList, ...]
    as_path_lists: tuple[AsPathList, ...]
    control_classes: tuple[ControlClass, ...]
    """The last one is the remainder."""
    control_planes: tuple[str, ...]
    """The views of the control plane, of each slot with a port where there are slots."""
    vlans: tuple[Vlan, ...]
    snooping: bool
    has_multicast: bool
    interfaces: tuple[ComwareInterface, ...]
    routes: tuple[Route, ...]
    bgp: Bgp | None
    neighbors: tuple[ComwareNeighbor, ...]
    ssm_list: int | None
    register_list: int | None
    rendezvous_points: tuple[RendezvousList, ...]
    msdp_originator: str | None
    msdp_peers: tuple[ComwareMsdpPeer, ...]
    management: ComwareManagement


def comware_router(router: Router, secrets: RouterSecrets) -> ComwareRouter:
    """Return ``router`` in Comware's terms. Raises :class:`RenderError` for what Comware cannot say."""
    _check(router)
    bgp, multicast = router.bgp, router.multicast
    lists, as_paths = access_lists(router), as_path_lists(router)
    numbers = {name: held.number for name, held in lists.items() if held.number is not None}
    return ComwareRouter(
        name=router.name,
        vrf=router.vrf,
        route_distinguisher=f"{bgp.router_id}:1" if bgp and router.vrf else None,
        access_lists=tuple(lists.values()),
        prefix_lists=prefix_lists(router),
        as_path_lists=tuple(as_paths.values()),
        control_classes=_control_classes(router),
        control_planes=_control_planes(router),
        vlans=router.vlans,
        snooping=any(vlan.snooping for vlan in router.vlans),
        has_multicast=multicast is not None,
        interfaces=_interfaces(router, numbers),
        routes=router.routes,
        bgp=bgp,
        neighbors=tuple(
            ComwareNeighbor(each, as_paths[each.accept_as_paths].number, _password(router, each, secrets))
            for each in (bgp.neighbors if bgp else ())
        ),
        ssm_list=numbers.get(SSM_LIST),
        register_list=next(
            (numbers[each.register_sources.name] for each in _points(router) if each.register_sources is not None), None
        ),
        rendezvous_points=tuple(RendezvousList(each.address, numbers[each.groups.name]) for each in _points(router)),
        msdp_originator=multicast.msdp.originator if multicast and multicast.msdp else None,
        msdp_peers=tuple(
            ComwareMsdpPeer(
                peer,
                numbers[msdp_list(peer)],
                word(router, secrets.msdp_password(peer), "an MSDP peer's password", MOST_OF_PASSWORD),
            )
            for peer in (multicast.msdp.peers if multicast and multicast.msdp else ())
        ),
        management=comware_management(router, secrets, numbers.get(SSH_LIST)),
    )


def _points(router: Router) -> tuple[RendezvousPoint, ...]:
    return router.multicast.rendezvous_points if router.multicast else ()


def _password(router: Router, neighbor: BgpNeighbor, secrets: RouterSecrets) -> str | None:
    return word(router, secrets.password(neighbor), f"the password of {neighbor.description}", MOST_OF_PASSWORD)


def _check(router: Router) -> None:
    problems = [
        f"route {route.prefix}: metric {route.metric} is no preference (1 to {MAXIMUM_PREFERENCE})"
        for route in router.routes
        if not 1 <= route.metric <= MAXIMUM_PREFERENCE
    ]
    problems += [
        f"{igmp.interface}: Comware takes IGMP's response time in whole seconds, fewer than between queries"
        for igmp in (router.multicast.igmp if router.multicast else ())
        if igmp.max_response_ds % 10 or not 1 <= igmp.max_response_ds // 10 < igmp.query_interval_s
    ]
    if problems:
        raise RenderError(*(f"{router.name}: {problem}" for problem in problems))


def _control_classes(router: Router) -> tuple[ControlClass, ...]:
    if not router.control_plane:
        return ()
    classes = (
        ControlClass(control_name(held), control_name(held), -(-held.rate_bps // 1000)) for held in router.control_plane
    )
    return (*classes, ControlClass(REMAINDER, None, REMAINDER_KBPS))


def _control_planes(router: Router) -> tuple[str, ...]:
    """Routers whose ports have three numbers have a control plane for each slot, the first number."""
    if not router.control_plane:
        return ()
    numbers = [re.findall(r"\d+", re.sub(r"^\D+", "", port)) for port in _ports(router)]
    slots = {int(each[0]) if len(each) > 2 else None for each in numbers}
    if None in slots and len(slots) > 1:
        raise RenderError(f"{router.name}: some ports have a slot in their numbers, and others have none")
    return tuple(
        "control-plane" if slot is None else f"control-plane slot {slot}" for slot in sorted(slots, key=_order)
    )


def _order(slot: int | None) -> int:
    return -1 if slot is None else slot


def _ports(router: Router) -> tuple[str, ...]:
    """Every port that the text has a view for."""
    routed = [
        interface.parent or interface.name
        for interface in router.interfaces
        if interface.kind in (InterfaceKind.PORT, InterfaceKind.SUBINTERFACE)
    ]
    switched = [port for vlan in router.vlans for port in vlan.ports]
    return tuple(dict.fromkeys([*routed, *switched, *router.unused_ports]))


def _interfaces(router: Router, numbers: Mapping[str, int]) -> tuple[ComwareInterface, ...]:
    """Ports before what they carry, the unused ones and those of VLANs, then the interfaces themselves."""
    names = {interface.name for interface in router.interfaces}
    carried: dict[str, list[str]] = {}
    for interface in router.interfaces:
        if interface.parent is not None:
            carried.setdefault(interface.parent, []).append(interface.attached_to)
    blocks = [
        ComwareInterface(port, f"carries {', '.join(what)}", "undo shutdown")
        for port, what in carried.items()
        if port not in names
    ]
    blocks += [ComwareInterface(port, "unused", "shutdown") for port in router.unused_ports]
    return (
        *blocks,
        *_access_ports(router),
        *(_interface(router, interface, numbers) for interface in router.interfaces),
    )


def _access_ports(router: Router) -> Iterator[ComwareInterface]:
    for vlan in router.vlans:
        igmp = _igmp(router, vlan.interface)
        access = AccessPort(vlan.id, igmp.maximum_groups if igmp and vlan.snooping else None)
        for port in vlan.ports:
            yield ComwareInterface(port, f"hosts of {vlan.name}", "undo shutdown", access=access)


def _igmp(router: Router, interface: str) -> IgmpInterface | None:
    held = router.multicast.igmp if router.multicast else ()
    return next((each for each in held if each.interface == interface), None)


def _interface(router: Router, interface: Interface, numbers: Mapping[str, int]) -> ComwareInterface:
    igmp = _igmp(router, interface.name)
    boundary = dict(router.multicast.boundaries).get(interface.name) if router.multicast else None
    return ComwareInterface(
        name=interface.name,
        description=f"{interface.role} {interface.attached_to}",
        state="undo shutdown" if interface.kind is InterfaceKind.PORT else None,
        tag=interface.vlan if interface.kind is InterfaceKind.SUBINTERFACE else None,
        vrf=router.vrf,
        addresses=tuple((address.ip, address.netmask) for address in interface.addresses),
        reverse_path=interface.reverse_path,
        inbound=interface.access_list,
        outbound=None if boundary is None else boundary_list(boundary),
        bfd=interface.bfd,
        pim=_pim(router, interface, numbers),
        igmp=igmp,
        joinable=numbers[igmp.groups.name] if igmp else None,
        max_response_s=igmp.max_response_ds // 10 if igmp else None,
    )


def _pim(router: Router, interface: Interface, numbers: Mapping[str, int]) -> ComwarePim | None:
    if router.multicast is None:
        return None
    if interface.kind is InterfaceKind.LOOPBACK:
        # The address of a rendezvous point has to be one of an interface with PIM; it has no neighbours there.
        return ComwarePim(passive=False)
    pim = next((each for each in router.multicast.pim if each.interface == interface.name), None)
    if pim is None:
        return None
    if pim.passive:
        return ComwarePim(passive=True, dr_priority=pim.dr_priority)
    return ComwarePim(
        passive=False,
        hello_s=pim.hello_s,
        holdtime_s=ceil(pim.hello_s * HOLD_HELLOS),
        dr_priority=pim.dr_priority,
        neighbors=numbers[neighbor_list(interface)],
        bfd=pim.bfd,
    )
