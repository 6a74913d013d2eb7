"""Promises to survive a failure, against everything on the way (design, decision 15).

A way is one line, on one circuit, through its router to one relay, out by that relay's uplink and its router, and over
at most one peering or a bridge. A feed survives a failure when a way is left that does not use what failed.
"""

from __future__ import annotations

from collections.abc import Iterator

from lanecast.plan.checks.context import CheckContext, relay_uplink, router_of_uplink
from lanecast.plan.layout import CloudWay, cloud_ways
from lanecast.plan.model import Subscriber, Survival
from lanecast_relay.config.document import Problem

Way = frozenset[tuple[str, str]]
"""(kind, name) of everything that a way uses."""

ADVICE = {
    "circuit": "carry another line of the feed, or this one, by a second circuit",
    "router": "put the circuits and uplinks on different routers",
    "relay": "subscribe from a second relay",
    "uplink": "give one of the relays another uplink",
    "bridge": "give it a second instance (count)",
    "peering": "let one relay's uplink land in the subscriber's VPC, or in one with another peering",
}


def promises(context: CheckContext) -> Iterator[Problem]:
    """Each promised survival, for each subscriber of the feed."""
    for feed, promise in context.plan.promises.items():
        if promise.survives is None:
            continue
        for name, subscriber in context.plan.subscribers.items():
            if feed in subscriber.feeds:
                ways = _ways(context, subscriber, feed)
                for kind, part in sorted(_shared(ways, promise.survives)):
                    message = f"every way of {feed} uses {kind} {part}, and promises.{feed} survives {promise.survives}"
                    place = ("subscribers", name)
                    related = ("promises", feed, "survives")
                    yield context.error(f"{message}: {ADVICE[kind]}", *place, related=related)


def _shared(ways: list[Way], survival: Survival) -> set[tuple[str, str]]:
    shared = set(frozenset.intersection(*ways)) if ways else set()
    return shared if survival is Survival.ANY_ONE_FAILURE else {part for part in shared if part[0] == "circuit"}


def _alone_on(context: CheckContext, way: CloudWay) -> set[tuple[str, str]]:
    """A bridge that translates and has no second instance to take over from its first."""
    alone = way.translated and way.bridge is not None and context.plan.bridges[way.bridge].count == 1
    return {("bridge", str(way.bridge))} if alone else set()


def _ways(context: CheckContext, subscriber: Subscriber, feed: str) -> list[Way]:
    found = []
    vpc = subscriber.subnet.rpartition(".")[0]
    for relay_name in context.relays_carrying(subscriber, feed):
        site_name, relay = context.relays()[relay_name]
        site = context.plan.sites[site_name]
        uplink = relay_uplink(site, relay)
        way = cloud_ways(context.plan, site.uplinks[uplink].to).get(vpc)
        out = {("relay", relay_name), ("uplink", uplink), ("router", router_of_uplink(site, uplink))}
        if way is not None:
            out |= {("peering", peering) for peering in way.peerings}
            out |= _alone_on(context, way)
        for circuit_name, circuit in site.circuits.items():
            if any(line.partition(".")[0] == feed for line in circuit.carries):
                router = context.layout(site_name).router_of_circuit(circuit_name)
                found.append(frozenset(out | {("circuit", circuit_name), ("router", router)}))
    return found
