"""A site router's multicast: PIM over circuits, IGMP towards relays, rendezvous points where an exchange has them."""

from __future__ import annotations

from ipaddress import IPv4Network

from lanecast.compiler.context import Context
from lanecast.compiler.site_interfaces import circuit_interface
from lanecast.compiler.timing import MAXIMUM_RESPONSE_DECISECONDS, seconds
from lanecast.plan.layout import SiteLayout, carried_channels, carried_groups, link_ends, sources_of
from lanecast.plan.model import Rendezvous
from lanecast.router import (
    IgmpInterface,
    Interface,
    Msdp,
    MsdpPeer,
    MulticastRouting,
    PimInterface,
    Prefixes,
    RendezvousPoint,
    StaticJoin,
)

CARRIED = "carried-groups"
"""The list of groups that a router's circuits bring, which are all that may be joined."""

MEMBERSHIPS_OF_A_CHANNEL = 2
"""While an exchange moves a line to another sender, one relay still asks for the old one and the next for the new."""


def multicast_routing(
    context: Context, layout: SiteLayout, router: str, circuits: list[Interface], segment: Interface
) -> MulticastRouting:
    """Everything of one router."""
    timers = context.plan.timers
    carried = [line for circuit in layout.circuits_of(router).values() for line in circuit.carries]
    groups = Prefixes(CARRIED, carried_groups(context.plan, carried))
    hello_s = seconds(timers.pim_hello_ns)
    joins = carried_channels(context.plan, layout.site.routers[router].static_joins)
    peers = msdp_peers(context, layout, router)
    return MulticastRouting(
        ssm_ranges=tuple(sorted(context.plan.multicast.ssm_ranges)),
        pim=(
            *(_neighbor_side(layout, circuit, hello_s) for circuit in circuits),
            PimInterface(segment.name, hello_s, passive=True),
        ),
        igmp=(
            IgmpInterface(
                segment.name,
                query_interval_s=seconds(timers.igmp_query_interval_ns),
                max_response_ds=MAXIMUM_RESPONSE_DECISECONDS,
                groups=groups,
                maximum_groups=MEMBERSHIPS_OF_A_CHANNEL * len(carried_channels(context.plan, carried)),
                static_joins=tuple(StaticJoin(group, source) for group, source in joins),
            ),
        ),
        boundaries=(
            (segment.name, groups),
            *((circuit.name, Prefixes(f"out-{circuit.attached_to}", ())) for circuit in circuits),
        ),
        rendezvous_points=tuple(_rendezvous_points(layout, router)),
        msdp=Msdp(circuits[0].name, peers) if peers else None,
    )


def _neighbor_side(layout: SiteLayout, circuit: Interface, hello_s: int) -> PimInterface:
    planned = layout.site.circuits[circuit.attached_to]
    return PimInterface(
        circuit.name,
        hello_s,
        neighbors=(link_ends(planned.link)[0],),
        dr_priority=planned.dr_priority,
        bfd=planned.bfd is not None,
    )


def _rendezvous_of(layout: SiteLayout, router: str) -> dict[str, Rendezvous]:
    """The exchanges of a router's circuits that have rendezvous points."""
    exchanges = sorted({circuit.exchange for circuit in layout.circuits_of(router).values()})
    found = {name: layout.plan.exchanges[name].rendezvous for name in exchanges}
    return {name: rendezvous for name, rendezvous in found.items() if rendezvous is not None}


def local_rendezvous(layout: SiteLayout, router: str) -> IPv4Network | None:
    """The address that a router has as rendezvous point, where it is one; the site's other routers have the same."""
    own = any(rendezvous.msdp is not None for rendezvous in _rendezvous_of(layout, router).values())
    address = layout.site.rendezvous
    return IPv4Network(address) if own and address is not None else None


def _rendezvous_points(layout: SiteLayout, router: str) -> list[RendezvousPoint]:
    found = _rendezvous_of(layout, router)
    points = [
        RendezvousPoint(held.address, Prefixes(f"rp-{exchange}", tuple(sorted(held.groups))))
        for exchange, held in found.items()
        if held.msdp is None
    ]
    own = local_rendezvous(layout, router)
    if own is not None:
        served = {network for held in found.values() if held.msdp is not None for network in held.groups}
        # Senders are at exchanges, and MSDP tells of them: nobody registers here.
        nobody = Prefixes("rp-registers", ())
        groups = Prefixes("rp-own", tuple(sorted(served)))
        points.append(RendezvousPoint(own.network_address, groups, local=True, register_sources=nobody))
    return points


def msdp_peers(context: Context, layout: SiteLayout, router: str) -> tuple[MsdpPeer, ...]:
    """An exchange's rendezvous point as MSDP peer, over the first of the router's circuits to that exchange."""
    peers = []
    for exchange, held in _rendezvous_of(layout, router).items():
        if held.msdp is None:
            continue
        circuit = next(name for name, each in layout.circuits_of(router).items() if each.exchange == exchange)
        peers.append(
            MsdpPeer(
                node=f"{exchange}-router",
                description=f"{exchange} over {circuit}",
                address=held.address,
                asn=context.plan.exchanges[exchange].asn,
                interface=circuit_interface(layout, router, circuit).name,
                sources=Prefixes(f"msdp-sources-{exchange}", sources_of(context.plan, exchange)),
                groups=Prefixes(f"msdp-groups-{exchange}", tuple(sorted(held.groups))),
                maximum_active_sources=held.msdp.maximum_active_sources,
                password=held.msdp.password,
            )
        )
    return tuple(peers)
