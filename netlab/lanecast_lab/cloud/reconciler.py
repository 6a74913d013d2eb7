"""Turns a ``CloudState`` into namespaces, routes and links: a router a VPC, and every instance in its subnet.

VPC routers are plain Linux routers without multicast, as a cloud's are. Peering is not transitive: a router has a route
to the VPCs that it is peered with, and to nothing behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from lanecast.cloud_state import CloudGateway, CloudInstance, CloudPeering, CloudState, CloudVpc
from lanecast.compiler.cloud import TRANSFER_POOL, transfer_links
from lanecast.plan.layout import link_ends
from lanecast_lab.node import Node, hold_namespace, prepare
from lanecast_lab.wires import End, Wire

INSTANCE_INTERFACE = "eth0"


@dataclass(slots=True)
class CloudNodes:
    """What the reconciler made: a node a VPC router and instance, and the links that still have to be connected."""

    vpcs: dict[str, Node] = field(default_factory=dict)
    instances: dict[str, Node] = field(default_factory=dict)
    wires: list[Wire] = field(default_factory=list)

    def nodes(self) -> list[Node]:
        """Every node of the cloud."""
        return [*self.vpcs.values(), *self.instances.values()]


def node_name(vpc: str) -> str:
    """The lab's name of a VPC's router: the VPC's own."""
    return vpc


def build(state: CloudState, gateways: dict[str, Node], directory: Path) -> CloudNodes:
    """Make the namespaces of VPC routers and instances, and describe the links between them.

    ``gateways`` are the nodes of the dedicated-line gateways, by name. After the links are connected, ``configure``
    gives them addresses and routes.
    """
    made = CloudNodes()
    for vpc in state.vpcs:
        made.vpcs[vpc.name] = hold_namespace(vpc.name, directory / vpc.name)
    for instance in state.instances:
        made.instances[instance.name] = hold_namespace(instance.name, directory / instance.name)
    for node in made.nodes():
        prepare(node)
    made.wires += [_instance_wire(made, instance) for instance in state.instances]
    for network, peering in zip(_peering_networks(state), state.peerings, strict=False):
        made.wires.append(_peering_wire(made, peering, network))
    transfers = transfer_links(state.gateways)
    for gateway in state.gateways:
        made.wires.append(_gateway_wire(made, gateway, gateways[gateway.name], transfers[gateway.name]))
    return made


def _peering_networks(state: CloudState) -> list[IPv4Network]:
    """Link-local networks for peerings, from the far end of the pool that gateways take theirs from."""
    networks = list(TRANSFER_POOL.subnets(new_prefix=30))
    return networks[-1 : -1 - len(state.peerings) : -1]


def _instance_wire(made: CloudNodes, instance: CloudInstance) -> Wire:
    vpc = made.vpcs[instance.subnet.rpartition(".")[0]]
    inside = End(made.instances[instance.name], INSTANCE_INTERFACE, str(instance.address.ip))
    return Wire(f"{instance.name}", End(vpc, _instance_port(instance), ""), inside, 0)


def _instance_port(instance: CloudInstance) -> str:
    """The VPC router's interface towards an instance; its number is that of the instance's address."""
    return f"i{int(instance.address.ip):x}"


def _peering_port(peering: CloudPeering, network: IPv4Network) -> str:
    return f"p{int(network.network_address):x}"


def _peering_wire(made: CloudNodes, peering: CloudPeering, network: IPv4Network) -> Wire:
    first, second = link_ends(network)
    port = _peering_port(peering, network)
    return Wire(
        peering.name,
        End(made.vpcs[peering.first], port, str(first)),
        End(made.vpcs[peering.second], port, str(second)),
        peering.delay_ns,
    )


def _gateway_port(network: IPv4Network) -> str:
    return f"g{int(network.network_address):x}"


def _gateway_wire(made: CloudNodes, gateway: CloudGateway, node: Node, network: IPv4Network) -> Wire:
    vpc_side, gateway_side = link_ends(network)
    return Wire(
        f"{gateway.name}-vpc",
        End(made.vpcs[gateway.vpc], _gateway_port(network), str(vpc_side)),
        End(node, "vpc", str(gateway_side)),
        0,
    )


def configure(state: CloudState, made: CloudNodes) -> None:
    """Give VPC routers and instances their addresses and routes, once their links are connected."""
    peerings = dict(zip((p.name for p in state.peerings), _peering_networks(state), strict=False))
    transfers = transfer_links(state.gateways)
    for vpc in state.vpcs:
        node = made.vpcs[vpc.name]
        node.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
        node.write_batch(_vpc_commands(state, vpc, peerings, transfers))
    for instance in state.instances:
        gateway = next(s.gateway for v in state.vpcs for s in v.subnets if s.name == instance.subnet)
        made.instances[instance.name].write_batch(
            [
                f"address add {instance.address} dev {INSTANCE_INTERFACE}",
                f"link set {INSTANCE_INTERFACE} up",
                f"route add default via {gateway}",
            ]
        )


def _vpc_commands(
    state: CloudState, vpc: CloudVpc, peerings: dict[str, IPv4Network], transfers: dict[str, IPv4Network]
) -> list[str]:
    """A VPC router: one bridge a subnet with its instances' ports, links to peers and gateways, and its routes."""
    lines = []
    for index, subnet in enumerate(vpc.subnets):
        bridge = f"subnet{index}"
        lines += [
            f"link add {bridge} type bridge",
            f"address add {subnet.gateway}/{subnet.cidr.prefixlen} dev {bridge}",
            f"link set {bridge} up",
        ]
        for instance in state.instances:
            if instance.subnet == subnet.name:
                port = _instance_port(instance)
                lines += [f"link set {port} master {bridge}", f"link set {port} up"]
    next_hops = {}
    for peering in state.peerings:
        if vpc.name in (peering.first, peering.second):
            network = peerings[peering.name]
            own, other = link_ends(network) if vpc.name == peering.first else reversed(link_ends(network))
            lines += _link_up(_peering_port(peering, network), f"{own}/30")
            next_hops[peering.name] = str(other)
    for gateway in state.gateways:
        if gateway.vpc == vpc.name:
            vpc_side, gateway_side = link_ends(transfers[gateway.name])
            lines += _link_up(_gateway_port(transfers[gateway.name]), f"{vpc_side}/30")
            next_hops[gateway.name] = str(gateway_side)
    lines += [f"route add {route.prefix} via {next_hops[route.target]}" for route in vpc.routes]
    return lines


def _link_up(port: str, address: str) -> list[str]:
    return [f"address add {address} dev {port}", f"link set {port} up"]
