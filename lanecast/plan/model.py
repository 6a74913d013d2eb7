"""The plan's schema: the one home of its sections, fields, units and defaults.

Names are given by the person and stay; nothing is named by position. Keys are spelled with hyphens in YAML. What one
field alone can get wrong is refused here; what needs two places of the plan is in ``lanecast.plan.checks``.
"""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from lanecast_relay.config.model import (
    DEFAULT_HOLE_WAIT_NS,
    Channel,
    EndpointText,
    InterfaceName,
    JournalKeepNs,
    LineName,
    Name,
    Protocol,
    Recovery,
    Strict,
)
from lanecast_relay.config.quantity import (
    BitsPerSecond,
    BurstSize,
    DurationNs,
    PacketsPerSecond,
    Share,
    nanoseconds,
)

Asn = Annotated[int, Field(ge=1, le=4_294_967_294)]
"""RFC 6793: four bytes; RFC 7607 reserves 0 and RFC 7300 the last one."""

VlanId = Annotated[int, Field(ge=1, le=4094)]
"""IEEE 802.1Q: 0 and 4095 are reserved."""

FeedLine = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*\.[A-Za-z0-9][A-Za-z0-9-]*$")]
"""A line of a feed, written ``cme-310.A``."""

VpcReference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*\.[a-z0-9][a-z0-9-]*$")]
"""A VPC, written ``region.vpc``."""

PortName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@:/-]*$", max_length=40)]
"""A port as its platform calls it; ``lanecast.platforms`` knows each one's ways."""

VrfName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,14}$")]
"""Short enough for a Linux device."""

UserName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]

PUBLIC_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]+={0,2}( [!-~]+)?")


def _public_key(value: str) -> str:
    if len(value) > MAXIMUM_KEY_CHARACTERS or not PUBLIC_KEY.fullmatch(value):
        raise PydanticCustomError("not_shown", "expected a public key as OpenSSH writes it: ssh-ed25519 AAAA… name")
    return value


MAXIMUM_KEY_CHARACTERS = 900
"""An RSA key of 4096 bits has about 740."""

SshPublicKey = Annotated[str, AfterValidator(_public_key)]
"""As OpenSSH writes a public key, on one line; the comment has no blanks."""

SubnetReference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*){2}$")]
"""A subnet, written ``region.vpc.subnet``."""


class Role(StrEnum):
    """Which of several ways is preferred while all work; all are active."""

    PRIMARY = "primary"
    BACKUP = "backup"


class Platform(StrEnum):
    """What a router runs, and so which templates spell its configuration; ``lanecast.platforms`` says more of each."""

    FRR = "frr"
    EOS = "eos"
    IOS_XE = "ios-xe"
    NX_OS = "nx-os"
    JUNOS = "junos"
    HUAWEI_VRP = "huawei-vrp"
    H3C_COMWARE = "h3c-comware"
    VYOS = "vyos"


class Survival(StrEnum):
    """What may fail without a subscriber losing the feed (design, decision 15)."""

    ANY_ONE_FAILURE = "any-one-failure"
    ANY_ONE_CIRCUIT = "any-one-circuit"


class SecretReference(Strict):
    """Where a secret is to be found; the plan itself never holds one."""

    environment: str | None = None
    file: str | None = None
    pulumi: Annotated[str, StringConstraints(pattern=r"^[^/]+(/[^/]+){0,2}/[^/]+$")] | None = None
    """``STACK/KEY`` of a Pulumi stack's configuration, of the project in whose folder the plan is."""

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretReference:
        if sum(each is not None for each in (self.environment, self.file, self.pulumi)) != 1:
            raise ValueError("expected exactly one of environment, file and pulumi")
        return self


class TcpAoAlgorithm(StrEnum):
    """RFC 5926, section 3.2: the two that every implementation has."""

    HMAC_SHA_1_96 = "hmac-sha-1-96"
    AES_128_CMAC_96 = "aes-128-cmac-96"


class TcpAo(Strict):
    """BGP authentication by the TCP Authentication Option (RFC 5925); both ends use one number for the key."""

    key_id: int = Field(ge=0, le=255)
    algorithm: TcpAoAlgorithm = TcpAoAlgorithm.HMAC_SHA_1_96
    secret: SecretReference


class Bfd(Strict):
    """Bidirectional Forwarding Detection (RFC 5881) between the two ends of a line: both send at the interval."""

    interval_ns: DurationNs = nanoseconds(300_000_000)
    multiplier: int = Field(default=3, ge=3, le=50)
    """So many intervals without a packet mean that the line is down."""


class Msdp(Strict):
    """The exchange tells of its sources by MSDP (RFC 3618), and each site has a rendezvous point of its own."""

    password: SecretReference | None = None
    maximum_active_sources: int = Field(default=100, ge=1, le=100_000)


class Rendezvous(Strict):
    """Sparse mode (RFC 7761): where receivers and sources of groups that are not source-specific meet."""

    address: IPv4Address
    """The exchange's rendezvous point, and its MSDP peer where there is one."""
    groups: list[IPv4Network] = Field(min_length=1)
    """The ranges that it serves."""
    msdp: Msdp | None = None
    """None: a site's routers use the exchange's rendezvous point itself."""


def _none_as_nothing(value: object) -> object:
    if isinstance(value, str) and value != "none":
        raise ValueError("expected none, or the address and groups of a rendezvous point")
    return None if value == "none" else value


class Exchange(Strict):
    """Who publishes feeds. ``rendezvous: none`` means source-specific multicast alone (RFC 4607)."""

    asn: Asn
    rendezvous: Annotated[
        Rendezvous | None,
        BeforeValidator(_none_as_nothing, json_schema_input_type=Rendezvous | Literal["none"] | None),
    ] = None
    prefixes: list[IPv4Network] = Field(default_factory=list)
    """What the exchange announces by BGP; empty: a host route for each source."""


class Peak(Strict):
    """The most that a feed sends: packets a second, bytes of UDP payload a packet, and the largest burst."""

    rate_pps: PacketsPerSecond
    size_bytes: int = Field(
        validation_alias=AliasChoices("bytes", "size_bytes"), serialization_alias="bytes", ge=1, le=65507
    )
    burst: BurstSize | None = None


class FeedLinePlan(Strict):
    """One redundant copy of a feed: its source and its groups by channel."""

    source: IPv4Address
    groups: dict[Channel, EndpointText] = Field(min_length=1)


class Feed(Strict):
    """What an exchange publishes on two or more lines."""

    exchange: Name
    protocol: Protocol
    peak: Peak
    hole_wait_ns: DurationNs = nanoseconds(DEFAULT_HOLE_WAIT_NS)
    recovery: Recovery | None = None
    """The exchange's re-request servers, as the relay's file names them; None: what all lines lose stays lost."""
    lines: dict[LineName, FeedLinePlan] = Field(min_length=1)


class Circuit(Strict):
    """A dedicated line from an exchange to a site. ``delay`` is one-way."""

    exchange: Name
    mode: Literal["multicast"]
    role: Role = Role.PRIMARY
    vlan: VlanId
    link: IPv4Network
    delay_ns: DurationNs
    bandwidth_bps: BitsPerSecond
    carries: list[FeedLine] = Field(min_length=1)
    password: SecretReference | None = None
    """BGP authentication towards the exchange's router (TCP MD5, RFC 2385)."""
    tcp_ao: TcpAo | None = None
    """The same by RFC 5925; in place of a password."""
    bfd: Bfd | None = None
    dr_priority: int | None = Field(default=None, ge=1, le=4_294_967_295)
    """Of the site's router, for the election of PIM's designated router (RFC 7761, section 4.3.2)."""


class Uplink(Strict):
    """A dedicated line from a site to a VPC in the cloud. ``delay`` is one-way."""

    to: VpcReference
    physical_line: str | None = None
    vlan: VlanId
    link: IPv4Network
    delay_ns: DurationNs
    bandwidth_bps: BitsPerSecond
    routing: Literal["bgp", "static"] = "bgp"
    role: Role = Role.PRIMARY
    password: SecretReference | None = None
    tcp_ao: TcpAo | None = None
    bfd: Bfd | None = None


class SwitchedVlan(Strict):
    """A segment that is a VLAN of the router itself, between these access ports."""

    vlan: VlanId
    access_ports: list[PortName] = Field(min_length=1)


class Switch(Strict):
    """The router is a layer-3 switch as well, and its relay hosts are plugged into it."""

    multicast: SwitchedVlan
    lan: SwitchedVlan


class Router(Strict):
    """A router at a site. ``ports`` gives hardware names by purpose: a circuit, an uplink, ``multicast`` or ``lan``."""

    platform: Platform
    circuits: list[Name] = Field(default_factory=list)
    uplinks: list[Name] = Field(default_factory=list)
    """Empty: the uplinks that no router names and whose role is that of one of this router's circuits."""
    ports: dict[str, PortName] = Field(default_factory=dict)
    switch: Switch | None = None
    """None: its relay hosts are behind a switch of their own, on the ports ``multicast`` and ``lan``."""
    vrf: VrfName | None = None
    """The VRF that all of it is in; None: the global table."""
    static_joins: list[FeedLine] = Field(default_factory=list)
    """Lines that flow to the multicast segment whether a relay has joined them or not."""
    unused_ports: list[PortName] = Field(default_factory=list)
    """Ports that are shut."""


class Relay(Strict):
    """A relay host at a site. ``uplink`` is the way its copies leave by; by default the primary one."""

    feeds: list[Name] = Field(min_length=1)
    journal_ns: JournalKeepNs | None = None
    """How long the datagrams of all lines are kept, for replay and re-requests; None: they are not."""
    uplink: Name | None = None
    ports: dict[str, InterfaceName] = Field(default_factory=dict)
    """Hardware names by purpose: ``multicast.ROUTER`` and ``lan.ROUTER``."""


class Site(Strict):
    """A place near an exchange with circuits in and uplinks out."""

    region: Name
    asn: Asn | None = None
    """None: one is chosen from the private range (RFC 6996) and kept in the lock file."""
    rendezvous: IPv4Address | None = None
    """The address that each of its routers has as rendezvous point, where an exchange tells of sources by MSDP."""
    circuits: dict[Name, Circuit] = Field(min_length=1)
    routers: dict[Name, Router] = Field(min_length=1)
    relays: dict[Name, Relay] = Field(min_length=1)
    uplinks: dict[Name, Uplink] = Field(min_length=1)


class Subnet(Strict):
    """A part of a VPC in one zone."""

    cidr: IPv4Network
    zone: str


class Vpc(Strict):
    """A virtual private cloud."""

    cidr: IPv4Network
    subnets: dict[Name, Subnet] = Field(min_length=1)


class Cloud(Strict):
    """Which cloud a region is in, and what that cloud calls the region."""

    provider: Literal["baidu"]
    region: str


class Region(Strict):
    """A cloud region and its VPCs."""

    cloud: Cloud
    vpcs: dict[Name, Vpc] = Field(min_length=1)


MAXIMUM_BRIDGE_INSTANCES = 4
"""Each further one holds every address of the others in reserve; a second is what a failure needs."""


class Peering(Strict):
    """Two VPCs that reach each other; not transitive."""

    between: Annotated[list[VpcReference], Field(min_length=2, max_length=2)]
    delay_ns: DurationNs
    bandwidth_bps: BitsPerSecond
    dns_sync: bool = False


class BridgeMethod(StrEnum):
    """How two VPCs reach each other through a third that both are peered with."""

    NAT = "nat"
    """Instances in the third translate addresses; neither side sees the other's."""
    TRANSIT = "transit"
    """The third VPC's router forwards from one peering to the other: the cloud's own switch."""


class Transport(StrEnum):
    """What has ports."""

    UDP = "udp"
    TCP = "tcp"


class Offer(Strict):
    """A service at one end of a bridge, which the other end reaches at an address of the bridge."""

    in_: VpcReference = Field(validation_alias=AliasChoices("in", "in_"), serialization_alias="in")
    """The end that it is at."""
    at: EndpointText
    protocol: Transport = Transport.UDP


class Bridge(Strict):
    """Two VPCs that are not peered and reach each other through a third, both ways."""

    from_: VpcReference = Field(validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    via: VpcReference
    to: VpcReference
    method: BridgeMethod = BridgeMethod.NAT
    subnet: SubnetReference | None = None
    """Where its instances are: a subnet of ``via``; needed by ``nat``, and nothing that ``transit`` has."""
    count: int = Field(default=2, ge=1, le=MAXIMUM_BRIDGE_INSTANCES)
    """Its instances. Each has an address that flows are sent to, and the others take it over when it fails."""
    offers: dict[Name, Offer] = Field(default_factory=dict)
    """What one end has for the other besides the plan's feeds, which it lets through by itself."""

    @property
    def ends(self) -> tuple[str, str]:
        """The two VPCs that it joins."""
        return self.from_, self.to


Port = Annotated[int, Field(ge=1, le=65535)]


class Listener(Strict):
    """A port of a load balancer that takes connections over TCP, and who may use it."""

    port: Port
    backend_port: Port | None = None
    """The port of the instances; None: the same."""
    clients: list[IPv4Network] = Field(min_length=1)
    """Who may connect; everybody is nobody's wish."""


class LoadBalancer(Strict):
    """One address for what a subscriber's applications answer themselves, such as requests for a quote: connections are
    spread over its instances. Feeds are not: each instance gets a copy of its own."""

    address: IPv4Address | None = None
    """In the subscriber's subnet; None: one is chosen and kept in the lock file."""
    listeners: dict[Name, Listener] = Field(min_length=1)


class Subscriber(Strict):
    """Applications that receive feeds: ``count`` instances in one subnet, fed by each relay named in ``from``."""

    subnet: SubnetReference
    count: int = Field(default=1, ge=1, le=250)
    feeds: list[Name] = Field(min_length=1)
    relays: list[Name] = Field(
        min_length=1, validation_alias=AliasChoices("from", "relays"), serialization_alias="from"
    )
    load_balancer: LoadBalancer | None = None


class Promise(Strict):
    """What a feed's subscribers may rely on; a lab run measures it."""

    p99_ns: DurationNs | None = None
    availability: Share | None = None
    survives: Survival | None = None


class Multicast(Strict):
    """Multicast settings of every router and relay host."""

    ssm_ranges: list[IPv4Network] = Field(default_factory=lambda: [IPv4Network("232.0.0.0/8")])
    """Where source-specific multicast applies (RFC 4607; exchanges use groups outside 232/8 as well)."""
    memberships: int = Field(default=256, ge=1, le=4096)
    """The most groups one host may join (Linux: net.ipv4.igmp_max_memberships)."""


class AaaProtocol(StrEnum):
    """Who is asked who may log in."""

    TACACS = "tacacs+"
    """RFC 8907."""
    RADIUS = "radius"
    """RFC 2865."""


class NtpKey(Strict):
    """A symmetric key of the Network Time Protocol (RFC 5905, section 7.3)."""

    id: int = Field(ge=1, le=65534)
    """EOS and Junos take no larger one."""
    secret: SecretReference


class Ntp(Strict):
    """Servers of the Network Time Protocol."""

    servers: list[IPv4Address] = Field(min_length=1)
    key: NtpKey | None = None


class Ptp(Strict):
    """The Precision Time Protocol: routers and relay hosts are clients of a domain."""

    domain: int = Field(ge=0, le=127)


class Aaa(Strict):
    """Authentication, authorization and accounting of logins."""

    protocol: AaaProtocol
    servers: list[IPv4Address] = Field(min_length=1)
    key: SecretReference


class User(Strict):
    """A local administrator."""

    ssh_key: SshPublicKey


class Management(Strict):
    """How every router and relay host is reached, kept in time and listened to."""

    ssh_from: list[IPv4Network] = Field(default_factory=list)
    """Who may reach SSH on the plan's own interfaces; other interfaces of a box are not touched."""
    metrics_from: list[IPv4Network] = Field(default_factory=list)
    """Who may read the counters of relays by HTTP (Prometheus); empty: nobody, and they are not served."""
    ntp: Ntp | None = None
    ptp: Ptp | None = None
    syslog: list[IPv4Address] = Field(default_factory=list)
    aaa: Aaa | None = None
    users: dict[UserName, User] = Field(default_factory=dict)


class Pools(Strict):
    """Where values that the plan does not write are taken from."""

    sites: IPv4Network = IPv4Network("10.200.0.0/16")


class Timers(Strict):
    """Protocol timers of every router, whole seconds on the wire; smaller ones notice a failure sooner."""

    pim_hello_ns: DurationNs = nanoseconds(1_000_000_000)
    igmp_query_interval_ns: DurationNs = nanoseconds(5_000_000_000)
    bgp_keepalive_ns: DurationNs = nanoseconds(3_000_000_000)
    bgp_hold_ns: DurationNs = nanoseconds(9_000_000_000)
    bgp_connect_retry_ns: DurationNs = nanoseconds(5_000_000_000)
    """RFC 4271, 10 suggests two minutes, which a line that comes back would wait for."""


class Plan(Strict):
    """The whole plan."""

    version: Literal[1] = Field(validation_alias=AliasChoices("lanecast", "version"), serialization_alias="lanecast")
    exchanges: dict[Name, Exchange] = Field(min_length=1)
    feeds: dict[Name, Feed] = Field(min_length=1)
    sites: dict[Name, Site] = Field(min_length=1)
    regions: dict[Name, Region] = Field(min_length=1)
    peerings: dict[Name, Peering] = Field(default_factory=dict)
    bridges: dict[Name, Bridge] = Field(default_factory=dict)
    subscribers: dict[Name, Subscriber] = Field(min_length=1)
    promises: dict[Name, Promise] = Field(default_factory=dict)
    multicast: Multicast = Field(default_factory=Multicast)
    timers: Timers = Field(default_factory=Timers)
    pools: Pools = Field(default_factory=Pools)
    management: Management = Field(default_factory=Management)
    templates: str | None = None
    """A folder beside the plan whose templates stand in front of lanecast's own (docs/templates.md)."""
