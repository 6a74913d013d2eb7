"""Peak load against what circuits, uplinks and peerings carry, fan-out included (design, decision 16)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from lanecast.plan.checks.context import CheckContext, relay_uplink
from lanecast.plan.layout import cloud_ways
from lanecast.plan.model import Feed
from lanecast_relay.config.document import Problem

HEADER_BYTES = 28
"""IPv4 without options and UDP (RFC 791, RFC 768)."""

ETHERNET_BYTES = 22
"""Header, one 802.1Q tag and frame check sequence; preamble and gap are the carrier's."""


def load_bps(feed: Feed) -> int:
    """A feed's peak on the wire, in bits a second."""
    return feed.peak.rate_pps * (feed.peak.size_bytes + HEADER_BYTES + ETHERNET_BYTES) * 8


def _megabits(bps: int) -> str:
    return f"{bps / 1_000_000:.1f} Mbit/s"


def circuits(context: CheckContext) -> Iterator[Problem]:
    """The lines that a circuit carries fit it at their peak."""
    for site_name, site in context.plan.sites.items():
        for name, circuit in site.circuits.items():
            load = sum(load_bps(context.plan.feeds[line.partition(".")[0]]) for line in circuit.carries)
            if load > circuit.bandwidth_bps:
                message = (
                    f"its lines need {_megabits(load)} at their peak, and it has {_megabits(circuit.bandwidth_bps)}"
                )
                yield context.error(message, "sites", site_name, "circuits", name, "bandwidth")


def ways_out(context: CheckContext) -> Iterator[Problem]:
    """The copies that leave a site fit its uplinks and the peerings behind them."""
    plan = context.plan
    relays = context.relays()
    uplinks: Counter[tuple[str, str]] = Counter()
    peerings: Counter[str] = Counter()
    for subscriber in plan.subscribers.values():
        vpc = subscriber.subnet.rpartition(".")[0]
        for feed in subscriber.feeds:
            load = load_bps(plan.feeds[feed]) * subscriber.count
            for relay_name in context.relays_carrying(subscriber, feed):
                site_name, relay = relays[relay_name]
                uplink = relay_uplink(plan.sites[site_name], relay)
                uplinks[site_name, uplink] += load
                way = cloud_ways(plan, plan.sites[site_name].uplinks[uplink].to).get(vpc)
                for peering in way.peerings if way is not None else ():
                    peerings[peering] += load
    for (site_name, name), load in uplinks.items():
        capacity = plan.sites[site_name].uplinks[name].bandwidth_bps
        if load > capacity:
            message = f"copies to subscribers need {_megabits(load)} at their peak, and it has {_megabits(capacity)}"
            yield context.error(message, "sites", site_name, "uplinks", name, "bandwidth")
    for name, load in peerings.items():
        capacity = plan.peerings[name].bandwidth_bps
        if load > capacity:
            message = f"copies to subscribers need {_megabits(load)} at their peak, and it has {_megabits(capacity)}"
            yield context.error(message, "peerings", name, "bandwidth")
