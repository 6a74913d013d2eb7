"""Addresses, AS numbers and VLANs that collide or do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from lanecast.plan.checks.bridges import may_overlap
from lanecast.plan.checks.context import CheckContext
from lanecast.plan.layout import FIRST_INSTANCE_OFFSET, subnet_cidr
from lanecast.plan.providers import PROVIDERS
from lanecast_relay.config.document import PathKey, Problem

Place = tuple[PathKey, ...]

VPC_CIDR_KEYS = len(("regions", "REGION", "vpcs", "VPC", "cidr"))

LINK_PREFIX_LENGTHS = (30, 31)
"""A point-to-point link: RFC 3021 for /31."""


def _overlaps(context: CheckContext, networks: Sequence[tuple[IPv4Network, Place]]) -> Iterator[Problem]:
    """Each pair of overlapping networks once, at the later one of the document; not where a bridge keeps them apart."""
    ordered = sorted(networks, key=lambda item: (item[0].network_address, item[0].prefixlen))
    open_networks: list[tuple[IPv4Network, Place]] = []
    for network, place in ordered:
        open_networks = [held for held in open_networks if held[0].broadcast_address >= network.network_address]
        for other, other_place in open_networks:
            later, earlier = sorted(
                ((network, place), (other, other_place)), key=lambda item: context.document.line_of(item[1])
            )[::-1]
            path = ".".join(str(key) for key in earlier[1])
            reason = _reason(context, place, other_place)
            if reason is not None:
                message = f"{later[0]} overlaps {path}, {earlier[0]}{reason}"
                yield context.error(message, *later[1], related=earlier[1])
        open_networks.append((network, place))


def _reason(context: CheckContext, place: Place, other: Place) -> str | None:
    """Why two places may not overlap, where there is more to say than that; None where they may."""
    vpcs = [f"{each[1]}.{each[3]}" for each in (place, other) if each[0] == "regions" and len(each) == VPC_CIDR_KEYS]
    joined = {bridge.ends for bridge in context.plan.bridges.values()}
    if len(vpcs) < len((place, other)) or not {(vpcs[0], vpcs[1]), (vpcs[1], vpcs[0])} & joined:
        return ""
    why = may_overlap(context, *vpcs)
    return None if why is None else f": {why}"


def networks(context: CheckContext) -> Iterator[Problem]:
    """VPCs, links, the pool of the sites and what exchanges publish share no address; nor do subnets of a VPC."""
    found: list[tuple[IPv4Network, Place]] = [(context.plan.pools.sites, ("pools", "sites"))]
    for region_name, region in context.plan.regions.items():
        for vpc_name, vpc in region.vpcs.items():
            place = ("regions", region_name, "vpcs", vpc_name)
            found.append((vpc.cidr, (*place, "cidr")))
            subnets = [(subnet.cidr, (*place, "subnets", name, "cidr")) for name, subnet in vpc.subnets.items()]
            yield from _overlaps(context, subnets)
            for cidr, where in subnets:
                if not cidr.subnet_of(vpc.cidr):
                    yield context.error(f"{cidr} is not inside its VPC, {vpc.cidr}", *where, related=(*place, "cidr"))
    found += _published(context)
    for site_name, site in context.plan.sites.items():
        for kind, links in (("circuits", site.circuits), ("uplinks", site.uplinks)):
            for name, link in links.items():
                end = ("sites", site_name, kind, name, "link")
                found.append((link.link, end))
                if link.link.prefixlen not in LINK_PREFIX_LENGTHS:
                    yield context.error(f"expected a /30 or /31 for a link of two ends, found {link.link}", *end)
    yield from _overlaps(context, found)


def _published(context: CheckContext) -> list[tuple[IPv4Network, Place]]:
    """What exchanges announce, or where that is left open their sources and re-request servers, each once."""
    found: dict[IPv4Network, Place] = {}
    place: Place
    for name, exchange in context.plan.exchanges.items():
        for index, prefix in enumerate(exchange.prefixes):
            found.setdefault(prefix, ("exchanges", name, "prefixes", index))
    for feed_name, feed in context.plan.feeds.items():
        if not context.plan.exchanges[feed.exchange].prefixes:
            for line_name, line in feed.lines.items():
                place = ("feeds", feed_name, "lines", line_name, "source")
                found.setdefault(IPv4Network(line.source), place)
            for channel, asked in (feed.recovery.servers if feed.recovery else {}).items():
                for index, server in enumerate(asked):
                    place = ("feeds", feed_name, "recovery", "servers", channel, index)
                    found.setdefault(IPv4Network(server.address), place)
    return list(found.items())


def is_a_host(address: IPv4Address) -> bool:
    """Whether a host can have an address, and others reach it."""
    return not (address.is_multicast or address.is_loopback or address.is_unspecified or address.is_reserved)


def sources(context: CheckContext) -> Iterator[Problem]:
    """A source is one exchange's, and an address that a host can have."""
    first: dict[IPv4Address, tuple[str, Place]] = {}
    for feed_name, feed in context.plan.feeds.items():
        for line_name, line in feed.lines.items():
            place = ("feeds", feed_name, "lines", line_name, "source")
            if not is_a_host(line.source):
                yield context.error(f"expected a host's address, found {line.source}", *place)
            exchange, where = first.setdefault(line.source, (feed.exchange, place))
            if exchange != feed.exchange:
                yield context.error(f"{line.source} is a source of {exchange} already", *place, related=where)


def instances(context: CheckContext) -> Iterator[Problem]:
    """A subnet has room for the instances of all its subscribers."""
    wanted: dict[str, int] = {}
    asked: list[tuple[str, int, Place]] = [
        (bridge.subnet, 2 * bridge.count, ("bridges", name, "count"))  # each has an address of its own and a shared one
        for name, bridge in context.plan.bridges.items()
        if bridge.subnet is not None
    ]
    asked += [
        (subscriber.subnet, subscriber.count + (subscriber.load_balancer is not None), ("subscribers", name, "count"))
        for name, subscriber in context.plan.subscribers.items()
    ]
    for subnet, count, place in asked:
        cidr = subnet_cidr(context.plan, subnet)
        usable = cidr.num_addresses - 2
        room = usable - FIRST_INSTANCE_OFFSET + 1 if usable >= FIRST_INSTANCE_OFFSET else usable - 1
        wanted[subnet] = wanted.get(subnet, 0) + count
        if wanted[subnet] > room:
            message = f"{subnet} ({cidr}) has room for {room} instances, asked for {wanted[subnet]}"
            yield context.error(message, *place)


def as_numbers(context: CheckContext) -> Iterator[Problem]:
    """Exchanges, sites and clouds speak eBGP with each other: no two may share a number."""
    of_clouds = {provider.asn: provider.title for provider in PROVIDERS.values()}
    first: dict[int, Place] = {}
    for section, owners in (
        ("exchanges", {name: exchange.asn for name, exchange in context.plan.exchanges.items()}),
        ("sites", {name: site.asn for name, site in context.plan.sites.items()}),
    ):
        for name, asn in owners.items():
            place = (section, name, "asn")
            if asn in of_clouds:
                yield context.error(f"{asn} is {of_clouds[asn]}'s own, on the other end of uplinks", *place)
            if asn is not None and asn in first:
                held = ".".join(str(key) for key in first[asn])
                yield context.error(f"{asn} is {held} already", *place, related=first[asn])
            elif asn is not None:
                first[asn] = place


def vlans(context: CheckContext) -> Iterator[Problem]:
    """Links on one port of a router have tags of their own."""
    for site_name, site in context.plan.sites.items():
        for router_name, router in site.routers.items():
            tags: dict[tuple[str, int], Place] = {}
            for kind, names, links in (
                ("circuits", router.circuits, site.circuits),
                ("uplinks", router.uplinks, site.uplinks),
            ):
                for name in names:
                    tag = (router.ports.get(name, "the same port"), links[name].vlan)
                    place = ("sites", site_name, kind, name, "vlan")
                    if tag in tags:
                        message = f"{tag[1]} is taken on {tag[0]} of {router_name}"
                        yield context.error(message, *place, related=tags[tag])
                    tags.setdefault(tag, place)
