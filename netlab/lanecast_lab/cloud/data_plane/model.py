"""What has to be there, in Linux's own words: nodes (network namespaces) and the links between them.

A description is plain, frozen data. The same store gives the same description, names and hardware addresses included,
so the difference between two of them is what has to change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

MTU = 1500
"""[assumed] Bytes of the cloud's frames."""

MAIN_TABLE = 254
LONGEST_INTERFACE_NAME = 15
WITHOUT_IPV6 = (("net.ipv6.conf.all.disable_ipv6", "1"), ("net.ipv6.conf.default.disable_ipv6", "1"))
"""Kernel settings: the cloud has no IPv6."""

DIRECTORY = "{directory}"
"""Stands in commands and texts for the node's own folder, where its files are."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of a node: one end of a link, or with ``bridge`` a bridge that the node has."""

    name: str
    addresses: tuple[str, ...] = ()
    """With their prefix lengths: ``10.0.1.1/24``."""
    mac: str = ""
    """Empty: the kernel's choice."""
    mtu: int = MTU
    up: bool = True
    bridge: bool = False
    master: str = ""
    """The node's bridge that it is a port of."""
    stations: tuple[str, ...] = ()
    """A bridge's port: the hardware addresses behind it. With any, the bridge learns and floods nothing there."""
    neighbors: tuple[tuple[str, str], ...] = ()
    """Addresses whose hardware addresses are known for good, so that nobody asks."""
    plain: bool = False
    """Whether it leaves no work (segments, checksums) to the hardware: what a native wire carries needs that."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A way out. ``via`` need not be in a network of the interface's."""

    interface: str
    via: str = ""
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Route:
    """A route; without hops, a black hole."""

    destination: str
    hops: tuple[Hop, ...] = ()
    table: int = MAIN_TABLE
    metric: int = 0
    source: str = ""
    """The address that the node itself sends from."""


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """Which routing table what is asked, by priority: ``from 10.0.1.0/24`` or ``iif p-…``."""

    priority: int
    selector: str
    table: int


@dataclass(frozen=True, slots=True)
class File:
    """A file in the node's own folder. ``{directory}`` in its text is that folder."""

    name: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Program:
    """A command that keeps running in the node, with its standard input open.

    It is started again when it ends, or when it or one of its files changes; with ``reload``, files that change are
    written and that command is run in the node instead. It is started when the node's interfaces, routes and filters
    are there. ``ready``: what the first line of its standard output contains once it works; empty: nothing is waited
    for. ``stop``: a command that ends it; without one it gets SIGTERM, then SIGKILL.
    """

    role: str
    command: tuple[str, ...]
    files: tuple[File, ...] = ()
    reload: tuple[str, ...] = ()
    ready: str = ""
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A network namespace, called by its key, with everything in it. What is not named here is not touched."""

    key: str
    """The resource's id."""
    kind: str
    name: str
    region: str
    interfaces: tuple[Interface, ...] = ()
    """Bridges before their ports."""
    sysctls: tuple[tuple[str, str], ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    """nftables by family and name (``inet filter``), each the text between its braces. A table whose text changes is
    replaced in one transaction, sets and counters included; what is in no table here is the node's own."""
    flow_marks: frozenset[int] = frozenset()
    """Marks of the flows that the tables' rules translate: when one is no longer here, its flows are forgotten, so that
    they begin anew by the rules that there are then."""
    programs: tuple[Program, ...] = ()
    user_data: str = ""
    """What an instance is started with, once, as cloud-init's text."""
    booted: bool = True
    """Whether the user data's moment has come."""


@dataclass(frozen=True, slots=True)
class End:
    """A node's end of a link."""

    node: str
    interface: str


@dataclass(frozen=True, slots=True)
class Link:
    """A cable between two nodes' interfaces. It is made anew when it changes."""

    key: str
    first: End
    second: End


@dataclass(frozen=True, slots=True)
class Description:
    """Everything that has to be there."""

    nodes: Mapping[str, Node]
    links: Mapping[str, Link]


def port_name(prefix: str, key: str) -> str:
    """An interface name for what a resource's id names: a letter, and the id's own letters and digits when they fit."""
    kind, _, end = key.partition("-")
    name = f"{prefix}-{end}"
    if kind and end and "-" not in end and len(name) <= LONGEST_INTERFACE_NAME:
        return name
    return f"{prefix}-{hashlib.sha256(key.encode()).hexdigest()[: LONGEST_INTERFACE_NAME - len(prefix) - 1]}"


def hardware_address(*words: str) -> str:
    """A locally administered unicast address that these words always give."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0xFA, 0x16, *digest[:4]))


def station_of(subnet_id: str, address: str) -> str:
    """The hardware address of who has this address of a subnet: who gets one that another had is not looked for where
    the other was."""
    return hardware_address(subnet_id, address)
