"""A description while its parts are written. Parts add nodes and links, and join them to VPC routers and subnets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.model import (
    WITHOUT_IPV6,
    Description,
    End,
    Hop,
    Interface,
    Link,
    Node,
    PolicyRule,
    Program,
    Route,
    hardware_address,
    port_name,
    station_of,
)
from lanecast_lab.cloud.data_plane.snapshot import Snapshot

NEXT_ROUTER = "192.0.0.8"
"""What routes over a routed link name as their next hop, at either end: the hardware address behind it is given. Nobody
has it (RFC 7600: the IPv4 dummy address)."""

TO_VPC = "vpc"
"""The interface by which a gateway's node reaches its VPC's router."""

WIRE_ENDS = ("first", "second")

TO_SUBNET = "eth0"
"""The interface by which a node is in a subnet."""


def gateway_of(subnet: Resource) -> str:
    """[assumed] The address behind the network's own is the router's."""
    return str(IPv4Network(subnet.body["cidr"])[1])


def subnet_port(subnet_id: str) -> str:
    """The interface of a VPC's router towards a subnet."""
    return port_name("s", subnet_id)


def vlan_bridge(vlan: int) -> str:
    """The bridge of a VLAN in a physical line's patch panel."""
    return f"vlan{vlan}"


@dataclass(slots=True)
class SubnetPort:
    """Something that has addresses in a subnet, as the subnet's switch sees it.

    ``sources``: networks that it may send from, its own addresses (``10.0.1.5/32``) among them. ``groups``: the
    security groups whose rules hold for it; None: no such rules, as for the cloud's own parts.
    """

    key: str
    name: str
    mac: str
    addresses: tuple[str, ...]
    sources: tuple[str, ...]
    groups: tuple[str, ...] | None
    up: bool


@dataclass(slots=True)
class SubnetDraft:
    """A subnet's switch so far."""

    resource: Resource
    ports: list[SubnetPort] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)
    """nftables of other parts; ``bridge ports`` and ``ip groups`` are the switch's own."""


@dataclass(slots=True)
class VpcDraft:
    """A VPC's router so far."""

    resource: Resource
    subnets: list[SubnetDraft] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)
    next_hops: dict[str, Hop] = field(default_factory=dict)
    """Where packets for a resource go that route rules can name, by its id. What is not here is a black hole."""
    own_ways_out: dict[str, Hop] = field(default_factory=dict)
    """Addresses that go another way than the default route's rules say, and which."""
    peering_ports: list[str] = field(default_factory=list)
    """The router's interfaces towards peerings: what comes in by one leaves by none, unless the VPC is a relay."""
    routes: list[Route] = field(default_factory=list)
    """Beside those of route rules. Those of the main table go before all rules."""
    rules: list[PolicyRule] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)
    """nftables of other parts; ``inet access`` is the router's own."""


@dataclass(slots=True)
class LineDraft:
    """A physical line's patch panel so far."""

    resource: Resource
    ports: list[tuple[int, Interface]] = field(default_factory=list)
    """Each with the VLAN that it is in."""


class Draft:
    """Everything so far."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.nodes: dict[str, Node] = {}
        self.links: dict[str, Link] = {}
        self.vpcs = {vpc.key: VpcDraft(vpc) for vpc in snapshot.of("vpc")}
        self.lines = {line.key: LineDraft(line) for line in snapshot.of("et-line")}
        self.subnets: dict[str, SubnetDraft] = {}
        for subnet in snapshot.of("subnet"):
            draft = self.subnets[subnet.key] = SubnetDraft(subnet)
            self.vpcs[subnet.parent or ""].subnets.append(draft)

    def add(self, node: Node) -> None:
        """Add a node; its key is new."""
        if node.key in self.nodes:
            raise ValueError(f"node {node.key} is there already")
        self.nodes[node.key] = node

    def link(self, key: str, first: tuple[str, str], second: tuple[str, str]) -> None:
        """Add a link between (node, interface) and another; both interfaces are in the nodes' own lists."""
        if key in self.links:
            raise ValueError(f"link {key} is there already")
        self.links[key] = Link(key, End(*first), End(*second))

    def delayed_link(self, wire: Node, first: tuple[str, str], second: tuple[str, str], delay_ns: int) -> None:
        """Add a link with a one-way delay, carried by a node of its own; both interfaces have to be ``plain``.

        ``wire`` says how that node is called.
        """
        command = ("lanecast-wire", "delay", "--pair", f"{wire.key},{WIRE_ENDS[0]},{WIRE_ENDS[1]},{delay_ns}")
        self.add(
            replace(
                wire,
                interfaces=tuple(Interface(end) for end in WIRE_ENDS),
                sysctls=WITHOUT_IPV6,
                programs=(Program("wire", command, ready='"ready"'),),
            )
        )
        for end, other in zip(WIRE_ENDS, (first, second), strict=True):
            self.link(f"{wire.key}:{end}", (wire.key, end), other)

    def join_router(
        self, vpc_id: str, node: str, prefix: str, up: bool = True, interface: str = TO_VPC
    ) -> tuple[Interface, Interface]:
        """Link a node to its VPC's router; returns the router's new interface and the one for the node.

        Either end routes with ``Hop(its interface's name, NEXT_ROUTER)``; neither has an address. The router's is named
        by ``prefix`` and the node's key. So that route rules lead there, set ``vpcs[vpc_id].next_hops[node]``.
        """
        outside, inside = hardware_address(node, interface, "router"), hardware_address(node, interface)
        router = Interface(port_name(prefix, node), mac=outside, up=up, neighbors=((NEXT_ROUTER, inside),))
        own = Interface(interface, mac=inside, neighbors=((NEXT_ROUTER, outside),))
        self.vpcs[vpc_id].interfaces.append(router)
        self.link(f"{node}:{interface}", (vpc_id, router.name), (node, own.name))
        return router, own

    def join_subnet(
        self,
        subnet_id: str,
        node: str,
        prefix: str,
        addresses: tuple[str, ...],
        sources: tuple[str, ...] = (),
        groups: tuple[str, ...] | None = None,
        up: bool = True,
        interface: str = TO_SUBNET,
    ) -> Interface:
        """Put a node into a subnet with these plain addresses; returns the interface for the node, the link is there.

        The node needs a default route by ``Hop(interface, gateway_of(subnet))``.
        """
        subnet = self.subnets[subnet_id]
        mac = station_of(subnet_id, addresses[0]) if addresses else hardware_address(node, interface)
        port = SubnetPort(
            key=node,
            name=port_name(prefix, node),
            mac=mac,
            addresses=addresses,
            sources=(*(f"{address}/32" for address in addresses), *sources),
            groups=groups,
            up=up,
        )
        subnet.ports.append(port)
        length = subnet.resource.body["cidr"].partition("/")[2]
        self.link(f"{node}:{interface}", (subnet_id, port.name), (node, interface))
        return Interface(interface, tuple(f"{address}/{length}" for address in addresses), mac)

    def join_line(self, line_id: str, vlan: int, node: str, interface: str, up: bool = True) -> None:
        """Link a node's interface to a VLAN of a physical line."""
        port = Interface(port_name("c", node), up=up, master=vlan_bridge(vlan))
        self.lines[line_id].ports.append((vlan, port))
        self.link(f"{node}:{interface}", (line_id, port.name), (node, interface))

    def description(self) -> Description:
        """What the parts have written."""
        return Description(self.nodes, self.links)
