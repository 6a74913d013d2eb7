"""A topology for containerlab: the plan's whole network, for who has the vendors' images.

Every node takes its files from the folders beside the topology, unmodified. What a container does not do by itself,
``exec`` does as the box's own services would: kernel settings, networkd's interfaces, the packet filter. Switches and
the cloud's VPCs are containers with bridges and routes; circuits and uplinks are tagged at both ends.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

from lanecast.fabric import Fabric, Host, Segment
from lanecast.plan.layout import short_interface_name
from lanecast.plan.model import Platform
from lanecast.router import INSTANCE_INTERFACE, InterfaceKind, Router, Vlan
from lanecast_templates import cloud_as_linux
from lanecast_templates.formats.containerlab_kinds import KINDS
from lanecast_templates.formats.handed_over import HandedOver
from lanecast_templates.networkd_files import is_networkd_file, read_files
from lanecast_templates.renderer import RenderedFile, header, node_folder

NODE_IMAGE = "${LANECAST_NODE_IMAGE:=lanecast-node}"
RELAY_IMAGE = "${LANECAST_RELAY_IMAGE:=lanecast-relay}"

SETTINGS = "etc/sysctl.d/60-lanecast.conf"
FILTER = "etc/nftables.conf"
FRR = "etc/frr/frr.conf"
RELAY = "etc/lanecast/relay.yaml"
USED = (SETTINGS, FILTER, FRR, "etc/frr/daemons", "etc/frr/vtysh.conf", RELAY)
"""What a container reads of its node's files."""

COMMANDS_FILE = "/config/lanecast.conf"
"""Where an image finds a configuration that it does not start with."""

START_RELAY = f"lanecast-relay run /{RELAY} >/var/log/lanecast-relay.log 2>&1 &"

ABOUT = """\
# Images: {node} is Linux with FRR 8.4, ip, sysctl and nft; {relay} has the relay besides. A
# variable of the shell names another one, for the vendors' images too. Not emulated: delays, bandwidths, machine-wide
# kernel settings, and traffic of the exchanges.
"""

End = tuple[str, str]
"""A node of the topology and its port there."""


@dataclass(slots=True)
class _Topology:
    """What is put together."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    wires: list[tuple[End, End]] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    """In the order in which they came, each once."""

    def linux(self, name: str, image: str = NODE_IMAGE) -> list[str]:
        """Add a Linux container; return the commands that it is to run, to add to."""
        commands: list[str] = []
        self.nodes[name] = {
            "kind": "linux",
            "image": image,
            # Its own network alone: a way around by a management network would show what the plan does not have.
            "network-mode": "none",
            "cmd": "sleep infinity",
            "exec": commands,
        }
        return commands


def containerlab_topology(fabric: Fabric, files: Sequence[RenderedFile]) -> HandedOver:
    """Return ``files`` and the topology over them."""
    made = _Topology()
    for node in fabric.nodes():
        own = {
            str(file.path.relative_to(node_folder(node))): file
            for file in files
            if file.path.is_relative_to(node_folder(node))
        }
        if isinstance(node, Router) and node.platform is not Platform.FRR:
            _vendor_router(made, node, own)
        else:
            _linux_node(made, fabric, node, own)
    _vpcs(made, fabric)
    _switches(made, fabric)
    _lines(made, fabric)
    for link in cloud_as_linux.links(fabric.cloud):
        made.wires.append(((link.first.node, link.first.interface), (link.second.node, link.second.interface)))
    _share_ports(made)
    notes = tuple(made.notes)
    return HandedOver((*files, RenderedFile(PurePosixPath(f"{fabric.name}.clab.yml"), _text(fabric, made))), notes)


def _text(fabric: Fabric, made: _Topology) -> str:
    for node in made.nodes.values():
        if not node.get("exec", True):
            del node["exec"]
    links = [
        {"endpoints": [f"{first[0]}:{first[1]}", f"{second[0]}:{second[1]}"]}
        for first, second in made.wires
        if first[0] in made.nodes and second[0] in made.nodes
    ]
    topology = {"name": fabric.name, "topology": {"nodes": dict(sorted(made.nodes.items())), "links": links}}
    about = ABOUT.format(node=_default(NODE_IMAGE), relay=_default(RELAY_IMAGE))
    told = "".join(f"# Note: {note}\n" for note in made.notes)
    return f"# {header(fabric)}\n{about}{told}{yaml.safe_dump(topology, sort_keys=False, width=1000)}"


def _default(image: str) -> str:
    return image.partition(":=")[2].removesuffix("}")


def _vendor_router(made: _Topology, router: Router, own: dict[str, RenderedFile]) -> None:
    """A router of a vendor, by its image; a note where containerlab has none that takes its configuration."""
    kind = KINDS.get(router.platform)
    if kind is None:
        made.notes[f"{router.name} is left out: containerlab has no {router.platform}"] = None
        return
    unfit = sorted(port for port in _ports(router) if kind.container_port(port) is None)
    if unfit:
        made.notes[
            f"{router.name} is left out: {kind.name} has no port {', '.join(unfit)}; its first is {kind.example}"
        ] = None
        return
    [configuration] = own.values()
    node: dict[str, Any] = {"kind": kind.name, "image": f"${{{kind.variable}:={kind.image}}}"}
    if kind.starts_with:
        node["startup-config"] = str(configuration.path)
    else:
        node["binds"] = [f"{configuration.path}:{COMMANDS_FILE}:ro"]
        made.notes[f"{router.name} starts without a configuration: load {COMMANDS_FILE} in its configuration mode"] = (
            None
        )
    made.nodes[router.name] = node


def _ports(router: Router) -> set[str]:
    """The ports that something is plugged into."""
    inside = (InterfaceKind.VLAN_INTERFACE, InterfaceKind.LOOPBACK)
    routed = {each.parent or each.name for each in router.interfaces if each.kind not in inside}
    return routed | {port for vlan in router.vlans for port in vlan.ports}


def _linux_node(made: _Topology, fabric: Fabric, node: Router | Host, own: dict[str, RenderedFile]) -> None:
    """A Linux box with what its files say."""
    commands = made.linux(node.name, RELAY_IMAGE if RELAY in own else NODE_IMAGE)
    binds = [f"{own[name].path}:/{name}:ro" for name in USED if name in own]
    if binds:
        made.nodes[node.name]["binds"] = binds
    instances = {instance.name: instance for instance in fabric.cloud.instances}
    if node.name in instances:
        commands += _ip(cloud_as_linux.instance_commands(fabric.cloud, instances[node.name]))
    commands += _ip(_shared_commands(fabric, node.name))
    if isinstance(node, Host) and node.nat is not None:
        made.notes[f"{node.name} stands in for no other instance: the images have no keepalived"] = None
    commands += _ip(_tagged_commands(fabric, node.name))
    networkd = read_files({name: file.text for name, file in own.items() if is_networkd_file(name)})
    for each in networkd.vlans:
        commands += _ip(each.commands())
    for link in networkd.links:
        commands += _ip(link.commands())
    if SETTINGS in own:
        commands.append(f"sysctl -q -p /{SETTINGS}")
    if FILTER in own:
        commands.append(f"nft -f /{FILTER}")
    if FRR in own:
        commands.append("/usr/lib/frr/frrinit.sh start")
    if RELAY in own:
        commands += ["mkdir -p /run/lanecast-relay /var/lib/lanecast-relay", f"sh -c '{START_RELAY}'"]


def _ip(lines: Iterator[str]) -> Iterator[str]:
    yield from (f"ip {line}" for line in lines)


def _shared_commands(fabric: Fabric, node: str) -> Iterator[str]:
    """The addresses of a bridge that an instance is the first to hold."""
    for shared in fabric.cloud.shared_addresses:
        if shared.instances[0] == node:
            yield f"address add {shared.address}/32 dev {INSTANCE_INTERFACE}"


def _tagged_links(fabric: Fabric) -> Iterator[tuple[End, End, int | None]]:
    """Each link's ends, the site's first, and the VLAN that the site's end has it in."""
    interfaces = {(node.name, port.name): port for node in fabric.nodes() for port in node.interfaces}
    for link in fabric.links:
        first, second = sorted(link.ends, key=lambda end: interfaces[end].vlan is None)
        yield first, second, interfaces[first].vlan


def _trunk(interface: str) -> str:
    """The port that carries the VLAN of an interface that has it as a whole in the plan: an exchange's or a cloud's."""
    return short_interface_name(f"{interface}-trunk")


def _tagged_commands(fabric: Fabric, node: str) -> Iterator[str]:
    """The VLANs at the far ends of circuits and uplinks."""
    for _, (far, interface), vlan in _tagged_links(fabric):
        if far == node and vlan is not None:
            yield f"link add link {_trunk(interface)} name {interface} type vlan id {vlan}"
            yield f"link set dev {interface} up"


def _lines(made: _Topology, fabric: Fabric) -> None:
    """Circuits, uplinks and exchanges' own links."""
    parents = {(node.name, port.name): port.parent for node in fabric.nodes() for port in node.interfaces}
    for near, far, vlan in _tagged_links(fabric):
        port = _plugged(made, fabric, near[0], parents[near] or near[1])
        if port is not None:
            made.wires.append(((near[0], port), (far[0], far[1] if vlan is None else _trunk(far[1]))))


def _plugged(made: _Topology, fabric: Fabric, node: str, port: str) -> str | None:
    """What containerlab calls a port of a node; None where the node is left out."""
    if node not in made.nodes:
        return None
    router = next((router for router in fabric.routers if router.name == node), None)
    if router is None or router.platform is Platform.FRR:
        return port
    return KINDS[router.platform].container_port(port)


def _switches(made: _Topology, fabric: Fabric) -> None:
    """A container a switch, a bridge a segment; multicast is snooped, as the plan's switches do."""
    bridges: Counter[str] = Counter()
    commands: dict[str, list[str]] = {}
    switched = {(router.name, vlan.interface): vlan for router in fabric.routers for vlan in router.vlans}
    for segment in fabric.segments:
        if segment.attachments[0] in switched:
            _plug_into_router(made, fabric, segment, switched[segment.attachments[0]])
            continue
        if segment.switch not in commands:
            commands[segment.switch] = made.linux(segment.switch)
        bridge = f"segment{bridges[segment.switch]}"
        bridges[segment.switch] += 1
        snooping = "mcast_snooping 1 mcast_igmp_version 3" if segment.multicast else "mcast_snooping 0"
        commands[segment.switch] += [f"ip link add {bridge} type bridge {snooping}", f"ip link set {bridge} up"]
        for index, (node, interface) in enumerate(segment.attachments):
            port = f"{bridge}-{index}"
            plugged = _plugged(made, fabric, node, interface)
            if plugged is not None:
                made.wires.append(((segment.switch, port), (node, plugged)))
                commands[segment.switch] += [f"ip link set {port} master {bridge}", f"ip link set {port} up"]


def _plug_into_router(made: _Topology, fabric: Fabric, segment: Segment, vlan: Vlan) -> None:
    """A segment that the router itself switches: each host on an access port of its own."""
    (router, _), *hosts = segment.attachments
    if len(hosts) > len(vlan.ports):
        made.notes[f"{router} has {len(vlan.ports)} access ports in VLAN {vlan.id} for {len(hosts)} hosts"] = None
    for host, port in zip(hosts, vlan.ports, strict=False):
        plugged = _plugged(made, fabric, router, port)
        if plugged is not None:
            made.wires.append(((router, plugged), host))


def _vpcs(made: _Topology, fabric: Fabric) -> None:
    """A router a VPC."""
    for vpc in fabric.cloud.vpcs:
        commands = made.linux(vpc.name)
        commands.append(f"sysctl -q -w {' '.join(cloud_as_linux.FORWARDING)}")
        commands += _ip(cloud_as_linux.vpc_commands(fabric.cloud, vpc))


def _share_ports(made: _Topology) -> None:
    """Where several links are VLANs of one port, a switch of the line's provider stands between."""
    users: dict[End, list[int]] = defaultdict(list)
    for index, wire in enumerate(made.wires):
        for end in wire:
            users[end].append(index)
    for end, shared in users.items():
        if len(shared) == 1:
            continue
        node, port = end
        switch = f"{node}-{port}-lines"
        commands = made.linux(switch)
        commands += ["ip link add lines type bridge mcast_snooping 0", "ip link set lines up"]
        made.wires.append((end, (switch, "line0")))
        for number, index in enumerate(shared, start=1):
            first, second = made.wires[index]
            made.wires[index] = ((switch, f"line{number}"), second if first == end else first)
        for number in range(len(shared) + 1):
            commands += [f"ip link set line{number} master lines", f"ip link set line{number} up"]
