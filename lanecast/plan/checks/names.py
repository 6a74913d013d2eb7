"""Names that stand for something elsewhere in the plan, and names that stand twice."""

from __future__ import annotations

from collections.abc import Iterator

from lanecast.plan.checks.context import CheckContext
from lanecast.plan.model import Router, Site
from lanecast_relay.config.document import PathKey, Problem
from lanecast_relay.config.model import INTERFACE_NAME_CHARACTERS


def references(context: CheckContext) -> Iterator[Problem]:
    """Every name that is used has to be given somewhere."""
    yield from _feeds(context)
    for site_name, site in context.plan.sites.items():
        yield from _site(context, site_name, site)
    yield from _cloud(context)
    yield from _subscribers(context)
    for name in context.plan.promises:
        if name not in context.plan.feeds:
            yield context.unknown("feed", name, context.plan.feeds, "promises", name)


def _feeds(context: CheckContext) -> Iterator[Problem]:
    for name, feed in context.plan.feeds.items():
        if feed.exchange not in context.plan.exchanges:
            yield context.unknown("exchange", feed.exchange, context.plan.exchanges, "feeds", name, "exchange")


def _site(context: CheckContext, name: str, site: Site) -> Iterator[Problem]:
    plan = context.plan
    if site.region not in plan.regions:
        yield context.unknown("region", site.region, plan.regions, "sites", name, "region")
    for circuit_name, circuit in site.circuits.items():
        place = ("sites", name, "circuits", circuit_name)
        if circuit.exchange not in plan.exchanges:
            yield context.unknown("exchange", circuit.exchange, plan.exchanges, *place, "exchange")
        for index, feed_line in enumerate(circuit.carries):
            yield from _carried(context, feed_line, (*place, "carries", index))
    for relay_name, relay in site.relays.items():
        place = ("sites", name, "relays", relay_name)
        for index, feed in enumerate(relay.feeds):
            if feed not in plan.feeds:
                yield context.unknown("feed", feed, plan.feeds, *place, "feeds", index)
        if relay.uplink is not None and relay.uplink not in site.uplinks:
            yield context.unknown(f"uplink of {name}", relay.uplink, site.uplinks, *place, "uplink")
    for uplink_name, uplink in site.uplinks.items():
        yield from _vpc(context, uplink.to, "sites", name, "uplinks", uplink_name, "to")
    for router_name, router in site.routers.items():
        yield from _router(context, name, site, router_name, router)


def _carried(context: CheckContext, feed_line: str, place: tuple[PathKey, ...]) -> Iterator[Problem]:
    feed_name, feed, line = context.feed_of_line(feed_line)
    if feed is None:
        yield context.unknown("feed", feed_name, context.plan.feeds, *place)
    elif line not in feed.lines:
        yield context.unknown(f"line of {feed_name}", line, feed.lines, *place)


def _router(context: CheckContext, site_name: str, site: Site, name: str, router: Router) -> Iterator[Problem]:
    place = ("sites", site_name, "routers", name)
    for kind, named, known in (("circuit", router.circuits, site.circuits), ("uplink", router.uplinks, site.uplinks)):
        for index, item in enumerate(named):
            if item not in known:
                yield context.unknown(f"{kind} of {site_name}", item, known, *place, f"{kind}s", index)
    if not router.circuits:
        yield context.error("has no circuits, so nothing arrives at it", *place, "circuits")
    purposes = {*router.circuits, *site.uplinks, "multicast", "lan"}
    for purpose in router.ports:
        if purpose not in purposes:
            yield context.unknown("purpose", purpose, purposes, *place, "ports", purpose)


def _vpc(context: CheckContext, reference: str, *place: PathKey) -> Iterator[Problem]:
    known = {f"{region}.{vpc}" for region, held in context.plan.regions.items() for vpc in held.vpcs}
    if reference not in known:
        yield context.unknown("VPC", reference, known, *place)


def _cloud(context: CheckContext) -> Iterator[Problem]:
    for name, peering in context.plan.peerings.items():
        for index, vpc in enumerate(peering.between):
            yield from _vpc(context, vpc, "peerings", name, "between", index)
        if peering.between[0] == peering.between[1]:
            yield context.error("peers a VPC with itself", "peerings", name, "between")


def _subscribers(context: CheckContext) -> Iterator[Problem]:
    plan = context.plan
    subnets = {
        f"{region}.{vpc}.{subnet}"
        for region, held in plan.regions.items()
        for vpc, inside in held.vpcs.items()
        for subnet in inside.subnets
    }
    relays = context.relays()
    for name, subscriber in plan.subscribers.items():
        place = ("subscribers", name)
        if subscriber.subnet not in subnets:
            yield context.unknown("subnet", subscriber.subnet, subnets, *place, "subnet")
        for index, feed in enumerate(subscriber.feeds):
            if feed not in plan.feeds:
                yield context.unknown("feed", feed, plan.feeds, *place, "feeds", index)
        for index, relay in enumerate(subscriber.relays):
            if relay not in relays:
                yield context.unknown("relay", relay, relays, *place, "from", index)


def attachments(context: CheckContext) -> Iterator[Problem]:
    """Every circuit and uplink is on one router, and a router has at most one uplink."""
    for site_name, site in context.plan.sites.items():
        for circuit in site.circuits:
            owners = [name for name, router in site.routers.items() if circuit in router.circuits]
            if len(owners) != 1:
                where = "no router" if not owners else " and ".join(owners)
                message = f"is on {where}: name it in the circuits of one router of {site_name}"
                yield context.error(message, "sites", site_name, "circuits", circuit)
        taken: dict[str, str] = {}
        for uplink in site.uplinks:
            owners = _uplink_routers(site, uplink)
            place = ("sites", site_name, "uplinks", uplink)
            if len(owners) != 1:
                where = "no router" if not owners else " or ".join(owners)
                yield context.error(f"could be on {where}: name it in routers.ROUTER.uplinks of one", *place)
            elif owners[0] in taken:
                message = f"shares router {owners[0]} with {taken[owners[0]]}: give each uplink a router of its own"
                yield context.error(message, *place, related=("sites", site_name, "uplinks", taken[owners[0]]))
            else:
                taken[owners[0]] = uplink


def _uplink_routers(site: Site, uplink: str) -> list[str]:
    named = [name for name, router in site.routers.items() if uplink in router.uplinks]
    role = site.uplinks[uplink].role
    return named or [
        name
        for name, router in site.routers.items()
        if any(site.circuits[circuit].role is role for circuit in router.circuits if circuit in site.circuits)
    ]


def duplicates(context: CheckContext) -> Iterator[Problem]:
    """Names of nodes and links are unique in a plan, those that the compiler makes included."""
    first: dict[str, tuple[PathKey, ...]] = {}
    for name, place in _node_names(context):
        if name in first:
            yield context.error(f"a second node would be called {name}; the first is", *place, related=first[name])
        first.setdefault(name, place)
    links: dict[str, tuple[PathKey, ...]] = {}
    for site_name, site in context.plan.sites.items():
        for kind, names in (("circuits", site.circuits), ("uplinks", site.uplinks)):
            for name in names:
                here = ("sites", site_name, kind, name)
                if name in links:
                    yield context.error(f"a second link is called {name}; the first is", *here, related=links[name])
                links.setdefault(name, here)


def _node_names(context: CheckContext) -> Iterator[tuple[str, tuple[PathKey, ...]]]:
    for exchange in context.plan.exchanges:
        for suffix in ("router", "source"):
            yield f"{exchange}-{suffix}", ("exchanges", exchange)
    for site_name, site in context.plan.sites.items():
        for router in site.routers:
            yield router, ("sites", site_name, "routers", router)
        for relay in site.relays:
            yield relay, ("sites", site_name, "relays", relay)
        for uplink in site.uplinks:
            yield f"{uplink}-gateway", ("sites", site_name, "uplinks", uplink)
    for name, subscriber in context.plan.subscribers.items():
        for number in range(1, subscriber.count + 1):
            yield f"{name}-{number}", ("subscribers", name)


def interface_names(context: CheckContext) -> Iterator[Problem]:
    """Interfaces are called after what they are for unless the plan gives ports; Linux takes 15 characters."""
    for site_name, site in context.plan.sites.items():
        layout = context.layout(site_name)
        for router_name in site.routers:
            place = ("sites", site_name, "routers", router_name)
            circuits, uplinks = layout.circuits_of(router_name), layout.uplinks_of(router_name)
            tags = {name: link.vlan for name, link in circuits.items()}
            tags |= {name: link.vlan for name, link in uplinks.items()}
            for link_name, vlan in tags.items():
                name = f"{layout.port(router_name, link_name, link_name)}.{vlan}"
                yield from _too_long(context, name, link_name, *place)
        for relay_name in site.relays:
            for router_name in site.routers:
                for purpose in ("multicast", "lan"):
                    name = layout.relay_port(relay_name, purpose, router_name)
                    place = ("sites", site_name, "relays", relay_name)
                    yield from _too_long(context, name, f"{purpose}.{router_name}", *place)


def _too_long(context: CheckContext, name: str, purpose: str, *place: PathKey) -> Iterator[Problem]:
    if len(name) > INTERFACE_NAME_CHARACTERS:
        yield context.error(
            f"its interface {name} has {len(name)} characters and Linux takes {INTERFACE_NAME_CHARACTERS}: "
            f"give a shorter one in ports.{purpose}",
            *place,
        )
