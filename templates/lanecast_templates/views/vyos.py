"""A router in VyOS 1.4's own terms: where each interface stands in its tree, numbered lists, BFD profiles, logins.

VyOS runs FRR, so that much is as in ``views/frr.py``; its packet filter is in ``views/vyos_firewall.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lanecast.plan.model import AaaProtocol
from lanecast.router import (
    Bgp,
    BgpNeighbor,
    IgmpInterface,
    Interface,
    InterfaceKind,
    Management,
    PimInterface,
    Prefixes,
    RendezvousPoint,
    Route,
    Router,
    Vlan,
)
from lanecast_templates.errors import RenderError, RenderProblem
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.vyos_firewall import RULE_STEP, VyosFirewall, vyos_firewall

SSM_LIST = "ssm-ranges"

MOST_LOGIN_SERVERS = 8
AAA_SERVERS = ("management", "aaa", "servers")

PIM_PROFILE = "pim-{}"
BGP_PROFILE = "bgp-{}"
GTSM_TTL = 254
"""FRR takes a neighbour with GTSM for one behind several hops (RFC 5883): how far a packet may come has to be said."""


@dataclass(frozen=True, slots=True)
class VyosInterface:
    """An interface."""

    path: str
    """Where it stands below ``interfaces``: ``ethernet eth1 vif 101``, ``bridge br310``."""
    interface: Interface
    vlan: Vlan | None
    """Where it is a bridge: what that switches."""


@dataclass(frozen=True, slots=True)
class VyosPim:
    """PIM and IGMP of an interface."""

    pim: PimInterface
    igmp: IgmpInterface | None
    bfd_profile: str | None


@dataclass(frozen=True, slots=True)
class ListRule:
    """One rule of a prefix list; ``longest`` is set where longer prefixes match as well."""

    number: int
    action: str
    prefix: str
    longest: int | None


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A prefix list. What no rule permits is denied, by FRR itself."""

    name: str
    rules: tuple[ListRule, ...]


@dataclass(frozen=True, slots=True)
class AsPathList:
    """An AS-path list of one regular expression."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class BfdProfile:
    """Timers of a session; ``minimum_ttl`` only where it is one over several hops."""

    name: str
    interval_ms: int
    multiplier: int
    minimum_ttl: int | None


@dataclass(frozen=True, slots=True)
class VyosNeighbor:
    """A neighbour, its password and BFD profile, where it has them."""

    neighbor: BgpNeighbor
    password: str | None
    bfd_profile: str | None


@dataclass(frozen=True, slots=True)
class LoginServer:
    """A server that is asked who may log in; of priorities, which only RADIUS servers have, the lowest comes first."""

    address: IPv4Address
    priority: int | None


@dataclass(frozen=True, slots=True)
class LoginServers:
    """Servers under ``tacacs`` or ``radius``, and the address that they know the router by."""

    word: str
    servers: tuple[LoginServer, ...]
    key: str | None
    source: IPv4Address


@dataclass(frozen=True, slots=True)
class User:
    """A user and the two words of the public key."""

    name: str
    key_type: str
    key: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A kernel setting, with dots in its name."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class VyosRouter:
    """Everything that the commands are spelled from."""

    name: str
    interfaces: tuple[VyosInterface, ...]
    unused_ports: tuple[str, ...]
    management: Management
    login_servers: LoginServers | None
    users: tuple[User, ...]
    ssh: bool
    ssh_by_key_alone: bool
    settings: tuple[Setting, ...]
    prefix_lists: tuple[PrefixList, ...]
    as_path_lists: tuple[AsPathList, ...]
    bfd_profiles: tuple[BfdProfile, ...]
    routes: tuple[Route, ...]
    bgp: Bgp | None
    neighbors: tuple[VyosNeighbor, ...]
    pim: tuple[VyosPim, ...]
    ssm_list: str | None
    rendezvous_points: tuple[RendezvousPoint, ...]
    maximum_groups: int | None
    """Above so many joined groups a warning is logged; it is the router's, not an interface's."""
    firewall: VyosFirewall


def vyos_router(router: Router, secrets: RouterSecrets) -> VyosRouter:
    """Return ``router`` in VyOS's terms. Raises :class:`RenderError` for what VyOS 1.4 cannot say."""
    multicast, managed = router.multicast, router.management
    return VyosRouter(
        name=router.name,
        interfaces=tuple(_interfaces(router)),
        unused_ports=router.unused_ports,
        management=managed,
        login_servers=_login_servers(router, secrets),
        users=tuple(User(user.name, *user.ssh_key.split()[:2]) for user in managed.users),
        ssh=bool(managed.ssh_sources),
        # Servers are asked for passwords; without them a key is the only way in that the plan knows.
        ssh_by_key_alone=bool(managed.users) and managed.aaa is None,
        settings=tuple(Setting(each.name.replace("/", "."), each.value) for each in router.sysctls),
        prefix_lists=_prefix_lists(router),
        as_path_lists=_as_path_lists(router),
        bfd_profiles=tuple(_bfd_profiles(router)),
        routes=router.routes,
        bgp=router.bgp,
        neighbors=tuple(_neighbor(neighbor, secrets.password(neighbor)) for neighbor in _neighbors(router)),
        pim=tuple(_pim(router)),
        ssm_list=SSM_LIST if multicast else None,
        rendezvous_points=multicast.rendezvous_points if multicast else (),
        maximum_groups=sum(each.maximum_groups for each in multicast.igmp) or None if multicast else None,
        firewall=vyos_firewall(router.name, router.firewall),
    )


def _interfaces(router: Router) -> Iterator[VyosInterface]:
    """In the model's order. A VLAN that is switched is a bridge of its own, whose ports carry no tags: so the router's
    IGMP on the bridge is the querier that its snooping needs."""
    vlans = {vlan.interface: vlan for vlan in router.vlans}
    for interface in router.interfaces:
        yield VyosInterface(_path(router, interface), interface, vlans.get(interface.name))


def _path(router: Router, interface: Interface) -> str:
    match interface.kind:
        case InterfaceKind.PORT:
            return f"ethernet {interface.name}"
        case InterfaceKind.SUBINTERFACE:
            return f"ethernet {interface.parent} vif {interface.vlan}"
        case InterfaceKind.VLAN_INTERFACE:
            return f"bridge {interface.name}"
        case _:
            raise RenderError(f"{router.name}: {interface.name} is of no kind that VyOS has here")


def _login_servers(router: Router, secrets: RouterSecrets) -> LoginServers | None:
    aaa, source = router.management.aaa, router.management.source_interface
    if aaa is None:
        return None
    if source is None:
        raise RenderError(f"{router.name}: no interface is said whose address its requests come from")
    if len(aaa.servers) > MOST_LOGIN_SERVERS:
        raise RenderError(RenderProblem(f"{router.name}: VyOS asks at most {MOST_LOGIN_SERVERS} servers", AAA_SERVERS))
    by_priority = aaa.protocol is AaaProtocol.RADIUS
    if not by_priority and list(aaa.servers) != sorted(aaa.servers):
        # TACACS+ servers have no priority, and VyOS keeps them sorted.
        message = f"{router.name}: VyOS asks TACACS+ servers in the order of their addresses: give them in that order"
        raise RenderError(RenderProblem(message, AAA_SERVERS))
    return LoginServers(
        word="radius" if by_priority else "tacacs",
        servers=tuple(
            LoginServer(address, index * RULE_STEP if by_priority else None)
            for index, address in enumerate(aaa.servers, start=1)
        ),
        key=secrets.aaa_key(),
        source=router.interface(source).address.ip,
    )


def _neighbors(router: Router) -> tuple[BgpNeighbor, ...]:
    return router.bgp.neighbors if router.bgp else ()


def _neighbor(neighbor: BgpNeighbor, password: str | None) -> VyosNeighbor:
    return VyosNeighbor(neighbor, password, _profile(BGP_PROFILE, neighbor.interface) if neighbor.bfd else None)


def _pim(router: Router) -> Iterator[VyosPim]:
    multicast = router.multicast
    igmp = {each.interface: each for each in multicast.igmp} if multicast else {}
    for pim in multicast.pim if multicast else ():
        profile = _profile(PIM_PROFILE, pim.interface) if pim.bfd else None
        yield VyosPim(pim, igmp.get(pim.interface), profile)


def _profile(pattern: str, interface: str) -> str:
    """The name of a BFD profile, in which no dot may stand."""
    return pattern.format(interface.replace(".", "-"))


def _bfd_profiles(router: Router) -> Iterator[BfdProfile]:
    by_pim = {pim.interface for pim in router.multicast.pim if pim.bfd} if router.multicast else set()
    by_bgp = {neighbor.interface for neighbor in _neighbors(router) if neighbor.bfd}
    for interface in router.interfaces:
        if interface.bfd is None:
            continue
        timers = interface.bfd.interval_ms, interface.bfd.multiplier
        if interface.name in by_pim:
            yield BfdProfile(_profile(PIM_PROFILE, interface.name), *timers, None)
        if interface.name in by_bgp:
            yield BfdProfile(_profile(BGP_PROFILE, interface.name), *timers, GTSM_TTL)


def _prefix_lists(router: Router) -> tuple[PrefixList, ...]:
    lists: dict[str, Prefixes] = {}
    for prefixes in _named_prefixes(router):
        if lists.setdefault(prefixes.name, prefixes) != prefixes:
            raise RenderError(f"{router.name}: two prefix lists of different content are called {prefixes.name}")
    return tuple(PrefixList(name, tuple(_rules(prefixes))) for name, prefixes in sorted(lists.items()))


def _named_prefixes(router: Router) -> Iterator[Prefixes]:
    if router.multicast is not None:
        # FRR matches a group as a host prefix: without the longest length a range would match no group.
        yield Prefixes(SSM_LIST, router.multicast.ssm_ranges, longer=IPv4Address(0).max_prefixlen)
    for neighbor in _neighbors(router):
        yield neighbor.accept
        yield neighbor.announce


def _rules(prefixes: Prefixes) -> Iterator[ListRule]:
    for index, prefix in enumerate(prefixes.permitted, start=1):
        yield ListRule(index * RULE_STEP, "permit", str(prefix), _longest(prefix, prefixes.longer))
    if not prefixes.permitted:
        # VyOS knows no list without rules.
        yield ListRule(RULE_STEP, "deny", "0.0.0.0/0", IPv4Address(0).max_prefixlen)


def _longest(prefix: IPv4Network, longer: int | None) -> int | None:
    return longer if longer is not None and longer > prefix.prefixlen else None


def _as_path_lists(router: Router) -> tuple[AsPathList, ...]:
    """Paths of the neighbour's own AS alone, however often it stands there (RFC 7454, 6.1.1: no other's routes)."""
    asns: dict[str, int] = {}
    for neighbor in _neighbors(router):
        if asns.setdefault(neighbor.accept_as_paths, neighbor.asn) != neighbor.asn:
            raise RenderError(f"{router.name}: AS-path list {neighbor.accept_as_paths} is asked for two AS numbers")
    return tuple(AsPathList(name, f"^{asn}(_{asn})*$") for name, asn in sorted(asns.items()))
