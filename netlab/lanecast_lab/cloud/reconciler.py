"""Turns a ``CloudState`` into namespaces, routes and links, as ``lanecast_templates.cloud_as_linux`` describes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lanecast.cloud_state import CloudState
from lanecast_lab.node import Node, hold_namespace, prepare
from lanecast_lab.wires import End, Wire
from lanecast_templates import cloud_as_linux
from lanecast_templates.cloud_as_linux import CloudEnd


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
    nodes = made.vpcs | made.instances | gateways
    for link in cloud_as_linux.links(state):
        made.wires.append(Wire(link.name, _end(nodes, link.first), _end(nodes, link.second), link.delay_ns))
    return made


def _end(nodes: dict[str, Node], end: CloudEnd) -> End:
    return End(nodes[end.node], end.interface, "" if end.address is None else str(end.address))


def configure(state: CloudState, made: CloudNodes) -> None:
    """Give VPC routers and instances their addresses and routes, once their links are connected."""
    for vpc in state.vpcs:
        made.vpcs[vpc.name].run("sysctl", "-q", "-w", *cloud_as_linux.FORWARDING)
        made.vpcs[vpc.name].write_batch(list(cloud_as_linux.vpc_commands(state, vpc)))
    for instance in state.instances:
        made.instances[instance.name].write_batch(list(cloud_as_linux.instance_commands(state, instance)))
