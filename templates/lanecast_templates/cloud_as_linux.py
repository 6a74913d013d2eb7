"""A cloud as Linux routers: what stands for a VPC, its peerings and gateways where the cloud itself is not there.

The containerlab topology has a node a VPC router and instance, and wires them as this says. VPC routers are
plain Linux routers without multicast, as a cloud's are. Peering is not transitive: what comes by one peering leaves by
no other, whatever the routes say, unless the VPC is told to forward (transit).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lanecast.cloud_state import CloudGateway, CloudInstance, CloudState, CloudVpc
from lanecast.compiler.cloud import GATEWAY_VPC_INTERFACE, TRANSFER_POOL, transfer_links
from lanecast.plan.layout import link_ends
from lanecast.router import INSTANCE_INTERFACE

FORWARDING = ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
"""Kernel settings of a VPC router."""


@dataclass(frozen=True, slots=True)
class CloudEnd:
    """One end of a link in the cloud; ``address`` is None where it only carries a bridge's."""

    node: str
    interface: str
    address: IPv4Address | None


@dataclass(frozen=True, slots=True)
class CloudLink:
    """A link between nodes of the cloud; ``delay_ns`` is one-way."""

    name: str
    first: CloudEnd
    second: CloudEnd
    delay_ns: int


def links(state: CloudState) -> Iterator[CloudLink]:
    """Instances to their VPCs' routers, peerings between these, and gateways to them."""
    for instance in state.instances:
        vpc = instance.subnet.rpartition(".")[0]
        inside = CloudEnd(instance.name, INSTANCE_INTERFACE, instance.address.ip)
        yield CloudLink(instance.name, CloudEnd(vpc, _instance_port(instance), None), inside, 0)
    for peering, network in zip(state.peerings, _peering_networks(state).values(), strict=True):
        ends = zip((peering.first, peering.second), link_ends(network), strict=True)
        first, second = (CloudEnd(vpc, _port("p", network), address) for vpc, address in ends)
        yield CloudLink(peering.name, first, second, peering.delay_ns)
    for gateway, network in _transfers(state):
        vpc_side, gateway_side = link_ends(network)
        yield CloudLink(
            f"{gateway.name}-vpc",
            CloudEnd(gateway.vpc, _port("g", network), vpc_side),
            CloudEnd(gateway.name, GATEWAY_VPC_INTERFACE, gateway_side),
            0,
        )


def vpc_commands(state: CloudState, vpc: CloudVpc) -> Iterator[str]:
    """A VPC router's lines for ``ip -batch``: a bridge a subnet with its instances' ports, its links, its routes."""
    for index, subnet in enumerate(vpc.subnets):
        bridge = f"subnet{index}"
        yield f"link add {bridge} type bridge"
        yield f"address add {subnet.gateway}/{subnet.cidr.prefixlen} dev {bridge}"
        yield f"link set {bridge} up"
        for instance in state.instances:
            if instance.subnet == subnet.name:
                port = _instance_port(instance)
                yield f"link set {port} master {bridge}"
                yield f"link set {port} up"
    next_hops: dict[str, IPv4Address] = {}
    for target, port, own, other in _routed_links(state, vpc):
        yield f"address add {own}/{TRANSFER_PREFIX} dev {port}"
        yield f"link set {port} up"
        next_hops[target] = other
    for route in vpc.routes:
        yield f"route add {route.prefix} via {next_hops[route.target]}"
    if not vpc.transit:
        yield from _no_transit(state, vpc, next_hops)


def _no_transit(state: CloudState, vpc: CloudVpc, next_hops: Mapping[str, IPv4Address]) -> Iterator[str]:
    """What comes by a peering gets to the VPC's own subnets and gateways, and into no other peering."""
    networks = _peering_networks(state)
    own = {peering.name for peering in state.peerings if vpc.name in (peering.first, peering.second)}
    if not own:
        return
    for index, subnet in enumerate(vpc.subnets):
        yield f"route add {subnet.cidr} dev subnet{index} table {FROM_PEERINGS}"
    for route in vpc.routes:
        if route.target not in own:
            yield f"route add {route.prefix} via {next_hops[route.target]} table {FROM_PEERINGS}"
    yield f"route add unreachable default table {FROM_PEERINGS}"
    for name in sorted(own):
        yield f"rule add iif {_port('p', networks[name])} lookup {FROM_PEERINGS}"


def instance_commands(state: CloudState, instance: CloudInstance) -> Iterator[str]:
    """What a cloud does to an instance's only interface, as lines for ``ip -batch``."""
    gateway = next(s.gateway for vpc in state.vpcs for s in vpc.subnets if s.name == instance.subnet)
    yield f"address add {instance.address} dev {INSTANCE_INTERFACE}"
    yield f"link set {INSTANCE_INTERFACE} up"
    yield f"route add default via {gateway}"


TRANSFER_PREFIX = 30

FROM_PEERINGS = 100
"""The routing table of a VPC router for what comes by a peering."""


def _routed_links(state: CloudState, vpc: CloudVpc) -> Iterator[tuple[str, str, IPv4Address, IPv4Address]]:
    """What routes name, the port towards it, and the two addresses, the VPC's own first."""
    networks = _peering_networks(state)
    for peering in state.peerings:
        if vpc.name in (peering.first, peering.second):
            network = networks[peering.name]
            ends = link_ends(network)
            own, other = ends if vpc.name == peering.first else reversed(ends)
            yield peering.name, _port("p", network), own, other
    for gateway, network in _transfers(state):
        if gateway.vpc == vpc.name:
            yield gateway.name, _port("g", network), *link_ends(network)


def _peering_networks(state: CloudState) -> Mapping[str, IPv4Network]:
    """Link-local networks of the peerings, from the far end of the pool that gateways take theirs from."""
    networks = list(TRANSFER_POOL.subnets(new_prefix=TRANSFER_PREFIX))
    last_first = networks[-1 : -1 - len(state.peerings) : -1]
    return dict(zip((peering.name for peering in state.peerings), last_first, strict=True))


def _transfers(state: CloudState) -> Iterator[tuple[CloudGateway, IPv4Network]]:
    networks = transfer_links(state.gateways)
    for gateway in state.gateways:
        yield gateway, networks[gateway.name]


def _instance_port(instance: CloudInstance) -> str:
    """The VPC router's interface towards an instance; its number is that of the instance's address."""
    return f"i{int(instance.address.ip):x}"


def _port(kind: str, network: IPv4Network) -> str:
    return f"{kind}{int(network.network_address):x}"
