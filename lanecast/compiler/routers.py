"""A site's router: its interfaces, BGP towards exchanges and the cloud, multicast, and what it lets in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network

from lanecast.compiler import filters
from lanecast.compiler.access_lists import access_lists, control_plane
from lanecast.compiler.context import Context
from lanecast.compiler.exchanges import asking_networks
from lanecast.compiler.kernel_settings import site_router_settings
from lanecast.compiler.management import management
from lanecast.compiler.site_interfaces import (
    circuit_interface,
    loopback_interface,
    segment_interface,
    segment_name,
    tcp_ao,
    uplink_interface,
)
from lanecast.compiler.site_multicast import local_rendezvous, msdp_peers, multicast_routing
from lanecast.compiler.timing import seconds
from lanecast.plan.layout import (
    SiteLayout,
    announced_prefixes,
    link_ends,
    reachable_vpcs,
    servers_of,
    vpc_cidr,
)
from lanecast.router import (
    Bgp,
    BgpNeighbor,
    Firewall,
    FirewallRule,
    ForwardRule,
    Interface,
    InterfaceRole,
    Prefixes,
    Route,
    Router,
    RouterRole,
    Vlan,
)

MAXIMUM_PREFIXES_HEADROOM = 10
"""A neighbour may announce so many more prefixes than are expected before its session is closed (RFC 7454, 8)."""


def site_router(context: Context, layout: SiteLayout, name: str) -> Router:
    """One router of a site with everything that its configuration says."""
    planned = layout.site.routers[name]
    circuits = [circuit_interface(layout, name, circuit) for circuit in layout.circuits_of(name)]
    uplinks = [uplink_interface(layout, name, uplink) for uplink in layout.uplinks_of(name)]
    multicast = segment_interface(context, layout, name, "multicast")
    lan = segment_interface(context, layout, name, "lan")
    rendezvous = local_rendezvous(layout, name)
    loopback = () if rendezvous is None else (loopback_interface(planned.platform, rendezvous, planned.vrf),)
    interfaces = (*circuits, multicast, lan, *uplinks, *loopback)
    firewall = _firewall(context, layout, name, interfaces)
    managed = replace(management(context.plan.management), source_interface=lan.name)
    bgp = _bgp(context, layout, name, circuits, uplinks, lan)
    return Router(
        name=name,
        role=RouterRole.SITE,
        place=layout.name,
        platform=planned.platform,
        interfaces=interfaces,
        routes=tuple(_static_uplink_routes(context, layout, name)),
        bgp=bgp,
        multicast=multicast_routing(context, layout, name, circuits, multicast),
        firewall=firewall,
        sysctls=site_router_settings(planned.platform, interfaces, context.plan.multicast),
        access_lists=access_lists(interfaces, firewall, managed, bgp),
        control_plane=control_plane(firewall, managed),
        management=managed,
        vlans=tuple(_vlans(layout, name)),
        vrf=planned.vrf,
        unused_ports=tuple(sorted(planned.unused_ports)),
    )


def _vlans(layout: SiteLayout, router: str) -> Iterator[Vlan]:
    for purpose in ("multicast", "lan"):
        switched = layout.switched_vlan(router, purpose)
        if switched is not None:
            yield Vlan(
                id=switched.vlan,
                name=segment_name(router, purpose),
                interface=layout.segment_interface(router, purpose),
                ports=tuple(sorted(switched.access_ports)),
                snooping=purpose == "multicast",
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
        tcp_ao=tcp_ao(circuit.tcp_ao),
        bfd=circuit.bfd is not None,
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
        tcp_ao=tcp_ao(uplink.tcp_ao),
        bfd=uplink.bfd is not None,
    )


def _firewall(context: Context, layout: SiteLayout, router: str, interfaces: tuple[Interface, ...]) -> Firewall:
    lines = [interface for interface in interfaces if interface.role is not InterfaceRole.LOOPBACK]
    rules = tuple(rule for interface in lines for rule in _input_rules(context, layout, router, interface))
    circuits = [interface for interface in interfaces if interface.role is InterfaceRole.CIRCUIT]
    segment = segment_interface(context, layout, router, "multicast")
    return Firewall(
        tuple(interface.name for interface in lines),
        rules,
        guarded=tuple(circuit.name for circuit in circuits),
        forwarded=tuple(rule for circuit in circuits for rule in _circuit_rules(layout, circuit, segment)),
    )


def _input_rules(context: Context, layout: SiteLayout, router: str, interface: Interface) -> Iterator[FirewallRule]:
    """What a router accepts on its own addresses by one interface."""
    platform = layout.site.routers[router].platform
    managed = context.plan.management
    yield filters.icmp(interface)
    match interface.role:
        case InterfaceRole.CIRCUIT:
            neighbor = link_ends(layout.site.circuits[interface.attached_to].link)[0]
            yield filters.pim(interface, neighbor)
            yield filters.bgp(interface, neighbor)
            yield from filters.bfd(interface, neighbor, platform)
            for peer in msdp_peers(context, layout, router):
                if peer.interface == interface.name:
                    yield filters.msdp(interface, peer.address)
        case InterfaceRole.UPLINK:
            neighbor = link_ends(layout.site.uplinks[interface.attached_to].link)[0]
            yield filters.bgp(interface, neighbor)
            yield from filters.bfd(interface, neighbor, platform)
            yield from filters.ssh(interface, managed.ssh_from)
        case InterfaceRole.MULTICAST:
            yield filters.igmp(interface)
        case _:
            yield from filters.ssh(interface, managed.ssh_from)
            if managed.ptp is not None:
                yield filters.ptp(interface)


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
