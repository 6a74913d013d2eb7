"""A router in Junos's own terms: ports with units, what is the router's beside what is a routing instance's.

What Junos has one of for all interfaces, such as the intervals of IGMP, has to be alike on all of them; what it has no
words for is a :class:`RenderError`. For how soon BGP tries again (``connect_retry_s``) there is no command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lanecast.plan.model import AaaProtocol
from lanecast.router import (
    Bfd,
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
    Router,
    Vlan,
)
from lanecast_templates.errors import RenderError, RenderProblem
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.junos_lists import (
    CONTROL_FILTER,
    NETWORKS,
    TELL_NOBODY,
    AsPath,
    PacketFilter,
    Policer,
    Policy,
    as_paths,
    boundary_name,
    control_filter,
    neighbors_name,
    packet_filters,
    policers,
    policies,
    sources_name,
)

KEEPALIVES_IN_HOLD = 3
"""Junos sends a keepalive at a third of the hold time, and knows no other way."""
LONGEST_HELLO_S = 255
LONGEST_QUERY_INTERVAL_S = 1024
DECISECONDS = 10

BGP_PREFERENCE = 170
"""Elsewhere BGP goes before the model's static routes; here it does where these come behind its preference."""

START_TIME = "2020-1-1.00:00:00 +0000"
"""From when on a key is valid: long ago, since it is the only one."""

NTP_KEY_TYPE = "md5"
"""What RFC 5905, section 7.3 names, and all platforms have; a plan's key has no kind."""
NOT_IN_NTP_KEYS = frozenset(' "&()\\')
"""Junos wants these written as numbers in an NTP key, and no server is told such a key in the same way."""

SSH_KEYS = {"ssh-ed25519": "ssh-ed25519", "ssh-rsa": "ssh-rsa"}
"""By how OpenSSH writes a kind of key; the others are of ECDSA's curves."""
RESERVED_USERS = ("root", "remote")
"""The first has no place among users; whom AAA lets in has the rights of the second."""
RESERVED_INSTANCES = ("all", "default", "master")


@dataclass(frozen=True, slots=True)
class Unit:
    """A logical interface: IPv4 where it has addresses, or an access port of a VLAN."""

    number: int
    description: str
    interface: Interface | None = None
    vlan: int | None = None
    input_filter: str | None = None
    strict: bool = False
    loose: bool = False
    bridged: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """A port, or ``irb`` and ``lo0``, which have none."""

    name: str
    units: tuple[Unit, ...]
    tagging: bool = False
    bridged: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A BGP neighbour and its policies; ``password`` as Junos has it between quotes."""

    neighbor: BgpNeighbor
    password: str | None
    key_chain: str | None
    bfd: Bfd | None


@dataclass(frozen=True, slots=True)
class KeyChain:
    """The one key of a neighbour with TCP-AO."""

    name: str
    number: int
    algorithm: str
    secret: str


@dataclass(frozen=True, slots=True)
class Pim:
    """PIM on an interface. Towards hosts as well: it makes joins of what IGMP learns, and Junos has no passive kind of
    it for one interface. Hellos go out there, and the policy takes nobody for a neighbour."""

    interface: str
    pim: PimInterface
    neighbor_policy: str
    bfd: Bfd | None


@dataclass(frozen=True, slots=True)
class Igmp:
    """IGMP on an interface; None: PIM would bring it along, where nobody may join."""

    interface: str
    igmp: IgmpInterface | None


@dataclass(frozen=True, slots=True)
class Peer:
    """An MSDP peer."""

    peer: MsdpPeer
    local_address: IPv4Address
    import_policy: str
    export_policy: str
    password: str | None


@dataclass(frozen=True, slots=True)
class Multicast:
    """Multicast, the router's and its routing instance's."""

    ssm_ranges: tuple[IPv4Network, ...]
    query_interval_s: int | None
    response_interval_s: int | None
    igmp: tuple[Igmp, ...]
    pim: tuple[Pim, ...]
    join_policies: tuple[str, ...]
    """Boundaries of interfaces with neighbours: what those may join. A scope would keep out what comes in as well."""
    scope_policies: tuple[str, ...]
    """Boundaries towards hosts: what may go out there."""
    static_points: tuple[RendezvousPoint, ...]
    local_points: tuple[RendezvousPoint, ...]
    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """A bridge domain: a VLAN with its ports."""

    vlan: Vlan
    ports: tuple[str, ...]
    igmp: IgmpInterface | None
    """The querier whose intervals snooping shares; None where it does not snoop."""


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A static route behind what BGP knows."""

    prefix: IPv4Network
    via: IPv4Address
    preference: int


@dataclass(frozen=True, slots=True)
class Login:
    """A local user's key, with the word that its kind has."""

    name: str
    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class System:
    """Management of the router: servers are asked from ``source``, in the routing instance of that address."""

    source: IPv4Address | None
    ssh: bool
    ntp: Ntp | None
    ntp_key_type: str
    ntp_key: str | None
    syslog: tuple[IPv4Address, ...]
    method: str | None
    servers: tuple[IPv4Address, ...]
    server_key: str | None
    users: tuple[Login, ...]


@dataclass(frozen=True, slots=True)
class JunosRouter:
    """Everything that the configuration is spelled from."""

    name: str
    vrf: str | None
    instance_interfaces: tuple[str, ...]
    depth: int
    """How many blanks deeper a routing instance's options and protocols stand."""
    system: System
    ports: tuple[Port, ...]
    policies: tuple[Policy, ...]
    as_paths: tuple[AsPath, ...]
    key_chains: tuple[KeyChain, ...]
    start_time: str
    filters: tuple[PacketFilter, ...]
    """The last is the control plane's."""
    policers: tuple[Policer, ...]
    asn: int | None
    router_id: IPv4Address | None
    hold_s: int | None
    networks_policy: str
    neighbors: tuple[Neighbor, ...]
    routes: tuple[StaticRoute, ...]
    multicast: Multicast | None
    domains: tuple[Domain, ...]


def junos_router(router: Router, secrets: RouterSecrets) -> JunosRouter:
    """Return ``router`` in Junos's terms. Raises :class:`RenderError` for what it cannot say."""
    problems = list(_problems(router))
    if problems:
        raise RenderError(*problems)
    bgp = router.bgp
    control = control_filter(router)
    names = {interface.name: _logical(interface) for interface in router.interfaces}
    return JunosRouter(
        name=router.name,
        vrf=router.vrf,
        instance_interfaces=tuple(names.values()) if router.vrf is not None else (),
        depth=0 if router.vrf is None else 8,
        system=_system(router, secrets),
        ports=tuple(_ports(router)),
        policies=policies(router, names.__getitem__),
        as_paths=as_paths(router),
        key_chains=tuple(_key_chains(router, secrets)),
        start_time=START_TIME,
        filters=(*packet_filters(router), control),
        policers=policers(router, control),
        asn=bgp.asn if bgp else None,
        router_id=bgp.router_id if bgp else None,
        hold_s=bgp.hold_s if bgp else None,
        networks_policy=NETWORKS,
        neighbors=tuple(_neighbor(each, router, secrets) for each in (bgp.neighbors if bgp else ())),
        routes=tuple(StaticRoute(each.prefix, each.via, BGP_PREFERENCE + each.metric) for each in router.routes),
        multicast=_multicast(router, router.multicast, names, secrets) if router.multicast else None,
        domains=tuple(_domain(vlan, router.multicast) for vlan in router.vlans),
    )


def _problems(router: Router) -> Iterator[str]:
    """What Junos has no words for."""
    bgp, multicast = router.bgp, router.multicast
    if bgp is not None and bgp.hold_s != KEEPALIVES_IN_HOLD * bgp.keepalive_s:
        yield f"{router.name}: keepalives of BGP are a third of the hold time on Junos: give timers of that relation"
    untagged = {interface.name for interface in router.interfaces if interface.kind is InterfaceKind.PORT}
    for port in sorted(untagged & {interface.parent for interface in router.interfaces if interface.parent}):
        yield f"{router.name}: {port} has interfaces with and without a tag, for which Junos wants a native VLAN"
    if router.vrf in RESERVED_INSTANCES:
        yield f"{router.name}: {router.vrf} is a name that Junos keeps for itself"
    for user in router.management.users:
        if user.name in RESERVED_USERS:
            yield f"{router.name}: {user.name} is a user that Junos keeps for itself"
    if multicast is not None:
        yield from (f"{router.name}: {problem}" for problem in _multicast_problems(multicast))


def _multicast_problems(multicast: MulticastRouting) -> Iterator[str]:
    for pim in multicast.pim:
        if pim.hello_s > LONGEST_HELLO_S:
            yield f"hellos of PIM every {pim.hello_s} s are too seldom for Junos, which takes {LONGEST_HELLO_S} s"
    intervals = {(igmp.query_interval_s, igmp.max_response_ds) for igmp in multicast.igmp}
    if len(intervals) > 1:
        yield "Junos has one query interval for all interfaces"
    for query_s, response_ds in intervals:
        in_range = response_ds < query_s * DECISECONDS and query_s <= LONGEST_QUERY_INTERVAL_S
        if response_ds % DECISECONDS or not in_range:
            yield f"IGMP queries every {query_s} s with {response_ds / DECISECONDS} s to answer are not for Junos"


def _logical(interface: Interface) -> str:
    """An untagged port's interface is its unit 0."""
    return f"{interface.name}.0" if interface.kind is InterfaceKind.PORT else interface.name


def _ports(router: Router) -> Iterator[Port]:
    """Ports in the order of their names, then the interfaces that have none."""
    units: dict[str, list[Unit]] = {}
    for interface in router.interfaces:
        port, _, number = _logical(interface).rpartition(".")
        units.setdefault(port, []).append(_unit(int(number), interface))
    if all(unit.number != 0 for unit in units.get("lo0", [])):
        # It guards the default routing instance, and others that have no unit of lo0.
        units.setdefault("lo0", []).insert(0, Unit(0, "control plane", input_filter=CONTROL_FILTER))
    tagged = {interface.parent for interface in router.interfaces}
    found = [Port(name, tuple(held), tagging=name in tagged) for name, held in units.items()]
    for vlan in router.vlans:
        access = Unit(0, f"hosts of {vlan.name}", bridged=True)
        found += [Port(name, (access,), bridged=True) for name in vlan.ports]
    found += [Port(name, (), disabled=True) for name in router.unused_ports]
    yield from sorted(found, key=_place)


def _place(port: Port) -> tuple[bool, str, list[int]]:
    numbers = [int(number) for number in re.findall(r"\d+", port.name)]
    return port.name in ("irb", "lo0"), re.sub(r"\d.*", "", port.name), numbers


def _unit(number: int, interface: Interface) -> Unit:
    loopback = interface.role is InterfaceRole.LOOPBACK
    return Unit(
        number=number,
        description=f"{interface.role} {interface.attached_to}",
        vlan=interface.vlan if interface.kind is InterfaceKind.SUBINTERFACE else None,
        interface=interface,
        input_filter=CONTROL_FILTER if loopback else interface.access_list,
        strict=interface.reverse_path is ReversePath.STRICT,
        loose=interface.reverse_path is ReversePath.LOOSE,
    )


def _domain(vlan: Vlan, multicast: MulticastRouting | None) -> Domain:
    queriers = {igmp.interface: igmp for igmp in (multicast.igmp if multicast else ())}
    querier = queriers.get(vlan.interface) if vlan.snooping else None
    return Domain(vlan, tuple(f"{port}.0" for port in vlan.ports), querier)


def _neighbor(neighbor: BgpNeighbor, router: Router, secrets: RouterSecrets) -> Neighbor:
    interface = router.interface(neighbor.interface)
    return Neighbor(
        neighbor,
        password=_between_quotes(secrets.password(neighbor), secrets),
        key_chain=interface.attached_to if neighbor.tcp_ao is not None else None,
        bfd=interface.bfd if neighbor.bfd else None,
    )


def _key_chains(router: Router, secrets: RouterSecrets) -> Iterator[KeyChain]:
    for neighbor in router.bgp.neighbors if router.bgp else ():
        secret = _between_quotes(secrets.tcp_ao_key(neighbor), secrets)
        if neighbor.tcp_ao is not None and secret is not None:
            name = router.interface(neighbor.interface).attached_to
            yield KeyChain(name, neighbor.tcp_ao.key_id, neighbor.tcp_ao.algorithm, secret)


def _multicast(router: Router, multicast: MulticastRouting, names: dict[str, str], secrets: RouterSecrets) -> Multicast:
    queriers = {igmp.interface: igmp for igmp in multicast.igmp}
    first = multicast.igmp[0] if multicast.igmp else None
    spoken = [pim.interface for pim in multicast.pim]
    towards_neighbors = {pim.interface for pim in multicast.pim if not pim.passive}
    bounded = [(name, boundary_name(router.interface(name))) for name, _ in multicast.boundaries]
    return Multicast(
        ssm_ranges=multicast.ssm_ranges,
        query_interval_s=first.query_interval_s if first else None,
        response_interval_s=first.max_response_ds // DECISECONDS if first else None,
        igmp=tuple(Igmp(names[name], queriers.get(name)) for name in dict.fromkeys((*queriers, *spoken))),
        pim=tuple(_pim(pim, router.interface(pim.interface)) for pim in multicast.pim),
        join_policies=tuple(policy for name, policy in bounded if name in towards_neighbors),
        scope_policies=tuple(policy for name, policy in bounded if name not in towards_neighbors),
        static_points=tuple(point for point in multicast.rendezvous_points if not point.local),
        local_points=tuple(point for point in multicast.rendezvous_points if point.local),
        peers=tuple(_peer(peer, router, secrets) for peer in (multicast.msdp.peers if multicast.msdp else ())),
    )


def _pim(pim: PimInterface, interface: Interface) -> Pim:
    return Pim(_logical(interface), pim, neighbors_name(interface), interface.bfd if pim.bfd else None)


def _peer(peer: MsdpPeer, router: Router, secrets: RouterSecrets) -> Peer:
    """The model's originator has no command, and nobody to name itself to: a peer is told of nothing."""
    return Peer(
        peer,
        local_address=router.interface(peer.interface).address.ip,
        import_policy=sources_name(peer),
        export_policy=TELL_NOBODY,
        password=_between_quotes(secrets.msdp_password(peer), secrets),
    )


def _system(router: Router, secrets: RouterSecrets) -> System:
    managed = router.management
    source = managed.source_interface
    return System(
        source=None if source is None else router.interface(source).address.ip,
        ssh=bool(managed.ssh_sources),
        ntp=managed.ntp,
        ntp_key_type=NTP_KEY_TYPE,
        ntp_key=_ntp_key(secrets),
        syslog=managed.syslog,
        method=None if managed.aaa is None else "tacplus" if managed.aaa.protocol is AaaProtocol.TACACS else "radius",
        servers=() if managed.aaa is None else managed.aaa.servers,
        server_key=_between_quotes(secrets.aaa_key(), secrets),
        users=tuple(_logins(managed)),
    )


def _ntp_key(secrets: RouterSecrets) -> str | None:
    key = secrets.ntp_key()
    if key is not None and not NOT_IN_NTP_KEYS.isdisjoint(key):
        message = "Junos takes no blanks, quotes, backslashes, ampersands or parentheses in an NTP key"
        raise RenderError(RenderProblem(message, ("management", "ntp", "key", "secret")))
    return key


def _logins(managed: Management) -> Iterator[Login]:
    for user in managed.users:
        kind = user.ssh_key.partition(" ")[0]
        yield Login(user.name, SSH_KEYS.get(kind, "ssh-ecdsa"), _escaped(user.ssh_key))


def _between_quotes(secret: str | None, secrets: RouterSecrets) -> str | None:
    """A secret as it stands between double quotes."""
    return None if secret is None else secrets.spelled(_escaped(secret))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
