"""The Fabric as namespaces and links: Mininet for the sites and exchanges, joined to the cloud's side."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge

from lanecast.fabric import (
    IN_THE_CLOUD,
    Fabric,
    Link,
    LinkKind,
    Segment,
)
from lanecast.router import (
    Router,
    RouterRole,
)
from lanecast_lab.cloud.side import CloudSide
from lanecast_lab.node import Node, prepare, run
from lanecast_lab.wires import DelayLine, End, Wire, connect

# Mininet would otherwise write machine-wide limits when its first network is made.
Mininet.inited = True


@dataclass(slots=True)
class Topology:
    """Everything that was built."""

    fabric: Fabric
    directory: Path
    mininet: Mininet
    cloud: CloudSide
    nodes: dict[str, Node] = field(default_factory=dict)
    bridges: dict[str, str] = field(default_factory=dict)
    """The Linux bridge of each segment, by the segment's name."""
    bridge_ports: dict[tuple[str, str], str] = field(default_factory=dict)
    """The bridge's port towards (node, interface)."""
    wires: list[Wire] = field(default_factory=list)
    delay_line: DelayLine | None = None

    def router_nodes(self) -> list[tuple[Router, Node]]:
        """Every router with its node."""
        return [(router, self.nodes[router.name]) for router in self.fabric.routers]

    def delayed(self) -> list[Wire]:
        """The links that take their time, the cloud's own among them."""
        return [wire for wire in self.wires if wire.delay_ns] + self.cloud.delayed()


def build(fabric: Fabric, cloud: CloudSide, directory: Path) -> Topology:
    """Build the sites and exchanges of ``fabric`` and join them to ``cloud``; nodes get folders in ``directory``."""
    setLogLevel("error")
    mininet = Mininet(topo=None, controller=None, switch=LinuxBridge, build=False, waitConnected=False)
    topology = Topology(fabric, directory, mininet, cloud)
    _add_mininet_nodes(topology)
    _add_segments(topology)
    mininet.build()
    for switch in mininet.switches:
        switch.start([])
    _configure_bridges(topology)
    topology.nodes |= {node.name: node for node in cloud.nodes(directory)}
    topology.wires = [_wire(topology, link) for link in fabric.links]
    connect(topology.wires)
    topology.delay_line = DelayLine(topology.wires)
    cloud.configure()
    return topology


def _add_mininet_nodes(topology: Topology) -> None:
    names = [router.name for router in topology.fabric.routers if router.role is not RouterRole.GATEWAY]
    names += [host.name for host in topology.fabric.hosts if host.role not in IN_THE_CLOUD]
    for name in names:
        host = topology.mininet.addHost(name, ip=None)
        directory = topology.directory / name
        directory.mkdir(parents=True, exist_ok=True)
        node = Node(name, host.pid, directory)
        prepare(node)
        topology.nodes[name] = node


def _add_segments(topology: Topology) -> None:
    for index, segment in enumerate(topology.fabric.segments):
        name = f"sw{index}"
        switch = topology.mininet.addSwitch(name, dpid=f"{index + 1:016x}")
        topology.bridges[segment.name] = name
        for port, (node, interface) in enumerate(segment.attachments):
            outer = f"{name}-eth{port}"
            topology.bridge_ports[node, interface] = outer
            topology.mininet.addLink(
                topology.mininet.get(node), switch, intfName1=interface, intfName2=outer, params1={"ip": None}
            )


def _configure_bridges(topology: Topology) -> None:
    """Snoop on multicast segments (IGMPv3) and keep a firewall's bridge hooks away from frames."""
    for table in ("iptables", "ip6tables", "arptables"):
        hook = Path(f"/proc/sys/net/bridge/bridge-nf-call-{table}")
        if hook.exists():
            hook.write_text("0\n")
    lines = [_bridge_command(topology, segment) for segment in topology.fabric.segments]
    run(["ip", "-batch", "-"], where="bridges", stdin="".join(f"{line}\n" for line in lines))


def _bridge_command(topology: Topology, segment: Segment) -> str:
    snooping = "mcast_snooping 1 mcast_igmp_version 3" if segment.multicast else "mcast_snooping 0"
    return f"link set {topology.bridges[segment.name]} type bridge {snooping}"


def _wire(topology: Topology, link: Link) -> Wire:
    addresses = {
        (node.name, interface.name): interface.addresses[0].ip
        for node in topology.fabric.nodes()
        for interface in node.interfaces
    }
    inner, outer = link.ends
    first = _end(topology, inner, addresses[inner])
    if link.kind is LinkKind.UPLINK:
        return Wire(link.name, first, topology.cloud.uplink_end(link, str(addresses[outer])), link.delay_ns)
    return Wire(link.name, first, _end(topology, outer, addresses[outer]), link.delay_ns)


def _end(topology: Topology, end: tuple[str, str], address: IPv4Address) -> End:
    node, interface = end
    return End(topology.nodes[node], interface, str(address))
