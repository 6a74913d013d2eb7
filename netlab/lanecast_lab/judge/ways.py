"""How fast a message can be at all: no copy of it is sooner there than the delays on its way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lanecast.fabric import Fabric, Feed, LinkKind
from lanecast_lab.judge.model import MILLISECOND_NS, Check, SubscriberResult


def no_shortcuts(fabric: Fabric, feed: Feed, results: Sequence[SubscriberResult]) -> Iterator[Check]:
    """That each instance's fastest message took at least the delays of the fastest way to it.

    A sooner one shows that the lab's network is not the plan's, whatever else the figures say. No check where nothing
    arrived, or where the Fabric has no deliveries.
    """
    served = {delivery.instance for delivery in fabric.deliveries if delivery.feed == feed.name}
    fastest: dict[str, int] = {}
    for result in results:
        if result.latencies_ns and result.name in served:
            fastest[result.name] = min(result.latencies_ns[0], fastest.get(result.name, result.latencies_ns[0]))
    if not fastest:
        return
    ways = {instance: fastest_way_ns(fabric, feed.name, instance) for instance in fastest}
    nearest = min(fastest, key=lambda instance: (fastest[instance] - ways[instance], instance))
    yield Check(
        name=f"{feed.name} takes no shortcut",
        passed=fastest[nearest] >= ways[nearest],
        wanted=ways[nearest] / MILLISECOND_NS,
        measured=round(fastest[nearest] / MILLISECOND_NS, 3),
        unit="ms",
        detail=f"{nearest}: its fastest message, and the delays on the fastest way to it",
    )


def fastest_way_ns(fabric: Fabric, feed: str, instance: str) -> int:
    """The least delay from the exchange to an instance: a circuit to the relay's site, and the relay's delivery."""
    sites = {host.name: host.place for host in fabric.hosts}
    return min(
        _fastest_circuit_ns(fabric, feed, sites[delivery.relay]) + delivery.delay_ns
        for delivery in fabric.deliveries
        if (delivery.feed, delivery.instance) == (feed, instance)
    )


def _fastest_circuit_ns(fabric: Fabric, feed: str, site: str) -> int:
    return min(
        link.delay_ns
        for link in fabric.links
        if link.kind is LinkKind.CIRCUIT
        and fabric.router(link.ends[1][0]).place == site
        and any(line.rpartition(".")[0] == feed for line in link.carries)
    )
