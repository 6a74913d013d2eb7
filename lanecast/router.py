"""A router with everything that its configuration says, in no vendor's words.

Templates spell it, the lab runs it as FRR, the hand-over sheet tells the other side of it. All durations say their
units; collections are in the order in which a configuration has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast.plan.model import AaaProtocol, Platform, SecretReference, TcpAoAlgorithm
from lanecast_relay.config.model import Endpoint

INSTANCE_INTERFACE = "eth0"
"""What cloud images call an instance's only interface."""

ANYWHERE = IPv4Network("0.0.0.0/0")


class InterfaceRole(StrEnum):
    """What an interface is for; decides multicast protocols, filters and reverse-path checks."""

    CIRCUIT = "circuit"
    """Between an exchange's router and a site's: PIM and BGP."""
    MULTICAST = "multicast"
    """Towards relay hosts, or a relay host's own: IGMPv3, no PIM neighbour."""
    LAN = "lan"
    """Unicast between relays and routers."""
    UPLINK = "uplink"
    """Between a site's router and the cloud's gateway."""
    SOURCE = "source"
    """Between an exchange's router and its senders."""
    CLOUD = "cloud"
    """An instance's interface in its subnet, or a gateway's into its VPC."""
    LOOPBACK = "loopback"
    """The address of a rendezvous point."""


class InterfaceKind(StrEnum):
    """What an interface is made of."""

    PORT = "port"
    """A routed port, untagged."""
    SUBINTERFACE = "subinterface"
    """The VLAN of a port (IEEE 802.1Q)."""
    VLAN_INTERFACE = "vlan-interface"
    """The router's own interface in a VLAN that it switches."""
    LOOPBACK = "loopback"


class ReversePath(StrEnum):
    """How a packet's source is held against the routes (RFC 3704)."""

    STRICT = "strict"
    """The way back leads out of the interface that it came in by."""
    LOOSE = "loose"
    """There is a way back: where multicast arrives off the unicast path."""


@dataclass(frozen=True, slots=True)
class Bfd:
    """Bidirectional Forwarding Detection (RFC 5880, single hop by RFC 5881); both directions alike."""

    interval_ms: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface of a node. ``attached_to`` names a ``Segment``, a ``Link`` or a cloud subnet."""

    name: str
    role: InterfaceRole
    addresses: tuple[IPv4Interface, ...]
    attached_to: str
    vlan: int | None = None
    parent: str | None = None
    """The port that carries the VLAN; None where the interface is untagged, or a VLAN's own."""
    reverse_path: ReversePath | None = None
    """None: not this configuration's to say."""
    access_list: str | None = None
    """What may come in: the name of one of the router's access lists."""
    bfd: Bfd | None = None

    @property
    def address(self) -> IPv4Interface:
        """The first address."""
        return self.addresses[0]

    @property
    def kind(self) -> InterfaceKind:
        """What it is made of."""
        if self.role is InterfaceRole.LOOPBACK:
            return InterfaceKind.LOOPBACK
        if self.vlan is None:
            return InterfaceKind.PORT
        return InterfaceKind.VLAN_INTERFACE if self.parent is None else InterfaceKind.SUBINTERFACE


@dataclass(frozen=True, slots=True)
class Vlan:
    """A VLAN that the router itself switches between untagged ports, and is a member of by a VLAN interface."""

    id: int
    name: str
    interface: str
    """The router's own interface in it."""
    ports: tuple[str, ...]
    """Access ports: relay hosts are plugged in here."""
    snooping: bool
    """IGMP snooping (RFC 4541): a group goes only to ports that joined it. Where it is off the VLAN is unicast."""


@dataclass(frozen=True, slots=True)
class Route:
    """A static route; the lowest metric wins while its interface is up."""

    prefix: IPv4Network
    via: IPv4Address
    interface: str
    metric: int = 100


@dataclass(frozen=True, slots=True)
class Prefixes:
    """A named list of prefixes; ``longer`` accepts more specific ones as well, up to that length."""

    name: str
    permitted: tuple[IPv4Network, ...]
    longer: int | None = None


@dataclass(frozen=True, slots=True)
class TcpAo:
    """The TCP Authentication Option (RFC 5925) with one key; both ends use the same number for it."""

    key_id: int
    """SendID and RecvID (RFC 5925, section 3.1)."""
    algorithm: TcpAoAlgorithm
    secret: SecretReference


@dataclass(frozen=True, slots=True)
class BgpNeighbor:
    """An eBGP neighbour on a directly connected link. What no list permits is neither accepted nor announced.

    Always besides: the generalized TTL security mechanism at one hop (RFC 5082), and paths must begin with ``asn``.
    """

    node: str
    description: str
    address: IPv4Address
    asn: int
    interface: str
    accept: Prefixes
    announce: Prefixes
    accept_as_paths: str
    """The name of the AS-path list: paths that begin and end with the neighbour's own AS."""
    maximum_prefixes: int
    password: SecretReference | None = None
    """TCP MD5 (RFC 2385)."""
    tcp_ao: TcpAo | None = None
    bfd: bool = False
    """The session falls with its interface's BFD session."""


@dataclass(frozen=True, slots=True)
class Bgp:
    """A router's BGP (RFC 4271): eBGP only, policy required (RFC 8212)."""

    asn: int
    router_id: IPv4Address
    networks: tuple[IPv4Network, ...]
    """What the router originates."""
    neighbors: tuple[BgpNeighbor, ...]
    keepalive_s: int
    hold_s: int
    connect_retry_s: int


@dataclass(frozen=True, slots=True)
class PimInterface:
    """PIM (RFC 7761) on one interface."""

    interface: str
    hello_s: int
    passive: bool = False
    """No hellos out and none accepted: towards hosts and sources, where there is no neighbour."""
    neighbors: tuple[IPv4Address, ...] = ()
    """Who may be a neighbour; nobody else."""
    dr_priority: int | None = None
    """For the election of the designated router; None: 1, the protocol's own (RFC 7761, section 4.3.2)."""
    bfd: bool = False
    """A neighbour is gone with the interface's BFD session."""

    @property
    def hold_s(self) -> float:
        """After how long without a hello a neighbour is gone: 3.5 hello periods (RFC 7761, section 4.3.2)."""
        return self.hello_s * 3.5


@dataclass(frozen=True, slots=True, order=True)
class StaticJoin:
    """A channel that is forwarded to an interface whether a host there asks for it or not."""

    group: IPv4Address
    source: IPv4Address


@dataclass(frozen=True, slots=True)
class IgmpInterface:
    """IGMPv3 (RFC 3376) on one interface, on which the router is the querier."""

    interface: str
    query_interval_s: int
    max_response_ds: int
    """Tenths of a second (RFC 3376, section 4.1.1)."""
    groups: Prefixes
    """What may be joined; nothing else."""
    maximum_groups: int
    """The most (source, group) pairs that may be joined at once."""
    static_joins: tuple[StaticJoin, ...] = ()
    version: int = 3


@dataclass(frozen=True, slots=True)
class RendezvousPoint:
    """A rendezvous point of sparse mode (RFC 7761): an exchange's, or this router itself."""

    address: IPv4Address
    groups: Prefixes
    """The ranges that it serves."""
    local: bool = False
    """This router has the address, on its loopback, and so has every router of its site: an anycast rendezvous point,
    whose members learn of sources by MSDP (RFC 3446)."""
    register_sources: Prefixes | None = None
    """Senders whose registers a local one takes (RFC 4609, section 3.2.1); None where it is not local."""


@dataclass(frozen=True, slots=True)
class MsdpPeer:
    """A peer of the Multicast Source Discovery Protocol (RFC 3618)."""

    node: str
    description: str
    address: IPv4Address
    asn: int
    interface: str
    """Whose address the session is from."""
    sources: Prefixes
    """Senders that it may tell of."""
    groups: Prefixes
    """Groups that it may tell of."""
    maximum_active_sources: int
    password: SecretReference | None = None


@dataclass(frozen=True, slots=True)
class Msdp:
    """MSDP of a router; it tells its peers of nothing, since no source is at a site."""

    originator: str
    """The interface whose address names this rendezvous point: not the shared one (RFC 3446, section 3)."""
    peers: tuple[MsdpPeer, ...]


@dataclass(frozen=True, slots=True)
class MulticastRouting:
    """Multicast routing of a router: PIM, IGMP, and what may pass."""

    ssm_ranges: tuple[IPv4Network, ...]
    """Source-specific groups (RFC 4607): no rendezvous point, no register state."""
    pim: tuple[PimInterface, ...]
    igmp: tuple[IgmpInterface, ...]
    boundaries: tuple[tuple[str, Prefixes], ...]
    """Which groups may be joined through an interface; what is not named is denied."""
    rendezvous_points: tuple[RendezvousPoint, ...] = ()
    msdp: Msdp | None = None


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """One kind of packet that a node accepts on its own addresses; ``ports`` are destination ports."""

    comment: str
    interface: str
    protocol: str
    """``udp``, ``tcp``, ``icmp``, ``igmp``, ``pim`` or ``vrrp``."""
    sources: tuple[IPv4Network, ...] = ()
    destinations: tuple[IPv4Network, ...] = ()
    ports: tuple[int, ...] = ()
    rate_pps: int | None = None
    """None: not limited. What exceeds it is dropped and counted."""


@dataclass(frozen=True, slots=True)
class ForwardRule:
    """One kind of UDP packet that a router lets through from one interface to another."""

    comment: str
    interface: str
    """Where it comes in."""
    out: str
    sources: tuple[IPv4Network, ...] = ()
    source_endpoints: tuple[Endpoint, ...] = ()
    destinations: tuple[IPv4Network, ...] = ()
    destination_endpoints: tuple[Endpoint, ...] = ()
    answers: bool = False
    """Only what answers a packet that was let through the other way."""


@dataclass(frozen=True, slots=True)
class Firewall:
    """What a Linux node accepts and lets through, with state; other interfaces are not touched. Drops are counted."""

    interfaces: tuple[str, ...]
    rules: tuple[FirewallRule, ...]
    guarded: tuple[str, ...] = ()
    """To and from these nothing is forwarded but what ``forwarded`` lets through."""
    forwarded: tuple[ForwardRule, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One line of an access list: a packet that fits it is let through or dropped, and no later line is asked.

    ``ANYWHERE`` stands for any address. ``protocol`` is ``ip`` (any), ``tcp``, ``udp``, ``icmp``, ``igmp`` or ``pim``.
    """

    comment: str
    permit: bool
    protocol: str
    source: IPv4Network = ANYWHERE
    destination: IPv4Network = ANYWHERE
    source_port: int | None = None
    destination_port: int | None = None


@dataclass(frozen=True, slots=True)
class AccessList:
    """What may come in by an interface, without state. The last rule says what happens to everything else."""

    name: str
    rules: tuple[AccessRule, ...]


@dataclass(frozen=True, slots=True)
class ControlPlaneClass:
    """Packets to the router itself that share a bound; what no class has is dropped or, where a platform must keep
    a remainder alive, held to ``REMAINDER_PPS``."""

    name: str
    rules: tuple[AccessRule, ...]
    """All of them permit: they say what belongs to the class."""
    rate_pps: int

    @property
    def rate_bps(self) -> int:
        """The same for platforms that count bits."""
        return self.rate_pps * CONTROL_PACKET_BYTES * 8


CONTROL_PACKET_BYTES = 512
"""What a bound in bits takes a packet of the control plane for: most are smaller, full BGP updates are larger."""

REMAINDER_PPS = 50
"""For what the control plane needs besides and no plan names, such as ARP on platforms that count it here."""


@dataclass(frozen=True, slots=True)
class Ntp:
    """Servers of the Network Time Protocol (RFC 5905), and the key that their answers must be signed with."""

    servers: tuple[IPv4Address, ...]
    key_id: int | None = None
    key: SecretReference | None = None


@dataclass(frozen=True, slots=True)
class Ptp:
    """The Precision Time Protocol (IEEE 1588): the node is a client in ``domain``, never a grandmaster."""

    domain: int


@dataclass(frozen=True, slots=True)
class Aaa:
    """Who may log in is asked of these servers, in this order; local users count only while none answers."""

    protocol: AaaProtocol
    servers: tuple[IPv4Address, ...]
    key: SecretReference


@dataclass(frozen=True, slots=True)
class User:
    """A local administrator who logs in by an SSH key."""

    name: str
    ssh_key: str
    """As OpenSSH writes a public key: ``ssh-ed25519 AAAA… comment``."""


@dataclass(frozen=True, slots=True)
class Management:
    """How a node is reached, kept in time and listened to."""

    ssh_sources: tuple[IPv4Network, ...] = ()
    """From where SSH is answered; empty: from nowhere on the plan's interfaces."""
    metrics_sources: tuple[IPv4Network, ...] = ()
    """Who may read a relay's counters."""
    ntp: Ntp | None = None
    ptp: Ptp | None = None
    syslog: tuple[IPv4Address, ...] = ()
    aaa: Aaa | None = None
    users: tuple[User, ...] = ()
    source_interface: str | None = None
    """Whose address the node's own requests (NTP, syslog, AAA) come from."""


NOT_MANAGED = Management()


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting. ``machine_wide`` ones exist once a machine, the others once a network namespace."""

    name: str
    value: str
    comment: str
    machine_wide: bool = False


class RouterRole(StrEnum):
    """Whose router it is."""

    SITE = "site"
    EXCHANGE = "exchange"
    """The exchange's own, described for the hand-over and run by the lab; never rendered for production."""
    GATEWAY = "gateway"
    """The cloud's end of an uplink; the lab runs it, the cloud does in production."""


@dataclass(frozen=True, slots=True)
class Router:
    """A router with everything that its configuration says."""

    name: str
    role: RouterRole
    place: str
    """The site, exchange or region.vpc that it belongs to."""
    platform: Platform
    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...]
    bgp: Bgp | None
    multicast: MulticastRouting | None
    firewall: Firewall
    """For platforms whose packet filter keeps state (FRR on Linux, VyOS)."""
    sysctls: tuple[Sysctl, ...]
    """Kernel settings that the platform has no commands of its own for; empty where it shows no kernel."""
    access_lists: tuple[AccessList, ...] = ()
    """For platforms that filter by interface, without state."""
    control_plane: tuple[ControlPlaneClass, ...] = ()
    management: Management = NOT_MANAGED
    vlans: tuple[Vlan, ...] = ()
    vrf: str | None = None
    """The VRF that all interfaces, routes, BGP and multicast of the router are in; None: the global table."""
    unused_ports: tuple[str, ...] = ()
    """Ports that are shut."""

    @property
    def neighbors(self) -> tuple[BgpNeighbor, ...]:
        """Its BGP neighbours; none where it has no BGP."""
        return self.bgp.neighbors if self.bgp is not None else ()

    def interface(self, name: str) -> Interface:
        """The interface of that name; raises ``KeyError`` when there is none."""
        return {interface.name: interface for interface in self.interfaces}[name]
