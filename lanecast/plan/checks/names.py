"""Names that stand for something elsewhere in the plan, and names that stand twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lanecast.plan.checks.context import CheckContext, UnknownName
from lanecast.plan.layout import COUNTERPARTS, HAND_OVER, PROMETHEUS, SEGMENT_PORTS, bridge_instance
from lanecast.plan.model import Site
from lanecast.platforms import FACTS
from lanecast_relay.config.document import PathKey, Problem
from lanecast_relay.config.model import INTERFACE_NAME_CHARACTERS


def unknown_names(context: CheckContext) -> Iterator[UnknownName]:
    """Every name that is used and that nothing has."""
    yield from _feeds(context)
    for site_name, site in context.plan.sites.items():
        yield from _site(context, site_name, site)
    for name, peering in context.plan.peerings.items():
        for index, vpc in enumerate(peering.between):
            yield from _vpc(context, vpc, "peerings", name, "between", index)
    yield from _bridges(context)
    yield from _subscribers(context)
    yield from _unknown("feed", list(context.plan.promises), context.plan.feeds, "promises", are_keys=True)


def _unknown(
    kind: str, used: Iterable[str], known: Iterable[str], *place: PathKey, are_keys: bool = False
) -> Iterator[UnknownName]:
    """Those of the names ``used`` in a list, or as a mapping's keys, at ``place`` that are not known."""
    names = tuple(sorted(known))
    for index, name in enumerate(used):
        if name not in names:
            yield UnknownName(kind, name, names, (*place, name if are_keys else index), are_keys)


def _unknown_one(kind: str, name: str | None, known: Iterable[str], *place: PathKey) -> Iterator[UnknownName]:
    """The same for a single name that may be left out."""
    names = tuple(sorted(known))
    if name is not None and name not in names:
        yield UnknownName(kind, name, names, place)


def _feeds(context: CheckContext) -> Iterator[UnknownName]:
    for name, feed in context.plan.feeds.items():
        yield from _unknown_one("exchange", feed.exchange, context.plan.exchanges, "feeds", name, "exchange")


def _site(context: CheckContext, name: str, site: Site) -> Iterator[UnknownName]:
    plan = context.plan
    yield from _unknown_one("region", site.region, plan.regions, "sites", name, "region")
    for circuit_name, circuit in site.circuits.items():
        place = ("sites", name, "circuits", circuit_name)
        yield from _unknown_one("exchange", circuit.exchange, plan.exchanges, *place, "exchange")
        for index, feed_line in enumerate(circuit.carries):
            yield from _carried(context, feed_line, (*place, "carries", index))
    for relay_name, relay in site.relays.items():
        place = ("sites", name, "relays", relay_name)
        yield from _unknown("feed", relay.feeds, plan.feeds, *place, "feeds")
        yield from _unknown_one(f"uplink of {name}", relay.uplink, site.uplinks, *place, "uplink")
        purposes = {f"{purpose}.{router}" for purpose in ("multicast", "lan") for router in site.routers}
        yield from _unknown("purpose", list(relay.ports), purposes, *place, "ports", are_keys=True)
    for uplink_name, uplink in site.uplinks.items():
        yield from _vpc(context, uplink.to, "sites", name, "uplinks", uplink_name, "to")
    for router_name, router in site.routers.items():
        place = ("sites", name, "routers", router_name)
        yield from _unknown(f"circuit of {name}", router.circuits, site.circuits, *place, "circuits")
        yield from _unknown(f"uplink of {name}", router.uplinks, site.uplinks, *place, "uplinks")
        purposes = {*router.circuits, *site.uplinks, "multicast", "lan"}
        yield from _unknown("purpose", list(router.ports), purposes, *place, "ports", are_keys=True)
        for index, feed_line in enumerate(router.static_joins):
            yield from _carried(context, feed_line, (*place, "static-joins", index))


def _carried(context: CheckContext, feed_line: str, place: tuple[PathKey, ...]) -> Iterator[UnknownName]:
    feeds = context.plan.feeds
    whole = tuple(f"{name}.{line}" for name, feed in sorted(feeds.items()) for line in sorted(feed.lines))
    feed_name, feed, line = context.feed_of_line(feed_line)
    if feed is None:
        yield UnknownName("feed", feed_name, tuple(sorted(feeds)), place, replacements=whole)
    elif line not in feed.lines:
        yield UnknownName(f"line of {feed_name}", line, tuple(sorted(feed.lines)), place, replacements=whole)


def _vpc(context: CheckContext, reference: str, *place: PathKey) -> Iterator[UnknownName]:
    known = {f"{region}.{vpc}" for region, held in context.plan.regions.items() for vpc in held.vpcs}
    yield from _unknown_one("VPC", reference, known, *place)


def _subnets(context: CheckContext) -> set[str]:
    return {
        f"{region}.{vpc}.{subnet}"
        for region, held in context.plan.regions.items()
        for vpc, inside in held.vpcs.items()
        for subnet in inside.subnets
    }


def _bridges(context: CheckContext) -> Iterator[UnknownName]:
    for name, bridge in context.plan.bridges.items():
        for key, vpc in (("from", bridge.from_), ("via", bridge.via), ("to", bridge.to)):
            yield from _vpc(context, vpc, "bridges", name, key)
        yield from _unknown_one("subnet", bridge.subnet, _subnets(context), "bridges", name, "subnet")
        for offer_name, offer in bridge.offers.items():
            yield from _vpc(context, offer.in_, "bridges", name, "offers", offer_name, "in")


def _subscribers(context: CheckContext) -> Iterator[UnknownName]:
    plan = context.plan
    subnets = _subnets(context)
    relays = context.relays()
    for name, subscriber in plan.subscribers.items():
        yield from _unknown_one("subnet", subscriber.subnet, subnets, "subscribers", name, "subnet")
        yield from _unknown("feed", subscriber.feeds, plan.feeds, "subscribers", name, "feeds")
        yield from _unknown("relay", subscriber.relays, relays, "subscribers", name, "from")


def idle(context: CheckContext) -> Iterator[Problem]:
    """What connects nothing: a router without circuits, a VPC peered with itself."""
    for site_name, site in context.plan.sites.items():
        for name, router in site.routers.items():
            if not router.circuits:
                message = "has no circuits, so nothing arrives at it"
                yield context.error(message, "sites", site_name, "routers", name, "circuits")
    for name, peering in context.plan.peerings.items():
        if peering.between[0] == peering.between[1]:
            yield context.error("peers a VPC with itself", "peerings", name, "between")


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
        if name in (COUNTERPARTS, HAND_OVER, PROMETHEUS):
            yield context.error(f"{name} is a folder beside those of the nodes: choose another name", *place)
        if name in first:
            yield context.error(f"a second node would be called {name}; the first is", *place, related=first[name])
        first.setdefault(name, place)
    links: dict[str, tuple[PathKey, ...]] = {}
    for name, place in _network_names(context):
        if name in links:
            yield context.error(f"a second link is called {name}; the first is", *place, related=links[name])
        links.setdefault(name, place)
    for site_name, site in context.plan.sites.items():
        for kind, names in (("circuits", site.circuits), ("uplinks", site.uplinks)):
            for name in names:
                if name in RESERVED_LINK_NAMES:
                    message = (
                        f"{name} is what an interface inside a router's counterpart is called: choose another name"
                    )
                    yield context.error(message, "sites", site_name, kind, name)


RESERVED_LINK_NAMES = frozenset({"vpc", *(f"source{number}" for number in range(256))})
"""The far ends of links are called after them, beside a gateway's and an exchange's other interfaces."""


def _network_names(context: CheckContext) -> Iterator[tuple[str, tuple[PathKey, ...]]]:
    """Links and segments, those that the compiler makes included."""
    for exchange in context.plan.exchanges:
        yield f"{exchange}-source0", ("exchanges", exchange)
    for site_name, site in context.plan.sites.items():
        for router in site.routers:
            for purpose in ("multicast", "lan"):
                yield f"{router}-{purpose}", ("sites", site_name, "routers", router)
        for kind, names in (("circuits", site.circuits), ("uplinks", site.uplinks)):
            for name in names:
                yield name, ("sites", site_name, kind, name)


def _node_names(context: CheckContext) -> Iterator[tuple[str, tuple[PathKey, ...]]]:
    for exchange in context.plan.exchanges:
        for suffix in ("router", "source"):
            yield f"{exchange}-{suffix}", ("exchanges", exchange)
    for site_name, site in context.plan.sites.items():
        for router in site.routers:
            yield router, ("sites", site_name, "routers", router)
            yield f"{router}-switch", ("sites", site_name, "routers", router)
        for relay in site.relays:
            yield relay, ("sites", site_name, "relays", relay)
        for uplink in site.uplinks:
            yield f"{uplink}-gateway", ("sites", site_name, "uplinks", uplink)
    for name, bridge in context.plan.bridges.items():
        for number in range(1, bridge.count + 1):
            yield bridge_instance(name, number), ("bridges", name)
    for name, subscriber in context.plan.subscribers.items():
        for number in range(1, subscriber.count + 1):
            yield f"{name}-{number}", ("subscribers", name)


def repeated(context: CheckContext) -> Iterator[Problem]:
    """A list of names has each of them once."""
    for site_name, site in context.plan.sites.items():
        here = ("sites", site_name)
        for name, circuit in site.circuits.items():
            yield from _repeated(context, circuit.carries, *here, "circuits", name, "carries")
        for name, relay in site.relays.items():
            yield from _repeated(context, relay.feeds, *here, "relays", name, "feeds")
        for name, router in site.routers.items():
            yield from _repeated(context, router.circuits, *here, "routers", name, "circuits")
            yield from _repeated(context, router.uplinks, *here, "routers", name, "uplinks")
    for name, subscriber in context.plan.subscribers.items():
        yield from _repeated(context, subscriber.feeds, "subscribers", name, "feeds")
        yield from _repeated(context, subscriber.relays, "subscribers", name, "from")


def _repeated(context: CheckContext, names: list[str], *place: PathKey) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield context.error(f"{name} stands twice", *place, index, related=(*place, names.index(name)))


def interface_names(context: CheckContext) -> Iterator[Problem]:
    """Interfaces are called after what they are for unless the plan gives ports; Linux takes 15 characters."""
    for site_name, site in context.plan.sites.items():
        layout = context.layout(site_name)
        for router in site.routers:
            facts = FACTS[site.routers[router].platform]
            vlans = {name: circuit.vlan for name, circuit in layout.circuits_of(router).items()}
            vlans |= {name: uplink.vlan for name, uplink in layout.uplinks_of(router).items()}
            named = [(name, f"{layout.port(router, name, name)}.{vlan}") for name, vlan in vlans.items()]
            segments = SEGMENT_PORTS if site.routers[router].switch is None else ()
            named += [(purpose, layout.segment_interface(router, purpose)) for purpose in segments]
            most = INTERFACE_NAME_CHARACTERS if facts.made_up_names else None
            yield from _ill_named(context, named, most, "sites", site_name, "routers", router)
        for relay in site.relays:
            named = [
                (f"{purpose}.{router}", layout.relay_port(relay, purpose, router))
                for router in site.routers
                for purpose in SEGMENT_PORTS
            ]
            yield from _ill_named(context, named, INTERFACE_NAME_CHARACTERS, "sites", site_name, "relays", relay)


def _ill_named(
    context: CheckContext, named: list[tuple[str, str]], most: int | None, *place: PathKey
) -> Iterator[Problem]:
    """A node's interfaces, by what they are for, that have no name of their own or one that Linux does not take.

    ``most``: the characters that Linux takes; None where the node is no Linux box.
    """
    first: dict[str, str] = {}
    for purpose, name in named:
        if most is not None and len(name) > most:
            message = f"its interface {name} has {len(name)} characters and Linux takes {most}"
            yield context.error(f"{message}: give a shorter one in ports.{purpose}", *place)
        if name in first:
            message = f"its interface {name} is for {first[name]} already: give another one in ports.{purpose}"
            yield context.error(message, *place)
        first.setdefault(name, purpose)
