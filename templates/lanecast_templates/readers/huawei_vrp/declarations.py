"""What the commands of a VRP text say, each of its own block, and the text as blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NoReturn

from lanecast_templates.readers.facts import AccessFacts


def fail(line: int, message: str) -> NoReturn:
    raise ValueError(f"line {line}: {message}")


@dataclass(slots=True)
class Line:
    """A command with those in its block."""

    number: int
    words: list[str]
    children: list[Line] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(slots=True)
class Interface:
    name: str
    line: int
    addresses: list[IPv4Interface] = field(default_factory=list)
    tag: int | None = None
    vrf: str | None = None
    shut: bool | None = None
    silences: set[str] = field(default_factory=set)
    """Protocols that would tell the other side of the router, and are off."""
    switched: bool = False
    is_access: bool = False
    access_vlan: int | None = None
    reverse_path: str | None = None
    policy: str | None = None
    vlan_policy: tuple[str, int] | None = None
    no_broadcasts: bool = False
    no_proxy: bool = False
    pim: bool = False
    silent: bool = False
    hello_s: int | None = None
    holdtime_s: int | None = None
    dr_priority: int | None = None
    neighbor_acl: str | None = None
    join_acl: str | None = None
    pim_bfd: bool = False
    bfd_times: tuple[int, int] | None = None
    igmp: bool = False
    igmp_version: int = 2
    query_s: int | None = None
    response_s: int | None = None
    group_acl: str | None = None
    group_limit: int | None = None
    router_alert: bool = False
    joins: list[tuple[IPv4Address, IPv4Address]] = field(default_factory=list)

    @property
    def is_loopback(self) -> bool:
        return self.name.startswith("LoopBack")

    @property
    def is_port(self) -> bool:
        """A port itself, with a slot that it sits in."""
        return "/" in self.name and "." not in self.name

    @property
    def slot(self) -> int:
        """Its first number, or the second where there is one board and the numbers begin with 0."""
        first, second = (int(each) for each in re.findall(r"\d+(?=/)", self.name)[:2])
        return first or second


@dataclass(slots=True)
class Acl:
    line: int
    basic: bool
    rules: list[AccessFacts] = field(default_factory=list)


@dataclass(slots=True)
class Policy:
    pairs: list[tuple[str, str]] = field(default_factory=list)
    counted: bool = False


@dataclass(slots=True)
class CpuPolicy:
    line: int
    flows: dict[int, str] = field(default_factory=dict)
    rates_kbps: dict[int, int] = field(default_factory=dict)
    remainder_acl: str = ""
    remainder_kbps: int = 0
    sequence: str = ""


@dataclass(slots=True)
class Peer:
    address: IPv4Address
    asn: int
    line: int
    has_retry: bool = False
    accept: str | None = None
    announce: str | None = None
    as_paths: str | None = None
    maximum_prefixes: int | None = None
    password: bool = False
    tcp_ao: str | None = None
    ttl_hops: int | None = None
    first_as: bool = False
    bfd: bool = False
    bfd_times: tuple[int, int] | None = None
    enabled: bool = False


@dataclass(slots=True)
class Bgp:
    asn: int | None = None
    router_id: IPv4Address | None = None
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
    snooping: bool = False
    version: int = 2


@dataclass(slots=True)
class Keychain:
    keys: dict[int, set[str]] = field(default_factory=dict)


@dataclass(slots=True)
class TcpAo:
    keychain: str | None = None
    identifiers: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class ServerGroup:
    has_key: bool = False
    source: str | None = None
    authentication: list[IPv4Address] = field(default_factory=list)
    authorization: list[IPv4Address] = field(default_factory=list)


@dataclass(slots=True)
class Domain:
    line: int
    schemes: dict[str, str] = field(default_factory=dict)
    server: tuple[str, str] = ("", "")


@dataclass(slots=True)
class SshUser:
    line: int
    authentication: str | None = None
    assigned: tuple[str, str] | None = None
    service: str | None = None


@dataclass(slots=True)
class Commands:
    """Everything that a text says, block by block. ``scopes``: for which VRF a line with a choice of it is."""

    name: str = ""
    said: set[str] = field(default_factory=set)
    scopes: list[tuple[int, str | None]] = field(default_factory=list)
    interfaces: dict[str, Interface] = field(default_factory=dict)
    acls: dict[str, Acl] = field(default_factory=dict)
    prefix_lists: dict[str, list[tuple[IPv4Network, int | None]]] = field(default_factory=dict)
    as_paths: dict[str, int] = field(default_factory=dict)
    classifiers: dict[str, list[str]] = field(default_factory=dict)
    behaviors: dict[str, str] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    cpu_policies: dict[str, CpuPolicy] = field(default_factory=dict)
    slots: dict[int, str] = field(default_factory=dict)
    routes: list[tuple[IPv4Network, IPv4Address]] = field(default_factory=list)
    bgp: Bgp = field(default_factory=Bgp)
    multicast: Multicast = field(default_factory=Multicast)
    msdp: Msdp = field(default_factory=Msdp)
    vlan_batch: set[int] = field(default_factory=set)
    vlans: dict[int, Vlan] = field(default_factory=dict)
    keychains: dict[str, Keychain] = field(default_factory=dict)
    tcp_ao: dict[str, TcpAo] = field(default_factory=dict)
    refused_icmp: set[str] = field(default_factory=set)
    ntp_servers: dict[IPv4Address, int | None] = field(default_factory=dict)
    log_hosts: list[IPv4Address] = field(default_factory=list)
    ssh_acl: str | None = None
    ssh_algorithms: set[str] = field(default_factory=set)
    users: dict[str, SshUser] = field(default_factory=dict)
    public_keys: set[tuple[str, str]] = field(default_factory=set)
    server_groups: dict[tuple[str, str], ServerGroup] = field(default_factory=dict)
    schemes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    terminals: dict[str, set[str]] = field(default_factory=dict)


def blocks(text: str) -> list[Line]:
    root = Line(0, [])
    path = [(-1, root)]
    for number, raw in enumerate(text.splitlines(), start=1):
        content = raw.strip()
        indent = len(raw) - len(raw.lstrip())
        if not content or content.startswith("!"):
            continue
        while path[-1][0] >= indent:
            path.pop()
        if content == "#":
            continue
        line = Line(number, content.split())
        path[-1][1].children.append(line)
        path.append((indent, line))
    return root.children


def unknown(line: Line) -> NoReturn:
    """Raises; shows of the line what cannot hold a secret."""
    fail(line.number, f"cannot read '{' '.join(line.words[:2])}'")
