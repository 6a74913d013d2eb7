"""The Fabric as tables: nodes, links, segments, the cloud, and who receives what from where."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from lanecast.fabric import (
    Delivery,
    Fabric,
    Host,
)
from lanecast.router import Router

NANOSECONDS_PER_MS = 1_000_000
BITS_PER_MEGABIT = 1_000_000


def milliseconds(nanoseconds: int) -> str:
    """A duration in milliseconds as short as it can be written."""
    return f"{nanoseconds / NANOSECONDS_PER_MS:g} ms"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def network_tables(fabric: Fabric) -> Iterator[Table]:
    """Every table of the network, in the order in which a message travels."""
    yield _nodes(fabric)
    yield _links(fabric)
    yield _segments(fabric)
    yield _vpcs(fabric)
    if any(feed.recovery is not None for feed in fabric.feeds):
        yield _servers(fabric)
    if any(host.nat is not None for host in fabric.hosts):
        yield _translations(fabric)
    if fabric.cloud.load_balancers:
        yield _load_balancers(fabric)
    yield _deliveries(fabric)
    yield _applications(fabric)


def _nodes(fabric: Fabric) -> Table:
    table = _table("Nodes", "node", "role", "place", "interface", "addresses", "attached to")
    for node in fabric.nodes():
        for index, interface in enumerate(node.interfaces):
            who = _who(node) if index == 0 else ("", "", "")
            addresses = " ".join(str(address) for address in interface.addresses)
            table.add_row(*who, interface.name, addresses, interface.attached_to)
    return table


def _who(node: Router | Host) -> tuple[str, str, str]:
    return node.name, node.role.value, node.place


def _links(fabric: Fabric) -> Table:
    table = _table("Links", "link", "kind", "from", "to", "one way", "Mbit/s", "VLAN", "carries")
    for link in fabric.links:
        bandwidth = "" if link.bandwidth_bps is None else f"{link.bandwidth_bps / BITS_PER_MEGABIT:g}"
        ends = (f"{node} {interface}" for node, interface in link.ends)
        vlan = "" if link.vlan is None else str(link.vlan)
        table.add_row(
            link.name, link.kind.value, *ends, milliseconds(link.delay_ns), bandwidth, vlan, " ".join(link.carries)
        )
    for peering in fabric.cloud.peerings:
        bandwidth = f"{peering.bandwidth_bps / BITS_PER_MEGABIT:g}"
        table.add_row(
            peering.name, "peering", peering.first, peering.second, milliseconds(peering.delay_ns), bandwidth, "", ""
        )
    return table


def _segments(fabric: Fabric) -> Table:
    table = _table("Segments", "segment", "switch", "addresses", "snooped", "attached")
    for segment in fabric.segments:
        attached = " ".join(node for node, _ in segment.attachments)
        table.add_row(segment.name, segment.switch, str(segment.cidr), "yes" if segment.multicast else "", attached)
    return table


def _vpcs(fabric: Fabric) -> Table:
    table = _table("VPCs", "VPC", "addresses", "subnets", "routes")
    for vpc in fabric.cloud.vpcs:
        subnets = "\n".join(f"{subnet.name.rpartition('.')[2]} {subnet.cidr}" for subnet in vpc.subnets)
        routes = "\n".join(f"{route.prefix} by {route.target}" for route in vpc.routes)
        table.add_row(vpc.name, str(vpc.cidr), subnets, routes)
    return table


def _servers(fabric: Fabric) -> Table:
    table = _table("Who is asked for what no line brought", "feed", "channel", "servers in turn", "for", "again after")
    for feed in fabric.feeds:
        if feed.recovery is not None:
            times = (milliseconds(feed.recovery.wait_ns), milliseconds(feed.recovery.retry_ns))
            for channel, servers in feed.recovery.servers.items():
                table.add_row(feed.name, channel, " ".join(map(str, servers)), *times)
    return table


def _translations(fabric: Fabric) -> Table:
    """Of each bridge once: its instances all say the same."""
    table = _table("What bridges translate", "bridge", "from and to", "sent to", "arrives at", "for")
    bridges = {host.nat.bridge: host.nat for host in fabric.hosts if host.nat is not None}
    for name, bridge in sorted(bridges.items()):
        for direction in bridge.directions:
            for each in direction.translations:
                at, target = (f"{end} {each.protocol}" for end in (each.at, each.target))
                table.add_row(name, direction.name, at, target, each.purpose)
    return table


def _load_balancers(fabric: Fabric) -> Table:
    table = _table("Load balancers", "balancer", "subnet", "address", "spread over", "for")
    for each in fabric.cloud.load_balancers:
        for listener in each.listeners:
            target = f"{', '.join(each.instances)} at {listener.backend_port}"
            clients = f"{listener.name} from {', '.join(map(str, listener.clients))}"
            table.add_row(each.name, each.subnet, f"{each.address}:{listener.port} tcp", target, clients)
    return table


def _deliveries(fabric: Fabric) -> Table:
    table = _table("Who receives what from where", "instance", "feed", "from", "by", "one way", "arrives at")
    for delivery in fabric.deliveries:
        table.add_row(
            delivery.instance,
            delivery.feed,
            delivery.relay,
            " → ".join(delivery.path),
            milliseconds(delivery.delay_ns),
            _endpoints(delivery),
        )
    return table


def _endpoints(delivery: Delivery) -> str:
    return "\n".join(f"{channel}: {endpoint}" for channel, endpoint in delivery.endpoints.items())


def _applications(fabric: Fabric) -> Table:
    table = _table("Where applications read", "instance", "feed", "channel: address")
    for application in fabric.applications:
        where = "\n".join(f"{channel}: {endpoint}" for channel, endpoint in application.endpoints.items())
        table.add_row(application.instance, application.feed, where)
    return table
