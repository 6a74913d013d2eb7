"""What a cloud holds, in no provider's words: the one type that the compiler expects and an emulator keeps.

A back end compares the two field by field. Names are ``region.vpc`` and ``region.vpc.subnet``, as in the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Final

PLAN_TAG: Final = "lanecast-plan"
NAME_TAG: Final = "lanecast-name"
"""Tags of what is made in a cloud, as far as it can have some: of which plan it is, and what that calls it."""


@dataclass(frozen=True, slots=True)
class CloudRegion:
    """A region: whose cloud it is in, and what that provider calls it."""

    name: str
    provider: str
    code: str


@dataclass(frozen=True, slots=True)
class CloudSubnet:
    """A part of a VPC; ``gateway`` is the VPC router's own address in it."""

    name: str
    cidr: IPv4Network
    zone: str
    gateway: IPv4Address


@dataclass(frozen=True, slots=True)
class CloudRoute:
    """A route of a VPC's router: ``target`` names a peering or a dedicated-line gateway."""

    prefix: IPv4Network
    target: str


@dataclass(frozen=True, slots=True)
class CloudVpc:
    """A virtual private cloud with its subnets and the routes of its router."""

    name: str
    region: str
    cidr: IPv4Network
    subnets: tuple[CloudSubnet, ...]
    routes: tuple[CloudRoute, ...]
    transit: bool = False
    """Its router forwards from one peering to another, which it otherwise does not."""


@dataclass(frozen=True, slots=True)
class CloudPeering:
    """Two VPCs that reach each other; ``delay_ns`` is one-way."""

    name: str
    first: str
    second: str
    delay_ns: int
    bandwidth_bps: int
    dns_sync: bool


@dataclass(frozen=True, slots=True)
class CloudGateway:
    """The cloud's end of a dedicated line: which VPC it serves, and its side of the link."""

    name: str
    uplink: str
    vpc: str
    address: IPv4Interface
    vlan: int
    local_cidrs: tuple[IPv4Network, ...]
    """What the gateway announces or routes to the site: its VPC and the VPCs peered with it."""
    physical_line: str | None
    router: str | None
    """The Fabric's router that stands for it; None where there is none."""


@dataclass(frozen=True, slots=True)
class CloudInstance:
    """A virtual machine with a fixed address in one subnet."""

    name: str
    subnet: str
    address: IPv4Interface


@dataclass(frozen=True, slots=True)
class CloudSharedAddress:
    """An address of a subnet that one of several instances holds at a time; they agree between them which."""

    name: str
    subnet: str
    address: IPv4Address
    instances: tuple[str, ...]
    """Who may hold it, the preferred one first."""


@dataclass(frozen=True, slots=True)
class CloudListener:
    """A port of a load balancer over TCP, and who may connect to it."""

    name: str
    port: int
    backend_port: int
    clients: tuple[IPv4Network, ...]


@dataclass(frozen=True, slots=True)
class CloudLoadBalancer:
    """An address of a subnet whose connections are spread over instances that answer, evenly."""

    name: str
    subnet: str
    address: IPv4Address
    instances: tuple[str, ...]
    listeners: tuple[CloudListener, ...]


@dataclass(frozen=True, slots=True)
class CloudState:
    """Everything that the plan's regions hold, each tuple sorted by name."""

    vpcs: tuple[CloudVpc, ...]
    peerings: tuple[CloudPeering, ...]
    gateways: tuple[CloudGateway, ...]
    instances: tuple[CloudInstance, ...]
    regions: tuple[CloudRegion, ...] = ()
    shared_addresses: tuple[CloudSharedAddress, ...] = ()
    load_balancers: tuple[CloudLoadBalancer, ...] = ()
