"""Sites: the snooped segments and lines of their routers, and the relay hosts on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from lanecast.compiler import filters
from lanecast.compiler.context import Context
from lanecast.compiler.exchanges import link_name as circuit_link
from lanecast.compiler.journals import journal
from lanecast.compiler.kernel_settings import relay_settings
from lanecast.compiler.management import management
from lanecast.compiler.site_interfaces import circuit_interface, segment_interface, segment_name, uplink_interface
from lanecast.fabric import (
    Delivery,
    Host,
    HostRole,
    Link,
    LinkKind,
    Segment,
)
from lanecast.plan.layout import (
    SiteLayout,
    reachable_vpcs,
    uplink_router,
    vpc_cidr,
)
from lanecast.plan.model import Plan
from lanecast.router import (
    Firewall,
    FirewallRule,
    Interface,
    InterfaceRole,
    Route,
)
from lanecast_relay.config import model as relay_model
from lanecast_relay.config.quantity import nanoseconds

CONTROL_SOCKET = "/run/lanecast-relay/control.sock"

BACKUP_METRIC = 200


def site_segments(context: Context, layout: SiteLayout, hosts: list[Host]) -> Iterator[Segment]:
    """The two segments of each router: one VLAN for multicast, snooped, and one for unicast, on one switch."""
    for router in sorted(layout.site.routers):
        for purpose in ("multicast", "lan"):
            own = segment_interface(context, layout, router, purpose)
            name = segment_name(router, purpose)
            relays = [(h.name, i.name) for h in hosts for i in h.interfaces if i.attached_to == name]
            yield Segment(
                name=name,
                site=layout.name,
                switch=f"{router}-switch",
                cidr=own.address.network,
                multicast=purpose == "multicast",
                attachments=((router, own.name), *sorted(relays)),
            )


def site_links(layout: SiteLayout) -> Iterator[Link]:
    """A site's circuits and uplinks."""
    for name, circuit in sorted(layout.site.circuits.items()):
        router = layout.router_of_circuit(name)
        yield Link(
            name=name,
            kind=LinkKind.CIRCUIT,
            ends=((f"{circuit.exchange}-router", circuit_link(name)), (router, _end(layout, router, name))),
            delay_ns=circuit.delay_ns,
            bandwidth_bps=circuit.bandwidth_bps,
            vlan=circuit.vlan,
            carries=tuple(sorted(circuit.carries)),
        )
    for name, uplink in sorted(layout.site.uplinks.items()):
        router = uplink_router(layout.site, name)
        yield Link(
            name=name,
            kind=LinkKind.UPLINK,
            ends=((router, uplink_interface(layout, router, name).name), (f"{name}-gateway", circuit_link(name))),
            delay_ns=uplink.delay_ns,
            bandwidth_bps=uplink.bandwidth_bps,
            vlan=uplink.vlan,
        )


def _end(layout: SiteLayout, router: str, circuit: str) -> str:
    return circuit_interface(layout, router, circuit).name


def relay_host(context: Context, layout: SiteLayout, name: str, deliveries: list[Delivery]) -> Host:
    """A relay host: a multicast and a LAN interface towards each router of its site."""
    interfaces = tuple(
        Interface(
            layout.relay_port(name, purpose, router),
            role,
            (
                context.segment_address(
                    context.segment(layout.name, router, purpose), layout.name, f"{router}.{purpose}", name
                ),
            ),
            segment_name(router, purpose),
        )
        for router in sorted(layout.site.routers)
        for purpose, role in (("multicast", InterfaceRole.MULTICAST), ("lan", InterfaceRole.LAN))
    )
    requests_from = next(each for each in interfaces if each.role is InterfaceRole.LAN)
    relay = _relay_file(context, layout, name, deliveries, requests_from)
    return Host(
        name=name,
        role=HostRole.RELAY,
        place=layout.name,
        interfaces=interfaces,
        routes=(
            *_source_routes(context, layout, name),
            *_server_routes(context, layout, name),
            *_cloud_routes(context, layout, name),
        ),
        firewall=_relay_firewall(context, interfaces, relay),
        sysctls=relay_settings(interfaces, context.plan.multicast),
        relay=relay,
        management=replace(
            management(context.plan.management),
            source_interface=requests_from.name,
        ),
    )


def _router_side(context: Context, layout: SiteLayout, router: str, purpose: str) -> Interface:
    return segment_interface(context, layout, router, purpose)


def _source_routes(context: Context, layout: SiteLayout, relay: str) -> Iterator[Route]:
    """Routes to the sources by the segment that their lines arrive on: loose reverse-path filters need one."""
    seen = set()
    for feed_name in sorted(layout.site.relays[relay].feeds):
        for line_name, line in sorted(context.plan.feeds[feed_name].lines.items()):
            for rank, router in enumerate(layout.routers_of_line(f"{feed_name}.{line_name}")):
                key = (line.source, router)
                if key not in seen:
                    seen.add(key)
                    gateway = _router_side(context, layout, router, "multicast").address.ip
                    interface = layout.relay_port(relay, "multicast", router)
                    yield Route(IPv4Network(line.source), gateway, interface, 100 + rank)


def _server_routes(context: Context, layout: SiteLayout, relay: str) -> Iterator[Route]:
    """Routes to re-request servers; one whose address is also a source's has the way of that one's line.

    A relay does not see a circuit fail behind a router. So servers of one channel are spread over the routers: what one
    circuit's failure takes away, the next server that is asked still has.
    """
    taken = [context.plan.feeds[feed] for feed in layout.site.relays[relay].feeds]
    sources = {line.source for feed in taken for line in feed.lines.values()}
    for server, routers in server_ways(layout, relay).items():
        if server not in sources:
            for rank, router in enumerate(routers):
                gateway = _router_side(context, layout, router, "multicast").address.ip
                yield Route(IPv4Network(server), gateway, layout.relay_port(relay, "multicast", router), 100 + rank)


def server_ways(layout: SiteLayout, relay: str) -> dict[IPv4Address, list[str]]:
    """The routers by which a relay asks each re-request server, the preferred one first."""
    ways: dict[IPv4Address, list[str]] = {}
    for feed_name in sorted(layout.site.relays[relay].feeds):
        feed = layout.plan.feeds[feed_name]
        routers = layout.routers_towards(feed.exchange)
        for _, servers in sorted(feed.recovery.servers.items() if feed.recovery is not None else ()):
            used = Counter(ways[server.address][0] for server in servers if server.address in ways)
            for server in servers:
                if server.address not in ways:
                    first = min(routers, key=used.__getitem__)
                    used[first] += 1
                    ways[server.address] = [first, *(router for router in routers if router != first)]
    return dict(sorted(ways.items()))


def _cloud_routes(context: Context, layout: SiteLayout, relay: str) -> Iterator[Route]:
    """Every reachable VPC by the relay's own uplink, and by the others while that one's segment is down."""
    own = layout.uplink_of_relay(relay)
    ordered = [own, *(name for name in sorted(layout.site.uplinks) if name != own)]
    seen: set[tuple[str, str]] = set()
    for name in ordered:
        router = uplink_router(layout.site, name)
        gateway = _router_side(context, layout, router, "lan").address.ip
        for vpc in sorted(reachable_vpcs(context.plan, layout.site.uplinks[name].to)):
            if (vpc, router) in seen:
                continue
            metric = 100 if name == own else BACKUP_METRIC + len([1 for seen_vpc, _ in seen if seen_vpc == vpc])
            seen.add((vpc, router))
            yield Route(vpc_cidr(context.plan, vpc), gateway, layout.relay_port(relay, "lan", router), metric)


def relay_lines(context: Context, layout: SiteLayout, relay: str, feed_name: str) -> dict[str, relay_model.Line]:
    """A relay's lines of a feed: one for each router that carries it, named after the line."""
    lines = {}
    for line_name, line in sorted(context.plan.feeds[feed_name].lines.items()):
        routers = layout.routers_of_line(f"{feed_name}.{line_name}")
        for router in routers:
            name = line_name if len(routers) == 1 else f"{line_name}.{router}"
            lines[name] = relay_model.Line(
                multicast=relay_model.MulticastLine(
                    source=line.source,
                    interface=layout.relay_port(relay, "multicast", router),
                    groups=dict(sorted(line.groups.items())),
                )
            )
    return lines


def _relay_file(
    context: Context, layout: SiteLayout, name: str, deliveries: list[Delivery], lan: Interface
) -> relay_model.RelayFile:
    own = [delivery for delivery in deliveries if delivery.relay == name]
    feeds = {
        feed: relay_model.Feed(
            protocol=context.plan.feeds[feed].protocol,
            hole_wait_ns=nanoseconds(context.plan.feeds[feed].hole_wait_ns),
            recovery=context.plan.feeds[feed].recovery,
            lines=relay_lines(context, layout, name, feed),
        )
        for feed in sorted(layout.site.relays[name].feeds)
    }
    subscribers: dict[str, dict[str, dict[str, relay_model.Endpoint]]] = {}
    for delivery in own:
        subscribers.setdefault(delivery.instance, {})[delivery.feed] = delivery.sent_to
    keep_ns = layout.site.relays[name].journal_ns
    kept = None if keep_ns is None else journal(keep_ns, (context.plan.feeds[feed] for feed in feeds))
    return relay_model.RelayFile(
        version=1,
        name=name,
        control_socket=CONTROL_SOCKET,
        metrics=metrics_endpoint(context.plan, lan),
        journal=kept,
        feeds=feeds,
        subscribers={
            instance: relay_model.Subscriber(feeds=feeds_of) for instance, feeds_of in sorted(subscribers.items())
        },
    )


def metrics_endpoint(plan: Plan, interface: Interface) -> relay_model.Endpoint | None:
    """Where a relay serves its counters; None where the plan names nobody who may read them."""
    return relay_model.Endpoint(interface.address.ip, filters.METRICS_PORT) if plan.management.metrics_from else None


def _relay_firewall(context: Context, interfaces: tuple[Interface, ...], relay: relay_model.RelayFile) -> Firewall:
    rules: list[FirewallRule] = []
    for interface in interfaces:
        rules.append(filters.icmp(interface))
        if interface.role is InterfaceRole.LAN:
            rules += filters.ssh(interface, context.plan.management.ssh_from)
            if context.plan.management.ptp is not None:
                rules.append(filters.ptp(interface))
            if relay.metrics is not None and relay.metrics.address == interface.address.ip:
                rules.append(filters.metrics(interface, sorted(context.plan.management.metrics_from)))
        else:
            rules.append(filters.igmp(interface))
            rules += _line_rules(interface, relay)
    return Firewall(tuple(interface.name for interface in interfaces), tuple(rules))


def _line_rules(interface: Interface, relay: relay_model.RelayFile) -> Iterator[FirewallRule]:
    for feed_name, feed in relay.feeds.items():
        for line_name, line in feed.lines.items():
            if line.multicast is not None and line.multicast.interface == interface.name:
                groups = line.multicast.groups.values()
                yield FirewallRule(
                    f"{feed_name} line {line_name}",
                    interface.name,
                    "udp",
                    (IPv4Network(line.multicast.source),),
                    tuple(sorted({IPv4Network(group.address) for group in groups})),
                    tuple(sorted({group.port for group in groups})),
                )
