"""What the commands of a Comware text say, view by view, and the text as nested views."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NoReturn

from lanecast_templates.readers.facts import AccessFacts


def fail(line: int, message: str) -> NoReturn:
    raise ValueError(f"line {line}: {message}")


@dataclass(slots=True)
class Line:
    """A command with those of the view that it opens."""

    number: int
    words: list[str]
    children: list[Line] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def unknown(line: Line) -> NoReturn:
    """Raises; shows of the line what cannot hold a secret."""
    fail(line.number, f"cannot read '{' '.join(line.words[:2])}'")


def views(text: str) -> list[Line]:
    """The commands of the system view. What begins with ``#`` is a comment; alone it ends the views as deep as it."""
    root = Line(0, [])
    path = [(-1, root)]
    for number, raw in enumerate(text.splitlines(), start=1):
        content = raw.strip()
        indent = len(raw) - len(raw.lstrip())
        if not content or content.startswith("# "):
            continue
        while path[-1][0] >= indent:
            path.pop()
        if content == "#":
            continue
        line = Line(number, content.split())
        path[-1][1].children.append(line)
        path.append((indent, line))
    return root.children


@dataclass(slots=True)
class Rule:
    """A rule of an ACL: what it matches, whether it counts, and in which VPN instance it holds."""

    fact: AccessFacts
    counting: bool
    vrf: str | None


@dataclass(slots=True)
class Acl:
    """An ACL, by its number or name."""

    line: int
    basic: bool
    rules: list[Rule] = field(default_factory=list)

    @property
    def facts(self) -> list[AccessFacts]:
        return [rule.fact for rule in self.rules]


@dataclass(slots=True)
class Interface:
    name: str
    line: int
    routed: bool | None = None
    addresses: list[IPv4Interface] = field(default_factory=list)
    tag: int | None = None
    vrf: str | None = None
    shut: bool | None = None
    is_access: bool = False
    access_vlan: int | None = None
    snooped_groups: dict[int, int] = field(default_factory=dict)
    """How many groups hosts of a VLAN may join on a port."""
    reverse_path: str | None = None
    no_broadcasts: bool = False
    no_proxy: bool = False
    filters: dict[str, str] = field(default_factory=dict)
    """By direction."""
    bfd: dict[str, int] = field(default_factory=dict)
    pim: bool = False
    passive: bool = False
    hello_s: int | None = None
    holdtime_s: int | None = None
    dr_priority: int | None = None
    neighbor_acl: str | None = None
    pim_bfd: bool = False
    igmp: bool = False
    igmp_version: int = 2
    query_s: int | None = None
    response_s: int | None = None
    group_acl: str | None = None
    joins: list[tuple[IPv4Address, IPv4Address]] = field(default_factory=list)

    @property
    def is_loopback(self) -> bool:
        return self.name.startswith("LoopBack")

    @property
    def is_port(self) -> bool:
        return "/" in self.name and "." not in self.name


@dataclass(slots=True)
class Peer:
    address: IPv4Address
    asn: int
    line: int
    accept: str | None = None
    announce: str | None = None
    as_paths: str | None = None
    maximum_prefixes: int | None = None
    password: bool = False
    ttl_hops: int | None = None
    bfd: bool = False
    enabled: bool = False


@dataclass(slots=True)
class Bgp:
    asn: int | None = None
    router_ids: list[IPv4Address] = field(default_factory=list)
    first_as: bool = False
    timers: tuple[int, int] = (60, 180)
    networks: list[IPv4Network] = field(default_factory=list)
    peers: dict[str, Peer] = field(default_factory=dict)


@dataclass(slots=True)
class Multicast:
    ssm_acl: str | None = None
    register_acl: str | None = None
    rendezvous_points: list[tuple[IPv4Address, str]] = field(default_factory=list)


@dataclass(slots=True)
class MsdpPeer:
    address: IPv4Address
    interface: str
    line: int
    import_acl: str | None = None
    silenced: bool = False
    maximum_active_sources: int | None = None
    password: bool = False


@dataclass(slots=True)
class Msdp:
    originator: str | None = None
    peers: dict[str, MsdpPeer] = field(default_factory=dict)


@dataclass(slots=True)
class Vlan:
    line: int
    snooping: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Scheme:
    """Servers that are asked who may log in."""

    line: int
    servers: dict[str, list[IPv4Address]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    source: IPv4Address | None = None
    plain_names: bool = False


@dataclass(slots=True)
class LocalUser:
    line: int
    said: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Commands:
    """Everything that a text says. ``scopes``: for which VPN instance a line with a choice of it is."""

    name: str = ""
    said: set[str] = field(default_factory=set)
    scopes: list[tuple[int, str | None]] = field(default_factory=list)
    vpn_instances: dict[str, set[str]] = field(default_factory=dict)
    interfaces: dict[str, Interface] = field(default_factory=dict)
    acls: dict[str, Acl] = field(default_factory=dict)
    prefix_lists: dict[str, list[tuple[IPv4Network, int | None]]] = field(default_factory=dict)
    as_paths: dict[str, int] = field(default_factory=dict)
    classifiers: dict[str, str] = field(default_factory=dict)
    behaviors: dict[str, int] = field(default_factory=dict)
    """Kilobits a second."""
    policies: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    control_planes: dict[int | None, str] = field(default_factory=dict)
    """By slot; None where the router has none."""
    routes: list[tuple[IPv4Network, IPv4Address]] = field(default_factory=list)
    bgp: Bgp = field(default_factory=Bgp)
    multicast: Multicast = field(default_factory=Multicast)
    msdp: Msdp = field(default_factory=Msdp)
    vlans: dict[int, Vlan] = field(default_factory=dict)
    ntp_servers: dict[IPv4Address, int | None] = field(default_factory=dict)
    log_hosts: list[IPv4Address] = field(default_factory=list)
    ssh_acl: str | None = None
    ssh_algorithms: dict[str, list[str]] = field(default_factory=dict)
    ssh_users: dict[str, str] = field(default_factory=dict)
    """User and public key."""
    local_users: dict[str, LocalUser] = field(default_factory=dict)
    public_keys: set[str] = field(default_factory=set)
    schemes: dict[tuple[str, str], Scheme] = field(default_factory=dict)
    domains: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    default_domain: str | None = None
    terminals: dict[str, set[str]] = field(default_factory=dict)
