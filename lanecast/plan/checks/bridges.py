"""Bridges, by which two VPCs that are not peered reach each other through a third; and pairs that are peered twice."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from lanecast.plan.checks.context import CheckContext
from lanecast.plan.layout import cloud_ways, peering_between, vpc_cidr
from lanecast.plan.model import Bridge, BridgeMethod
from lanecast_relay.config.document import PathKey, Problem

THREE = 3


def pairs(context: CheckContext) -> Iterator[Problem]:
    """Two VPCs have one peering (the cloud takes no second) or else one bridge."""
    peered: dict[frozenset[str], str] = {}
    for name, peering in context.plan.peerings.items():
        pair = frozenset(peering.between)
        if pair in peered:
            message = f"{' and '.join(peering.between)} are peered by {peered[pair]} already"
            yield context.error(message, "peerings", name, "between", related=("peerings", peered[pair], "between"))
        peered.setdefault(pair, name)
    bridged: dict[frozenset[str], str] = {}
    for name, bridge in context.plan.bridges.items():
        pair = frozenset(bridge.ends)
        ends = f"{bridge.from_} and {bridge.to}"
        if pair in peered:
            message = f"{ends} are peered by {peered[pair]}, so no bridge is needed"
            yield context.error(message, "bridges", name, related=("peerings", peered[pair]))
        if pair in bridged:
            message = f"{ends} are joined by {bridged[pair]} already"
            yield context.error(message, "bridges", name, related=("bridges", bridged[pair]))
        bridged.setdefault(pair, name)


def peerings(context: CheckContext) -> Iterator[Problem]:
    """A bridge is between three VPCs, and the one in the middle is peered with both others."""
    for name, bridge in context.plan.bridges.items():
        if len({*bridge.ends, bridge.via}) < THREE:
            yield context.error("joins two VPCs through a third, so it names three", "bridges", name)
            continue
        for key, end in zip(("from", "to"), bridge.ends, strict=True):
            if peering_between(context.plan, bridge.via, end) is None:
                message = f"{bridge.via} is not peered with {end}: add the peering, or go via another VPC"
                yield context.error(message, "bridges", name, key)


def instances(context: CheckContext) -> Iterator[Problem]:
    """A bridge that translates has instances in the middle VPC; one that is the VPC's own switch has none."""
    for name, bridge in context.plan.bridges.items():
        place = ("bridges", name)
        if bridge.method is BridgeMethod.TRANSIT:
            for key in ("subnet", "count", "offers"):
                if key in bridge.model_fields_set:
                    message = "belongs to method nat: in transit addresses stay as they are, and there are no instances"
                    yield context.error(message, *place, key, related=(*place, "method"))
        elif bridge.subnet is None:
            yield context.error(f"its instances need a subnet of {bridge.via} (subnet)", *place)
        elif bridge.subnet.rpartition(".")[0] != bridge.via:
            message = f"{bridge.subnet} is not in {bridge.via}, which the bridge goes via"
            yield context.error(message, *place, "subnet", related=(*place, "via"))


def offers(context: CheckContext) -> Iterator[Problem]:
    """What a bridge offers is at one of its ends, at an address of it, once."""
    for name, bridge in context.plan.bridges.items():
        first: dict[object, tuple[PathKey, ...]] = {}
        for offer_name, offer in bridge.offers.items():
            place = ("bridges", name, "offers", offer_name)
            if offer.in_ not in bridge.ends:
                message = f"{offer.in_} is at no end of the bridge, which joins {' and '.join(bridge.ends)}"
                yield context.error(message, *place, "in")
            elif offer.at.address not in vpc_cidr(context.plan, offer.in_):
                message = f"{offer.at.address} is not in {offer.in_} ({vpc_cidr(context.plan, offer.in_)})"
                yield context.error(message, *place, "at")
            what = (offer.at, offer.protocol)
            if what in first:
                message = f"{offer.at} by {offer.protocol} is offered already"
                yield context.error(message, *place, "at", related=first[what])
            first.setdefault(what, place)


def transit(context: CheckContext) -> Iterator[Problem]:
    """What the cloud refuses of a VPC that forwards from one peering to another, and whom else that lets through."""
    forwarding = {
        bridge.via: name for name, bridge in context.plan.bridges.items() if bridge.method is BridgeMethod.TRANSIT
    }
    for name, peering in context.plan.peerings.items():
        first, second = peering.between
        if first in forwarding and second in forwarding and first != second:
            message = f"{first} and {second} both forward between peerings (transit), and the cloud peers no two such"
            related = ("bridges", forwarding[first], "method")
            yield context.error(message, "peerings", name, "between", related=related)
    for name, bridge in context.plan.bridges.items():
        if bridge.method is BridgeMethod.TRANSIT:
            yield from _others_let_through(context, name, bridge)


def _others_let_through(context: CheckContext, name: str, bridge: Bridge) -> Iterator[Problem]:
    peered = {
        vpc for peering in context.plan.peerings.values() if bridge.via in peering.between for vpc in peering.between
    }
    joined = {end for held in context.plan.bridges.values() if held.via == bridge.via for end in held.ends}
    others = sorted(peered - joined - {bridge.via})
    if others:
        message = (
            f"{bridge.via} then forwards between all its peerings, those to {', '.join(others)} as well: "
            "only the routes of the VPCs keep them apart"
        )
        yield context.warning(message, "bridges", name, "method")


def may_overlap(context: CheckContext, first: str, second: str) -> str | None:
    """Why two VPCs may not have addresses in common; None where a bridge that translates is all that sees both."""
    plan = context.plan
    joined = [
        bridge
        for bridge in plan.bridges.values()
        if set(bridge.ends) == {first, second} and bridge.method is BridgeMethod.NAT
    ]
    if not joined:
        return "only the two ends of a bridge by nat may share addresses"
    allowed = {bridge.via for bridge in joined}
    for vpc in _vpcs(context):
        ways = cloud_ways(plan, vpc)
        plain = {other for other, way in ways.items() if not way.translated}
        if vpc not in allowed and {first, second} <= plain:
            return f"{vpc} reaches both"
    for site_name, site in plan.sites.items():
        plain = {
            other
            for uplink in site.uplinks.values()
            for other, way in cloud_ways(plan, uplink.to).items()
            if not way.translated
        }
        if {first, second} <= plain:
            return f"the uplinks of {site_name} reach both"
    return None


def _vpcs(context: CheckContext) -> Iterator[str]:
    for region, held in context.plan.regions.items():
        yield from (f"{region}.{vpc}" for vpc in held.vpcs)


def offered_addresses(context: CheckContext) -> Iterator[Problem]:
    """Where the two ends share addresses, an offered one is of one end alone: the bridge has one way to it."""
    for name, bridge in context.plan.bridges.items():
        cidrs = [vpc_cidr(context.plan, end) for end in bridge.ends]
        if not cidrs[0].overlaps(cidrs[1]):
            continue
        first: dict[IPv4Address, str] = {}
        for offer_name, offer in bridge.offers.items():
            held = first.setdefault(offer.at.address, offer.in_)
            if held != offer.in_:
                message = f"{offer.at.address} is offered by {held} as well, and the bridge has one way to an address"
                yield context.error(message, "bridges", name, "offers", offer_name, "at")
