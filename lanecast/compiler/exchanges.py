"""Exchanges: the counterpart router and the senders that the lab runs and the hand-over sheet describes."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast.compiler import filters
from lanecast.compiler.context import Context
from lanecast.compiler.kernel_settings import router_settings
from lanecast.compiler.site_interfaces import loopback_interface, tcp_ao
from lanecast.compiler.timing import bfd, seconds
from lanecast.fabric import (
    Host,
    HostRole,
    Link,
    LinkKind,
)
from lanecast.plan.layout import (
    SiteLayout,
    announced_prefixes,
    carried_groups,
    hosts_of,
    link_ends,
    short_interface_name,
    sources_of,
)
from lanecast.plan.model import Circuit, Platform
from lanecast.router import (
    Bgp,
    BgpNeighbor,
    Firewall,
    FirewallRule,
    Interface,
    InterfaceRole,
    MulticastRouting,
    PimInterface,
    Prefixes,
    RendezvousPoint,
    Route,
    Router,
    RouterRole,
)

LARGEST_SOURCE_NETWORK = 30
"""The longest prefix with room for a sender and the router."""


def link_name(name: str) -> str:
    """The counterpart's interface on a circuit or uplink: the lab alone sees it."""
    return short_interface_name(name)


def source_networks(sources: tuple[IPv4Network, ...]) -> dict[IPv4Network, tuple[IPv4Address, ...]]:
    """Group an exchange's senders into the smallest networks that leave the router an address in each.

    Returns network → its senders; networks never overlap.
    """
    networks: dict[IPv4Network, tuple[IPv4Address, ...]] = {}
    for source in sorted(network.network_address for network in sources):
        network = IPv4Network((source, LARGEST_SOURCE_NETWORK), strict=False)
        members = {source}
        while True:
            for other in [known for known in networks if known.overlaps(network)]:
                members |= set(networks.pop(other))
                network = network if network.supernet_of(other) else other
            ends = {network.network_address, network.broadcast_address}
            if members.isdisjoint(ends) and _router_address(network, members) is not None:
                break
            network = network.supernet()
        networks[network] = tuple(sorted(members))
    return dict(sorted(networks.items()))


def _router_address(network: IPv4Network, senders: set[IPv4Address]) -> IPv4Address | None:
    return next((host for host in network.hosts() if host not in senders), None)


def asking_networks(context: Context, layout: SiteLayout, router: str, exchange: str) -> tuple[IPv4Network, ...]:
    """Where a router's relays ask an exchange's servers from, which these need a way back to; none where none asks."""
    return (context.segment(layout.name, router, "multicast"),) if layout.recovered_feeds(exchange) else ()


def _source_interface(index: int) -> str:
    return f"source{index}"


def _circuits(context: Context, exchange: str) -> list[tuple[str, str, Circuit]]:
    """(site, circuit name, circuit) of every circuit of an exchange, by circuit name."""
    found = [
        (site, name, circuit)
        for site, layout in context.layouts.items()
        for name, circuit in layout.site.circuits.items()
        if circuit.exchange == exchange
    ]
    return sorted(found, key=lambda item: item[1])


def exchange_router(context: Context, exchange: str) -> Router:
    """The exchange's own router: PIM and BGP on every circuit, senders behind it."""
    circuits = _circuits(context, exchange)
    circuit_interfaces = tuple(
        Interface(
            link_name(name),
            InterfaceRole.CIRCUIT,
            (IPv4Interface(f"{link_ends(circuit.link)[0]}/{circuit.link.prefixlen}"),),
            name,
            bfd=bfd(circuit.bfd),
        )
        for _, name, circuit in circuits
    )
    networks = source_networks(hosts_of(context.plan, exchange))
    source_interfaces = tuple(
        Interface(
            _source_interface(index),
            InterfaceRole.SOURCE,
            (IPv4Interface(f"{_router_address(network, set(senders))}/{network.prefixlen}"),),
            f"{exchange}-source{index}",
        )
        for index, (network, senders) in enumerate(networks.items())
    )
    interfaces = (*circuit_interfaces, *source_interfaces)
    held = context.plan.exchanges[exchange].rendezvous
    loopback = () if held is None else (loopback_interface(Platform.FRR, IPv4Network(held.address)),)
    return Router(
        name=f"{exchange}-router",
        role=RouterRole.EXCHANGE,
        place=exchange,
        platform=Platform.FRR,
        interfaces=(*interfaces, *loopback),
        routes=(),
        bgp=_bgp(context, exchange, circuits),
        multicast=_multicast_routing(context, exchange, circuits, source_interfaces),
        firewall=_firewall(circuits, interfaces),
        sysctls=router_settings(interfaces, context.plan.multicast),
    )


def _bgp(context: Context, exchange: str, circuits: list[tuple[str, str, Circuit]]) -> Bgp:
    announced = announced_prefixes(context.plan, exchange)
    neighbors = []
    for site, name, circuit in circuits:
        theirs = link_ends(circuit.link)[1]
        asn = context.site_asn(site)
        router = context.layouts[site].router_of_circuit(name)
        asking = asking_networks(context, context.layouts[site], router, exchange)
        neighbors.append(
            BgpNeighbor(
                node=router,
                description=f"{site} over {name}",
                address=theirs,
                asn=asn,
                interface=link_name(name),
                accept=Prefixes(f"from-{name}", asking),
                announce=Prefixes(f"to-{name}", announced),
                accept_as_paths=f"as-{asn}",
                maximum_prefixes=max(1, len(asking)),
                password=circuit.password,
                tcp_ao=tcp_ao(circuit.tcp_ao),
                bfd=circuit.bfd is not None,
            )
        )
    timers = context.plan.timers
    return Bgp(
        asn=context.plan.exchanges[exchange].asn,
        router_id=link_ends(circuits[0][2].link)[0],
        networks=announced,
        neighbors=tuple(neighbors),
        keepalive_s=seconds(timers.bgp_keepalive_ns),
        hold_s=seconds(timers.bgp_hold_ns),
        connect_retry_s=seconds(timers.bgp_connect_retry_ns),
    )


def _multicast_routing(
    context: Context, exchange: str, circuits: list[tuple[str, str, Circuit]], sources: tuple[Interface, ...]
) -> MulticastRouting:
    hello_s = seconds(context.plan.timers.pim_hello_ns)
    return MulticastRouting(
        ssm_ranges=tuple(sorted(context.plan.multicast.ssm_ranges)),
        pim=(
            *(
                PimInterface(
                    link_name(name), hello_s, neighbors=(link_ends(circuit.link)[1],), bfd=circuit.bfd is not None
                )
                for _, name, circuit in circuits
            ),
            *(PimInterface(interface.name, hello_s, passive=True) for interface in sources),
        ),
        igmp=(),
        boundaries=tuple(
            (link_name(name), Prefixes(f"bought-{name}", carried_groups(context.plan, circuit.carries)))
            for _, name, circuit in circuits
        ),
        rendezvous_points=_rendezvous_points(context, exchange),
    )


def _rendezvous_points(context: Context, exchange: str) -> tuple[RendezvousPoint, ...]:
    """The exchange's own rendezvous point; its MSDP, which FRR cannot bound, is not described here."""
    held = context.plan.exchanges[exchange].rendezvous
    if held is None:
        return ()
    registers = Prefixes("rp-registers", sources_of(context.plan, exchange))
    groups = Prefixes(f"rp-{exchange}", tuple(sorted(held.groups)))
    return (RendezvousPoint(held.address, groups, local=True, register_sources=registers),)


def _firewall(circuits: list[tuple[str, str, Circuit]], interfaces: tuple[Interface, ...]) -> Firewall:
    rules: list[FirewallRule] = [filters.icmp(interface) for interface in interfaces]
    by_name = {interface.attached_to: interface for interface in interfaces}
    for _, name, circuit in circuits:
        neighbor = link_ends(circuit.link)[1]
        rules += [filters.pim(by_name[name], neighbor), filters.bgp(by_name[name], neighbor)]
        rules += filters.bfd(by_name[name], neighbor, Platform.FRR)
    return Firewall(tuple(interface.name for interface in interfaces), tuple(rules))


def source_host(context: Context, exchange: str) -> Host:
    """The exchange's sender, with the address of every source and re-request server of its feeds."""
    networks = source_networks(hosts_of(context.plan, exchange))
    interfaces = []
    routes = []
    for index, (network, senders) in enumerate(networks.items()):
        name = _source_interface(index)
        addresses = tuple(IPv4Interface(f"{sender}/{network.prefixlen}") for sender in senders)
        interfaces.append(Interface(name, InterfaceRole.SOURCE, addresses, f"{exchange}-source{index}"))
        gateway = _router_address(network, set(senders))
        if index == 0 and gateway is not None:
            routes.append(Route(IPv4Network("0.0.0.0/0"), gateway, name))
    return Host(
        name=f"{exchange}-source",
        role=HostRole.SOURCE,
        place=exchange,
        interfaces=tuple(interfaces),
        routes=tuple(routes),
        firewall=Firewall((), ()),
        sysctls=(),
    )


def source_links(context: Context, exchange: str) -> Iterator[Link]:
    """The links between an exchange's senders and its router."""
    for index in range(len(source_networks(hosts_of(context.plan, exchange)))):
        end = _source_interface(index)
        yield Link(
            name=f"{exchange}-source{index}",
            kind=LinkKind.SOURCE,
            ends=((f"{exchange}-source", end), (f"{exchange}-router", end)),
            delay_ns=0,
            bandwidth_bps=None,
            vlan=None,
        )
