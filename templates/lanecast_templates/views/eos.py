"""A router in Arista EOS's own terms: lists with sequence numbers, ports that route, words in or out of a VRF.

What EOS does otherwise than the model has it is decided here, with the reason. BGP's connect-retry time is not
said: EOS has no command for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lanecast.plan.model import AaaProtocol, TcpAoAlgorithm
from lanecast.router import (
    REMAINDER_PPS,
    Aaa,
    Bfd,
    Bgp,
    BgpNeighbor,
    IgmpInterface,
    Interface,
    InterfaceKind,
    InterfaceRole,
    Management,
    MsdpPeer,
    MulticastRouting,
    Ntp,
    PimInterface,
    RendezvousPoint,
    ReversePath,
    Route,
    Router,
    User,
    Vlan,
)
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.eos_lists import (
    CONTROL_PLANE_LIST,
    NOTHING_LIST,
    SSH_LIST,
    SSM_LIST,
    AccessList,
    AsPathList,
    ControlClass,
    PrefixList,
    RouteMap,
    StandardList,
    access_lists,
    as_path_lists,
    control_classes,
    neighbor_list_name,
    prefix_lists,
    route_maps,
    standard_lists,
)

VRF_MARGIN = "   "
"""What is said of a VRF stands a level deeper."""

REVERSE_PATH_WORDS = {ReversePath.STRICT: "rx", ReversePath.LOOSE: "any"}

TCP_AO_WORDS = {TcpAoAlgorithm.HMAC_SHA_1_96: "hmac-sha1-96", TcpAoAlgorithm.AES_128_CMAC_96: "aes-128-cmac-96"}

NO_PASSWORD = "$6$lanecast$" + "." * 86
"""A hash that no password has (SHA-512 of crypt(3), every bit of it zero): a user has nothing but a key to log in with.
``nopassword`` in its place would let anyone in at the console."""


@dataclass(frozen=True, slots=True)
class EosInterface:
    """An interface, or a port that is none of the router's own and still has to be told something."""

    name: str
    description: str | None
    shut: bool = False
    routes: bool = False
    """A port switches unless it is told not to."""
    access_vlan: int | None = None
    tag: int | None = None
    in_vrf: bool = False
    addresses: tuple[str, ...] = ()
    """As commands have them: those after the first are secondary."""
    silent: bool = False
    """No LLDP: an exchange or a cloud is at the other end (STIG ARST-RT-000630)."""
    reverse_path: str | None = None
    bfd: Bfd | None = None
    access_list: str | None = None
    boundary: str | None = None
    pim: PimInterface | None = None
    neighbor_list: str | None = None
    igmp: IgmpInterface | None = None
    synchronizes: bool = False
    """PTP."""

    @property
    def boundary_is_outward(self) -> bool:
        """From a neighbour comes what was joined; from hosts no group may come either that they may not join."""
        return self.pim is not None and not self.pim.passive


@dataclass(frozen=True, slots=True)
class EosNeighbor:
    """A neighbour with what its session is secured by."""

    neighbor: BgpNeighbor
    password: str | None
    shared_secret: str | None
    """The name of the TCP-AO key's profile."""
    algorithm: str | None


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A profile of one TCP-AO key."""

    name: str
    key_id: int
    key: str | None


@dataclass(frozen=True, slots=True)
class EosAaa:
    """The servers that are asked who may log in."""

    aaa: Aaa
    server_word: str
    group: str
    key: str | None
    by_radius: bool
    """Which authorizes no commands, and has its source's command in another place."""


@dataclass(frozen=True, slots=True)
class EosRouter:
    """Everything that eos.conf is spelled from."""

    name: str
    vrf: str | None
    interfaces: tuple[EosInterface, ...]
    vlans: tuple[Vlan, ...]
    """The router's own interface in one is the querier. Snooping's ``max-groups`` is not used: it counts groups before
    anything filters them, so that a stray one could take a feed's place."""
    standard_lists: tuple[StandardList, ...]
    access_lists: tuple[AccessList, ...]
    prefix_lists: tuple[PrefixList, ...]
    as_path_lists: tuple[AsPathList, ...]
    route_maps: tuple[RouteMap, ...]
    control_classes: tuple[ControlClass, ...]
    control_plane_list: str
    nothing_list: str
    remainder_pps: int
    ssm_list: str
    routes: tuple[Route, ...]
    bgp: Bgp | None
    neighbors: tuple[EosNeighbor, ...]
    shared_secrets: tuple[SharedSecret, ...]
    multicast: MulticastRouting | None
    management: Management
    ssh_list: str | None
    """None where the plan does not say from where SSH is answered: not on its interfaces, and elsewhere as before."""
    ssh_methods: tuple[str, ...]
    """Empty: EOS's own."""
    users: tuple[User, ...]
    no_password: str
    ntp: Ntp | None
    ntp_key: str | None
    aaa: EosAaa | None

    @property
    def in_vrf(self) -> str:
        """What commands say of the VRF amid their words."""
        return f" vrf {self.vrf}" if self.vrf is not None else ""

    @property
    def margin(self) -> str:
        """What stands before commands in a block that may be of the VRF."""
        return VRF_MARGIN if self.vrf is not None else ""

    @property
    def rendezvous_points(self) -> tuple[RendezvousPoint, ...]:
        """Those of the exchanges, and its own."""
        return self.multicast.rendezvous_points if self.multicast else ()

    @property
    def msdp_peers(self) -> tuple[MsdpPeer, ...]:
        """Peers that tell of sources."""
        return self.multicast.msdp.peers if self.multicast and self.multicast.msdp else ()


def eos_router(router: Router, secrets: RouterSecrets) -> EosRouter:
    """Return ``router`` in EOS's terms. Raises :class:`RenderError` for what EOS cannot say."""
    _check(router)
    lists = access_lists(router)
    managed = router.management
    neighbors = router.bgp.neighbors if router.bgp else ()
    return EosRouter(
        name=router.name,
        vrf=router.vrf,
        interfaces=_interfaces(router),
        vlans=router.vlans,
        standard_lists=standard_lists(router),
        access_lists=lists,
        prefix_lists=prefix_lists(router),
        as_path_lists=as_path_lists(router),
        route_maps=route_maps(router),
        control_classes=control_classes(router),
        control_plane_list=CONTROL_PLANE_LIST,
        nothing_list=NOTHING_LIST,
        remainder_pps=REMAINDER_PPS,
        ssm_list=SSM_LIST,
        routes=tuple(sorted(router.routes, key=lambda route: route.prefix)),
        bgp=router.bgp,
        neighbors=tuple(_neighbor(router, each, secrets) for each in neighbors),
        shared_secrets=tuple(_shared_secrets(router, secrets)),
        multicast=router.multicast,
        management=managed,
        ssh_list=SSH_LIST if managed.ssh_sources else None,
        ssh_methods=_ssh_methods(managed),
        users=managed.users,
        no_password=NO_PASSWORD,
        ntp=managed.ntp,
        ntp_key=secrets.ntp_key(),
        aaa=None if managed.aaa is None else _aaa(managed.aaa, secrets.aaa_key()),
    )


def _check(router: Router) -> None:
    problems = [
        *(
            f"{what} is {value}; EOS takes {lowest} to {highest}"
            for what, value, lowest, highest in _figures(router)
            if not lowest <= value <= highest
        ),
        *_unsayable(router),
    ]
    if problems:
        raise RenderError(*(f"{router.name}: {problem}" for problem in problems))


def _figures(router: Router) -> Iterator[tuple[str, int, int, int]]:
    """Figures whose bounds are narrower than a plan's: what it is, the figure, and EOS's bounds."""
    for route in router.routes:
        yield f"the metric of the route {route.prefix}", route.metric, 1, 255
    if router.bgp is not None:
        yield "BGP's keepalive interval", router.bgp.keepalive_s, 0, 3600
        yield "BGP's hold time", router.bgp.hold_s, 3, 7200
    for pim in router.multicast.pim if router.multicast else ():
        yield f"PIM's hello interval on {pim.interface}", pim.hello_s, 1, 65535
    for peer in _msdp_peers(router):
        yield f"the bound of active sources of {peer.address}", peer.maximum_active_sources, 0, 40000


def _msdp_peers(router: Router) -> tuple[MsdpPeer, ...]:
    return router.multicast.msdp.peers if router.multicast and router.multicast.msdp else ()


def _unsayable(router: Router) -> Iterator[str]:
    if router.vrf == "default":
        yield "EOS calls the global table default: give the VRF another name"
    for point in router.multicast.rendezvous_points if router.multicast else ():
        # There is no command for whose registers are taken: the control plane's list can only deny them all.
        if point.register_sources is not None and point.register_sources.permitted:
            yield f"EOS cannot take registers for {point.address} from some senders alone"
    for peer in _msdp_peers(router):
        if peer.password is not None:
            yield f"EOS has no MSDP password, which the session with {peer.address} asks for"


def _interfaces(router: Router) -> tuple[EosInterface, ...]:
    """In the order of ``show running-config``: ports with their subinterfaces, loopbacks, VLAN interfaces."""
    own = [_interface(router, each) for each in router.interfaces]
    return tuple(sorted((*own, *_parents(router), *_access_ports(router), *_unused(router)), key=_place))


def _place(interface: EosInterface) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", interface.name))


def _parents(router: Router) -> Iterator[EosInterface]:
    """Ports that carry subinterfaces: of themselves they have nothing but to route."""
    carried: dict[str, list[Interface]] = {}
    for each in router.interfaces:
        if each.kind is InterfaceKind.SUBINTERFACE and each.parent is not None:
            carried.setdefault(each.parent, []).append(each)
    for port, held in carried.items():
        roles = {each.role for each in held}
        silent = bool(roles & {InterfaceRole.CIRCUIT, InterfaceRole.UPLINK})
        names = ", ".join(sorted(each.attached_to for each in held))
        yield EosInterface(port, f"carries {names}", routes=True, silent=silent)


def _access_ports(router: Router) -> Iterator[EosInterface]:
    """Where hosts are plugged in; of the VLAN that the clock's messages come by, PTP runs on the ports."""
    for vlan in router.vlans:
        synchronizes = router.management.ptp is not None and vlan.interface == router.management.source_interface
        for port in vlan.ports:
            yield EosInterface(port, vlan.name, access_vlan=vlan.id, synchronizes=synchronizes)


def _unused(router: Router) -> Iterator[EosInterface]:
    for port in router.unused_ports:
        yield EosInterface(port, "unused", shut=True)


def _interface(router: Router, interface: Interface) -> EosInterface:
    multicast = router.multicast
    boundaries = {name: prefixes.name for name, prefixes in multicast.boundaries} if multicast else {}
    pim = {each.interface: each for each in multicast.pim}.get(interface.name) if multicast else None
    igmp = {each.interface: each for each in multicast.igmp}.get(interface.name) if multicast else None
    managed = router.management
    is_port = interface.kind is InterfaceKind.PORT
    primary, *secondary = interface.addresses
    return EosInterface(
        name=interface.name,
        description=f"{interface.role} {interface.attached_to}",
        routes=is_port,
        tag=interface.vlan if interface.kind is InterfaceKind.SUBINTERFACE else None,
        in_vrf=router.vrf is not None,
        addresses=(str(primary), *(f"{each} secondary" for each in secondary)),
        reverse_path=None if interface.reverse_path is None else REVERSE_PATH_WORDS[interface.reverse_path],
        bfd=interface.bfd,
        access_list=interface.access_list,
        boundary=boundaries.get(interface.name),
        pim=pim,
        neighbor_list=None if pim is None else neighbor_list_name(interface),
        igmp=igmp,
        synchronizes=managed.ptp is not None and interface.name == managed.source_interface and is_port,
    )


def _neighbor(router: Router, neighbor: BgpNeighbor, secrets: RouterSecrets) -> EosNeighbor:
    named = neighbor.tcp_ao is not None
    return EosNeighbor(
        neighbor,
        password=secrets.password(neighbor),
        shared_secret=_shared_secret_name(router, neighbor) if named else None,
        algorithm=None if neighbor.tcp_ao is None else TCP_AO_WORDS[neighbor.tcp_ao.algorithm],
    )


def _shared_secret_name(router: Router, neighbor: BgpNeighbor) -> str:
    return f"tcp-ao-{router.interface(neighbor.interface).attached_to}"


def _shared_secrets(router: Router, secrets: RouterSecrets) -> Iterator[SharedSecret]:
    for neighbor in router.bgp.neighbors if router.bgp else ():
        if neighbor.tcp_ao is not None:
            name = _shared_secret_name(router, neighbor)
            yield SharedSecret(name, neighbor.tcp_ao.key_id, secrets.tcp_ao_key(neighbor))


def _ssh_methods(managed: Management) -> tuple[str, ...]:
    """Passwords are asked for only where servers know them; without either the router is as it was."""
    methods = ("keyboard-interactive",) if managed.aaa is not None else ()
    return (*methods, "public-key") if managed.aaa is not None or managed.users else ()


def _aaa(aaa: Aaa, key: str | None) -> EosAaa:
    by_radius = aaa.protocol is AaaProtocol.RADIUS
    server_word = "radius-server" if by_radius else "tacacs-server"
    return EosAaa(aaa, server_word, "radius" if by_radius else "tacacs+", key, by_radius)
