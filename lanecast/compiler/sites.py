"""Sites: routers between circuits and uplinks, their snooped segments, and the relay hosts on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast.compiler import filters
from lanecast.compiler.context import Context
from lanecast.compiler.exchanges import asking_networks
from lanecast.compiler.exchanges import link_name as circuit_link
from lanecast.compiler.journals import journal
from lanecast.compiler.kernel_settings import relay_settings, router_settings
from lanecast.compiler.timing import MAXIMUM_RESPONSE_DECISECONDS, seconds
from lanecast.fabric import (
    Bgp,
    BgpNeighbor,
    Delivery,
    Firewall,
    FirewallRule,
    ForwardRule,
    Host,
    HostRole,
    Interface,
    InterfaceRole,
    Link,
    LinkKind,
    MulticastRouting,
    Prefixes,
    Route,
    Router,
    RouterRole,
    Segment,
)
from lanecast.plan.layout import (
    SEGMENT_PORTS,
    SiteLayout,
    announced_prefixes,
    carried_groups,
    link_ends,
    reachable_vpcs,
    servers_of,
    uplink_router,
    vpc_cidr,
)
from lanecast_relay.config import model as relay_model
from lanecast_relay.config.quantity import nanoseconds

MAXIMUM_PREFIXES_HEADROOM = 10
"""A neighbour may announce so many more prefixes than are expected before its session is closed (RFC 7454, 8)."""

CONTROL_SOCKET = "/run/lanecast-relay/control.sock"

BACKUP_METRIC = 200


def segment_name(router: str, purpose: str) -> str:
    """The name of a router's ``multicast`` or ``lan`` segment."""
    return f"{router}-{purpose}"


def tagged(port: str, vlan: int) -> str:
    """The name of a VLAN subinterface on a port."""
    return f"{port}.{vlan}"


def circuit_interface(layout: SiteLayout, router: str, name: str) -> Interface:
    """A router's interface on a circuit."""
    circuit = layout.site.circuits[name]
    port = layout.port(router, name, name)
    address = IPv4Interface(f"{link_ends(circuit.link)[1]}/{circuit.link.prefixlen}")
    return Interface(tagged(port, circuit.vlan), InterfaceRole.CIRCUIT, (address,), name, circuit.vlan, port)


def uplink_interface(layout: SiteLayout, router: str, name: str) -> Interface:
    """A router's interface on an uplink."""
    uplink = layout.site.uplinks[name]
    port = layout.port(router, name, name)
    address = IPv4Interface(f"{link_ends(uplink.link)[1]}/{uplink.link.prefixlen}")
    return Interface(tagged(port, uplink.vlan), InterfaceRole.UPLINK, (address,), name, uplink.vlan, port)


def segment_interface(context: Context, layout: SiteLayout, router: str, purpose: str) -> Interface:
    """A router's interface on one of its segments."""
    role = {"multicast": InterfaceRole.MULTICAST, "lan": InterfaceRole.LAN}[purpose]
    default = SEGMENT_PORTS[purpose]
    address = context.router_address(context.segment(layout.name, router, purpose))
    return Interface(layout.port(router, purpose, default), role, (address,), segment_name(router, purpose))


def site_router(context: Context, layout: SiteLayout, name: str) -> Router:
    """One router of a site with everything that its configuration says."""
    circuits = [circuit_interface(layout, name, circuit) for circuit in layout.circuits_of(name)]
    uplinks = [uplink_interface(layout, name, uplink) for uplink in layout.uplinks_of(name)]
    multicast = segment_interface(context, layout, name, "multicast")
    lan = segment_interface(context, layout, name, "lan")
    interfaces = (*circuits, multicast, lan, *uplinks)
    return Router(
        name=name,
        role=RouterRole.SITE,
        place=layout.name,
        platform=layout.site.routers[name].platform,
        interfaces=interfaces,
        routes=tuple(_static_uplink_routes(context, layout, name)),
        bgp=_bgp(context, layout, name, circuits, uplinks, lan),
        multicast=_multicast_routing(context, layout, name, circuits, multicast),
        firewall=_router_firewall(context, layout, name, interfaces),
        sysctls=router_settings(interfaces, context.plan.multicast),
    )


def _static_uplink_routes(context: Context, layout: SiteLayout, router: str) -> Iterator[Route]:
    for name, uplink in layout.uplinks_of(router).items():
        if uplink.routing == "static":
            gateway = link_ends(uplink.link)[0]
            for vpc in reachable_vpcs(context.plan, uplink.to):
                interface = uplink_interface(layout, router, name).name
                yield Route(vpc_cidr(context.plan, vpc), gateway, interface)


def _bgp(
    context: Context,
    layout: SiteLayout,
    router: str,
    circuits: list[Interface],
    uplinks: list[Interface],
    lan: Interface,
) -> Bgp:
    lan_network = lan.address.network
    exchanges = sorted({circuit.exchange for circuit in layout.circuits_of(router).values()})
    asking = dict.fromkeys(n for exchange in exchanges for n in asking_networks(context, layout, router, exchange))
    neighbors = [_exchange_neighbor(context, layout, router, interface) for interface in circuits]
    neighbors += [
        _gateway_neighbor(context, layout, interface, lan_network)
        for interface in uplinks
        if layout.site.uplinks[interface.attached_to].routing == "bgp"
    ]
    return Bgp(
        asn=context.site_asn(layout.name),
        router_id=circuits[0].address.ip,
        networks=(lan_network, *asking),
        neighbors=tuple(neighbors),
        keepalive_s=seconds(context.plan.timers.bgp_keepalive_ns),
        hold_s=seconds(context.plan.timers.bgp_hold_ns),
        connect_retry_s=seconds(context.plan.timers.bgp_connect_retry_ns),
    )


def _exchange_neighbor(context: Context, layout: SiteLayout, router: str, interface: Interface) -> BgpNeighbor:
    circuit = layout.site.circuits[interface.attached_to]
    asn = context.plan.exchanges[circuit.exchange].asn
    expected = announced_prefixes(context.plan, circuit.exchange)
    return BgpNeighbor(
        node=f"{circuit.exchange}-router",
        description=f"{circuit.exchange} over {interface.attached_to}",
        address=link_ends(circuit.link)[0],
        asn=asn,
        interface=interface.name,
        accept=Prefixes(f"from-{interface.attached_to}", expected, longer=32),
        announce=Prefixes(f"to-{interface.attached_to}", asking_networks(context, layout, router, circuit.exchange)),
        accept_as_paths=f"as-{asn}",
        maximum_prefixes=len(expected) + MAXIMUM_PREFIXES_HEADROOM,
        password=circuit.password,
    )


def _gateway_neighbor(
    context: Context, layout: SiteLayout, interface: Interface, lan_network: IPv4Network
) -> BgpNeighbor:
    uplink = layout.site.uplinks[interface.attached_to]
    region = uplink.to.split(".")[0]
    asn = context.region_asn(region)
    expected = tuple(sorted(vpc_cidr(context.plan, vpc) for vpc in reachable_vpcs(context.plan, uplink.to)))
    return BgpNeighbor(
        node=f"{interface.attached_to}-gateway",
        description=f"{uplink.to} over {interface.attached_to}",
        address=link_ends(uplink.link)[0],
        asn=asn,
        interface=interface.name,
        accept=Prefixes(f"from-{interface.attached_to}", expected),
        announce=Prefixes(f"to-{interface.attached_to}", (lan_network,)),
        accept_as_paths=f"as-{asn}",
        maximum_prefixes=len(expected) + MAXIMUM_PREFIXES_HEADROOM,
        password=uplink.password,
    )


def _multicast_routing(
    context: Context, layout: SiteLayout, router: str, circuits: list[Interface], segment: Interface
) -> MulticastRouting:
    groups = carried_groups(context.plan, [line for c in layout.circuits_of(router).values() for line in c.carries])
    nothing_out = tuple((interface.name, Prefixes(f"out-{interface.attached_to}", ())) for interface in circuits)
    return MulticastRouting(
        ssm_ranges=tuple(sorted(context.plan.multicast.ssm_ranges)),
        pim_interfaces=tuple(interface.name for interface in circuits),
        passive_interfaces=(segment.name,),
        igmp_interfaces=(segment.name,),
        boundaries=((segment.name, Prefixes("carried-groups", groups)), *nothing_out),
        hello_s=seconds(context.plan.timers.pim_hello_ns),
        igmp_query_interval_s=seconds(context.plan.timers.igmp_query_interval_ns),
        igmp_max_response_ds=MAXIMUM_RESPONSE_DECISECONDS,
    )


def _router_firewall(context: Context, layout: SiteLayout, router: str, interfaces: tuple[Interface, ...]) -> Firewall:
    rules: list[FirewallRule] = []
    for interface in interfaces:
        rules.append(filters.icmp(interface))
        match interface.role:
            case InterfaceRole.CIRCUIT:
                neighbor = link_ends(layout.site.circuits[interface.attached_to].link)[0]
                rules += [filters.pim(interface, neighbor), filters.bgp(interface, neighbor)]
            case InterfaceRole.UPLINK:
                neighbor = link_ends(layout.site.uplinks[interface.attached_to].link)[0]
                rules += [filters.bgp(interface, neighbor), *filters.ssh(interface, context.plan.management)]
            case InterfaceRole.MULTICAST:
                rules.append(filters.igmp(interface))
            case _:
                rules += filters.ssh(interface, context.plan.management)
    circuits = [interface for interface in interfaces if interface.role is InterfaceRole.CIRCUIT]
    segment = segment_interface(context, layout, router, "multicast")
    return Firewall(
        tuple(interface.name for interface in interfaces),
        tuple(rules),
        guarded=tuple(circuit.name for circuit in circuits),
        forwarded=tuple(rule for circuit in circuits for rule in _circuit_rules(layout, circuit, segment)),
    )


def _circuit_rules(layout: SiteLayout, circuit: Interface, segment: Interface) -> Iterator[ForwardRule]:
    """What passes a circuit: its lines in, and where relays ask the exchange again, requests out and answers in."""
    plan, held = layout.plan, layout.site.circuits[circuit.attached_to]
    lines = [plan.feeds[feed].lines[line] for feed, _, line in (name.partition(".") for name in held.carries)]
    yield ForwardRule(
        f"lines of {circuit.attached_to}",
        circuit.name,
        segment.name,
        sources=tuple(sorted({IPv4Network(line.source) for line in lines})),
        destination_endpoints=tuple(sorted({group for line in lines for group in line.groups.values()})),
    )
    own = (segment.address.network,)
    for feed in layout.recovered_feeds(held.exchange):
        servers = tuple(sorted(servers_of(plan.feeds[feed])))
        over = f"over {circuit.attached_to}"
        yield ForwardRule(
            f"{feed} requests {over}", segment.name, circuit.name, sources=own, destination_endpoints=servers
        )
        yield ForwardRule(
            f"{feed} answers {over}",
            circuit.name,
            segment.name,
            source_endpoints=servers,
            destinations=own,
            answers=True,
        )


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
    relay = _relay_file(context, layout, name, deliveries)
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


def _relay_file(context: Context, layout: SiteLayout, name: str, deliveries: list[Delivery]) -> relay_model.RelayFile:
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
        subscribers.setdefault(delivery.instance, {})[delivery.feed] = delivery.endpoints
    keep_ns = layout.site.relays[name].journal_ns
    kept = None if keep_ns is None else journal(keep_ns, (context.plan.feeds[feed] for feed in feeds))
    return relay_model.RelayFile(
        version=1,
        name=name,
        control_socket=CONTROL_SOCKET,
        journal=kept,
        feeds=feeds,
        subscribers={
            instance: relay_model.Subscriber(feeds=feeds_of) for instance, feeds_of in sorted(subscribers.items())
        },
    )


def _relay_firewall(context: Context, interfaces: tuple[Interface, ...], relay: relay_model.RelayFile) -> Firewall:
    rules: list[FirewallRule] = []
    for interface in interfaces:
        rules.append(filters.icmp(interface))
        if interface.role is InterfaceRole.LAN:
            rules += filters.ssh(interface, context.plan.management)
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
