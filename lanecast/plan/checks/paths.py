"""Ways that do not exist: lines that no circuit carries, subscribers that no relay reaches."""

from __future__ import annotations

from collections.abc import Iterator

from lanecast.plan.checks.context import CheckContext, relay_uplink
from lanecast.plan.layout import cloud_ways, reachable_vpcs
from lanecast.plan.model import Feed
from lanecast_relay.config.document import PathKey, Problem
from lanecast_relay.config.model import Protocol


def circuits(context: CheckContext) -> Iterator[Problem]:
    """Every line comes by a circuit, of its own exchange; both lines of a feed by one is a shared fate."""
    plan = context.plan
    carried: dict[str, list[str]] = {}
    for site_name, site in plan.sites.items():
        for circuit_name, circuit in site.circuits.items():
            place = ("sites", site_name, "circuits", circuit_name)
            for index, feed_line in enumerate(circuit.carries):
                carried.setdefault(feed_line, []).append(circuit_name)
                exchange = plan.feeds[feed_line.partition(".")[0]].exchange
                if exchange != circuit.exchange:
                    message = f"{feed_line} is of {exchange}, and the circuit comes from {circuit.exchange}"
                    yield context.error(message, *place, "carries", index, related=(*place, "exchange"))
    for feed_name, feed in plan.feeds.items():
        for line_name in feed.lines:
            if f"{feed_name}.{line_name}" not in carried:
                message = "is carried by no circuit: name it in a circuit's carries"
                yield context.error(message, "feeds", feed_name, "lines", line_name)
        yield from _shared_fate(context, feed_name, carried)


def _shared_fate(context: CheckContext, feed_name: str, carried: dict[str, list[str]]) -> Iterator[Problem]:
    """A promise to survive a failure turns a shared circuit into a mistake; ``survival`` names that one."""
    lines = context.plan.feeds[feed_name].lines
    used = {circuit for line in lines for circuit in carried.get(f"{feed_name}.{line}", [])}
    promise = context.plan.promises.get(feed_name)
    if len(lines) > 1 and len(used) == 1 and (promise is None or promise.survives is None):
        message = f"all lines come by circuit {used.pop()} alone and share its fate"
        yield context.warning(message, "feeds", feed_name, "lines")


def joins(context: CheckContext) -> Iterator[Problem]:
    """A router joins a line by the circuit that BGP prefers for its source: each of an exchange's has to carry it."""
    for site_name, site in context.plan.sites.items():
        for router_name, router in site.routers.items():
            first: dict[str, str] = {}
            for index, name in enumerate(router.circuits):
                circuit = site.circuits[name]
                other = first.setdefault(circuit.exchange, name)
                if set(circuit.carries) != set(site.circuits[other].carries):
                    message = (
                        f"{other} and {name} both lead to {circuit.exchange}, and a line is joined by the one that BGP"
                        " prefers, whether that carries it or not: put them on two routers, or let both carry the same"
                    )
                    place = ("sites", site_name, "routers", router_name, "circuits", index)
                    related = ("sites", site_name, "circuits", name, "carries")
                    yield context.error(message, *place, related=related)


def relays(context: CheckContext) -> Iterator[Problem]:
    """Each feed of a relay reaches its site."""
    for site_name, site in context.plan.sites.items():
        here = {feed_line.partition(".")[0] for circuit in site.circuits.values() for feed_line in circuit.carries}
        for relay_name, relay in site.relays.items():
            for index, feed in enumerate(relay.feeds):
                if feed not in here:
                    message = f"no circuit of {site_name} carries a line of {feed}"
                    yield context.error(message, "sites", site_name, "relays", relay_name, "feeds", index)


def subscribers(context: CheckContext) -> Iterator[Problem]:
    """Each feed of a subscriber is carried by one of its relays, and each of those reaches its VPC."""
    plan = context.plan
    subscribed = set()
    for name, subscriber in plan.subscribers.items():
        vpc = subscriber.subnet.rpartition(".")[0]
        for index, feed in enumerate(subscriber.feeds):
            subscribed.add(feed)
            if not context.relays_carrying(subscriber, feed):
                message = f"none of its relays ({', '.join(subscriber.relays)}) carries {feed}"
                yield context.error(message, "subscribers", name, "feeds", index)
        for index, relay_name in enumerate(subscriber.relays):
            site_name, relay = context.relays()[relay_name]
            site = plan.sites[site_name]
            landing = site.uplinks[relay_uplink(site, relay)].to
            if vpc not in cloud_ways(plan, landing):
                message = f"{relay_name} leaves by {relay_uplink(site, relay)} to {landing}, which does not reach {vpc}"
                yield context.error(message + _two_hops(context, landing, vpc), "subscribers", name, "from", index)
    for feed in plan.promises:
        if feed not in subscribed:
            yield context.warning("nobody subscribes to this feed", "promises", feed)


def single_ways(context: CheckContext) -> Iterator[Problem]:
    """What has no numbers is taken from one place: by one router at a relay, from one relay at a subscriber."""
    plan = context.plan
    unnumbered = {name: next(iter(feed.lines)) for name, feed in plan.feeds.items() if _is_unnumbered(feed)}
    for site_name, site in plan.sites.items():
        for relay_name, relay in site.relays.items():
            for index, feed in enumerate(relay.feeds):
                if feed in unnumbered:
                    routers = context.layout(site_name).routers_of_line(f"{feed}.{unnumbered[feed]}")
                    place = ("sites", site_name, "relays", relay_name, "feeds", index)
                    yield from _untold(context, f"{feed} arrives by", routers, *place)
    for name, subscriber in plan.subscribers.items():
        for index, feed in enumerate(subscriber.feeds):
            if feed in unnumbered:
                relays = context.relays_carrying(subscriber, feed)
                yield from _untold(context, f"{feed} comes from", relays, "subscribers", name, "feeds", index)


def _is_unnumbered(feed: Feed) -> bool:
    return feed.protocol is Protocol.RAW and len(feed.lines) == 1


def _untold(context: CheckContext, what: str, ways: list[str], *place: PathKey) -> Iterator[Problem]:
    if len(ways) > 1:
        message = f"{what} {' and '.join(ways)}, and without numbers nothing tells the copies apart: leave one"
        yield context.error(message, *place)


def _two_hops(context: CheckContext, landing: str, vpc: str) -> str:
    plan = context.plan
    between = sorted(set(reachable_vpcs(plan, landing)) & set(reachable_vpcs(plan, vpc)))
    if not between:
        return ": peer the two VPCs"
    return f": peering is not transitive, so {between[0]} is no way there without a bridge (bridges)"
