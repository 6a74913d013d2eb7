"""A router in the terms of Cisco IOS XE: netmasks, numbered lists, one record an interface block.

What a template would otherwise have to work out is worked out here; ``ios_xe_lists`` has the lists. IOS has no command
for how soon BGP tries to connect again, so that the model's value for it is nowhere in the text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from lanecast.plan.model import AaaProtocol, TcpAoAlgorithm
from lanecast.router import (
    REMAINDER_PPS,
    Bfd,
    Bgp,
    BgpNeighbor,
    IgmpInterface,
    Interface,
    InterfaceKind,
    Management,
    MsdpPeer,
    PimInterface,
    ReversePath,
    Route,
    Router,
    User,
    Vlan,
)
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views import ios_xe_lists as lists

MAXIMUM_DISTANCE = 254
"""Distances are 1 to 255, and a route of 255 is never used."""

REACHABLE_VIA = {ReversePath.STRICT: "rx", ReversePath.LOOSE: "any"}
AO_ALGORITHMS = {TcpAoAlgorithm.HMAC_SHA_1_96: "hmac-sha-1", TcpAoAlgorithm.AES_128_CMAC_96: "aes-128-cmac"}
SERVER_GROUP = "management"
"""The AAA servers as a group; only a group can be in a VRF."""

MAXIMUM_RESPONSE_S = 25

ARP = "arp"
ARP_PPS = 200
"""IOS polices ARP with IP (QoS guide, Control Plane Policing). In the class of what no other has, whatever a host sends
to nobody would take its place, and every neighbour be lost with it."""


@dataclass(frozen=True, slots=True)
class IosXeInterface:
    """An interface block with an address."""

    name: str
    description: str
    vlan: int | None
    """Set on a subinterface."""
    address: str
    secondary: tuple[str, ...]
    switched_on: bool
    """Whether it has to be: ports and VLAN interfaces are down until they are told."""
    access_list: str | None
    reachable_via: str | None
    guarded: bool
    """Sends no redirects, answers ARP for no others, forwards no directed broadcasts: all but loopbacks."""
    bfd: Bfd | None
    pim: PimInterface | None
    pim_list: str | None
    own_point: bool
    """It has the address of the router as rendezvous point: IOS takes registers only where the address has PIM."""
    igmp: IgmpInterface | None
    max_response_s: int | None
    boundary: str | None


@dataclass(frozen=True, slots=True)
class IosXePort:
    """A port without an address: it carries subinterfaces, or is an access port of ``vlan``."""

    name: str
    description: str
    vlan: int | None = None


@dataclass(frozen=True, slots=True)
class KeyChain:
    """A chain of one key for TCP-AO."""

    name: str
    key_id: int
    algorithm: str
    secret: str | None


@dataclass(frozen=True, slots=True)
class IosXeNeighbor:
    """A BGP neighbour, with its password or key chain where it has one."""

    neighbor: BgpNeighbor
    password: str | None
    key_chain: str | None


@dataclass(frozen=True, slots=True)
class IosXePoint:
    """A rendezvous point; ``registers`` is the list of who may register where it is this router."""

    address: IPv4Address
    groups: str
    registers: str | None


@dataclass(frozen=True, slots=True)
class IosXePeer:
    """An MSDP peer with its password."""

    peer: MsdpPeer
    password: str | None


@dataclass(frozen=True, slots=True)
class ControlClass:
    """A class of the control plane and the most packets a second of it."""

    name: str
    rate_pps: int


@dataclass(frozen=True, slots=True)
class AaaServers:
    """Servers in their order, of one protocol."""

    group: str
    protocol: str
    """As ``aaa group server`` has it: ``tacacs+`` or ``radius``."""
    word: str
    """As other commands begin: ``tacacs`` or ``radius``."""
    ports: str
    """What stands behind an address."""
    servers: tuple[tuple[str, IPv4Address], ...]
    key: str | None


@dataclass(frozen=True, slots=True)
class SshUser:
    """A user with the digest of its public key, which is what IOS keeps and shows of it."""

    name: str
    key_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class IosXeRouter:
    """Everything that the configuration is spelled from."""

    name: str
    vrf: str | None
    rd: str | None
    in_vrf: str
    """What commands say behind their first words: `` vrf NAME``, or nothing."""
    standard_lists: tuple[lists.StandardList, ...]
    extended_lists: tuple[lists.ExtendedList, ...]
    prefix_lists: tuple[lists.PrefixList, ...]
    as_path_lists: tuple[lists.AsPathList, ...]
    route_maps: tuple[lists.RouteMap, ...]
    control_classes: tuple[ControlClass, ...]
    arp_class: str
    arp_pps: int
    remainder_pps: int
    key_chains: tuple[KeyChain, ...]
    vlans: tuple[Vlan, ...]
    ports: tuple[IosXePort, ...]
    unused_ports: tuple[str, ...]
    interfaces: tuple[IosXeInterface, ...]
    ssm_list: str | None
    points: tuple[IosXePoint, ...]
    msdp_originator: str | None
    msdp_peers: tuple[IosXePeer, ...]
    routes: tuple[Route, ...]
    bgp: Bgp | None
    neighbors: tuple[IosXeNeighbor, ...]
    management: Management
    ntp_key: str | None
    aaa: AaaServers | None
    users: tuple[SshUser, ...]
    ssh_list: str | None
    """Who may reach SSH; None: nobody by the plan's interfaces, whose access lists see to it, while others (the
    management port) are not touched."""


def ios_xe_router(router: Router, secrets: RouterSecrets) -> IosXeRouter:
    """Return ``router`` in IOS XE's terms. Raises :class:`RenderError` for what it cannot say."""
    _check_distances(router)
    multicast = router.multicast
    msdp = multicast.msdp if multicast else None
    neighbors = router.bgp.neighbors if router.bgp else ()
    return IosXeRouter(
        name=router.name,
        vrf=router.vrf,
        rd=_route_distinguisher(router),
        in_vrf=f" vrf {router.vrf}" if router.vrf else "",
        standard_lists=lists.standard_lists(router),
        extended_lists=lists.extended_lists(router),
        prefix_lists=lists.prefix_lists(router),
        as_path_lists=tuple(lists.as_path_lists(router).values()),
        route_maps=lists.route_maps(router),
        control_classes=tuple(
            ControlClass(lists.class_name(each.name), each.rate_pps) for each in router.control_plane
        ),
        arp_class=lists.class_name(ARP),
        arp_pps=ARP_PPS,
        remainder_pps=REMAINDER_PPS,
        key_chains=tuple(_key_chains(router, secrets)),
        vlans=router.vlans,
        ports=(*_carrying_ports(router), *_access_ports(router)),
        unused_ports=router.unused_ports,
        interfaces=tuple(_interface(router, interface) for interface in router.interfaces),
        ssm_list=lists.SSM_LIST if multicast else None,
        points=tuple(_points(router)),
        msdp_originator=msdp.originator if msdp else None,
        msdp_peers=tuple(IosXePeer(peer, secrets.msdp_password(peer)) for peer in (msdp.peers if msdp else ())),
        routes=router.routes,
        bgp=router.bgp,
        neighbors=tuple(
            IosXeNeighbor(
                each, secrets.password(each), _key_chain_name(router, each) if each.tcp_ao is not None else None
            )
            for each in neighbors
        ),
        management=router.management,
        ntp_key=secrets.ntp_key(),
        aaa=_aaa(router.management, secrets.aaa_key()),
        users=tuple(_ssh_user(router, user) for user in router.management.users),
        ssh_list=lists.SSH_LIST if router.management.ssh_sources else None,
    )


def _check_distances(router: Router) -> None:
    wrong = [route for route in router.routes if not 1 <= route.metric <= MAXIMUM_DISTANCE]
    if wrong:
        raise RenderError(
            *(
                f"{router.name}: route {route.prefix}: metric {route.metric} is no distance (1 to {MAXIMUM_DISTANCE})"
                for route in wrong
            )
        )


def _route_distinguisher(router: Router) -> str | None:
    """BGP wants one for a VRF; it stays on the router, since no session carries VPN routes."""
    return f"{router.bgp.asn}:1" if router.vrf is not None and router.bgp is not None else None


# ---------------------------------------------------------------- interfaces


def _carrying_ports(router: Router) -> Iterator[IosXePort]:
    """Ports that carry subinterfaces, each once."""
    carried: dict[str, list[str]] = {}
    for interface in router.interfaces:
        if interface.parent is not None:
            carried.setdefault(interface.parent, []).append(interface.attached_to)
    yield from (IosXePort(port, f"carries {', '.join(names)}") for port, names in carried.items())


def _access_ports(router: Router) -> Iterator[IosXePort]:
    for vlan in router.vlans:
        yield from (IosXePort(port, f"host of {vlan.name}", vlan.id) for port in vlan.ports)


def _interface(router: Router, interface: Interface) -> IosXeInterface:
    multicast = router.multicast
    pim = next((each for each in multicast.pim if each.interface == interface.name), None) if multicast else None
    igmp = next((each for each in multicast.igmp if each.interface == interface.name), None) if multicast else None
    boundaries = {name: held.name for name, held in multicast.boundaries} if multicast else {}
    points = {each.address for each in multicast.rendezvous_points if each.local} if multicast else set()
    first, *others = (f"{address.ip} {address.netmask}" for address in interface.addresses)
    return IosXeInterface(
        name=interface.name,
        description=f"{interface.role} {interface.attached_to}",
        vlan=interface.vlan if interface.kind is InterfaceKind.SUBINTERFACE else None,
        address=first,
        secondary=tuple(others),
        switched_on=interface.kind in (InterfaceKind.PORT, InterfaceKind.VLAN_INTERFACE),
        access_list=interface.access_list,
        reachable_via=None if interface.reverse_path is None else REACHABLE_VIA[interface.reverse_path],
        guarded=interface.kind is not InterfaceKind.LOOPBACK,
        bfd=interface.bfd,
        pim=pim,
        pim_list=lists.pim_list_name(interface.attached_to) if pim is not None and not pim.passive else None,
        own_point=any(address.ip in points for address in interface.addresses),
        igmp=igmp,
        max_response_s=None if igmp is None else _max_response_s(router, igmp),
        boundary=boundaries.get(interface.name),
    )


def _max_response_s(router: Router, igmp: IgmpInterface) -> int:
    seconds, tenths = divmod(igmp.max_response_ds, 10)
    if tenths or not 1 <= seconds <= MAXIMUM_RESPONSE_S:
        raise RenderError(
            f"{router.name}: {igmp.interface}: IGMP answers within {igmp.max_response_ds} tenths of a second;"
            f" IOS XE takes 1 to {MAXIMUM_RESPONSE_S} whole seconds"
        )
    return seconds


# ---------------------------------------------------------------- routing


def _points(router: Router) -> Iterator[IosXePoint]:
    for point in router.multicast.rendezvous_points if router.multicast else ():
        registers = point.register_sources
        yield IosXePoint(point.address, point.groups.name, None if registers is None else registers.name)


def _key_chain_name(router: Router, neighbor: BgpNeighbor) -> str:
    return f"ao-{router.interface(neighbor.interface).attached_to}"


def _key_chains(router: Router, secrets: RouterSecrets) -> Iterator[KeyChain]:
    for neighbor in router.bgp.neighbors if router.bgp else ():
        held = neighbor.tcp_ao
        if held is not None:
            name = _key_chain_name(router, neighbor)
            yield KeyChain(name, held.key_id, AO_ALGORITHMS[held.algorithm], secrets.tcp_ao_key(neighbor))


# ---------------------------------------------------------------- management


def _aaa(management: Management, key: str | None) -> AaaServers | None:
    if management.aaa is None:
        return None
    tacacs = management.aaa.protocol is AaaProtocol.TACACS
    word = "tacacs" if tacacs else "radius"
    return AaaServers(
        group=SERVER_GROUP,
        protocol=management.aaa.protocol.value,
        word=word,
        ports=""
        if tacacs
        else " auth-port 1812 acct-port 1813",  # before RFC 2865 IOS took 1645 and 1646, and still does
        servers=tuple((f"{word}-{number}", each) for number, each in enumerate(management.aaa.servers, start=1)),
        key=key,
    )


def _ssh_user(router: Router, user: User) -> SshUser:
    key_type, encoded, *_ = user.ssh_key.split()
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise RenderError(f"{router.name}: the SSH key of {user.name} is not base64") from None
    return SshUser(user.name, key_type, hashlib.md5(key, usedforsecurity=False).hexdigest().upper())
