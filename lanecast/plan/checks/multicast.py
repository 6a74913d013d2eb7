"""Groups, sources, lines and how many of them a Linux box takes."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from netaddr import IPNetwork, IPSet

from lanecast.plan.checks.context import CheckContext
from lanecast.plan.model import Feed, Rendezvous
from lanecast_relay.config.document import PathKey, Problem
from lanecast_relay.config.model import Endpoint, Protocol

LINK_LOCAL_GROUPS = IPv4Network("224.0.0.0/24")
"""RFC 5771, section 4: never forwarded by a router."""

MULTICAST_INTERFACES = 31
"""Linux: MAXVIFS is 32 (include/uapi/linux/mroute.h), and PIM's register interface takes one."""

IP_PAYLOAD_BYTES = 1472
"""What an Ethernet MTU of 1500 leaves after IPv4's and UDP's headers."""


def groups(context: CheckContext) -> Iterator[Problem]:
    """Every group is multicast, routable, source-specific where that is asked for, and named once."""
    source_specific = IPSet(IPNetwork(str(network)) for network in context.plan.multicast.ssm_ranges)
    sparse = {name: exchange.rendezvous for name, exchange in context.plan.exchanges.items()}
    first: dict[tuple[str, Endpoint], tuple[PathKey, ...]] = {}
    for feed_name, feed in context.plan.feeds.items():
        for line_name, line in feed.lines.items():
            for channel, group in line.groups.items():
                place = ("feeds", feed_name, "lines", line_name, "groups", channel)
                if not group.address.is_multicast:
                    yield context.error(f"expected a group in 224.0.0.0/4, found {group.address}", *place)
                elif group.address in LINK_LOCAL_GROUPS:
                    yield context.error(f"{group.address} is in {LINK_LOCAL_GROUPS}, which no router forwards", *place)
                elif str(group.address) not in source_specific and not _has_rendezvous(sparse[feed.exchange], group):
                    message = f"no range of multicast.ssm-ranges covers {group.address}: add one that does"
                    yield context.error(message, *place, related=("multicast", "ssm-ranges"))
                key = (str(line.source), group)
                if key in first:
                    yield context.error(f"{group} from {line.source} stands twice", *place, related=first[key])
                first.setdefault(key, place)


def _has_rendezvous(rendezvous: Rendezvous | None, group: Endpoint) -> bool:
    return rendezvous is not None and any(group.address in network for network in rendezvous.groups)


def lines(context: CheckContext) -> Iterator[Problem]:
    """Lines of a feed pair up by channel, come from the exchange's prefixes, and can be arbitrated."""
    for feed_name, feed in context.plan.feeds.items():
        yield from _channels(context, feed_name, feed)
        if feed.protocol is Protocol.RAW and len(feed.lines) > 1:
            message = "raw has no sequence numbers, so its lines cannot be arbitrated: give it one line"
            yield context.error(message, "feeds", feed_name, "lines")
        if feed.peak.size_bytes > IP_PAYLOAD_BYTES:
            message = f"{feed.peak.size_bytes} bytes do not fit an MTU of 1500: datagrams will be fragmented"
            yield context.warning(message, "feeds", feed_name, "peak", "bytes")
        prefixes = context.plan.exchanges[feed.exchange].prefixes
        for line_name, line in feed.lines.items():
            if prefixes and not any(line.source in prefix for prefix in prefixes):
                given = ", ".join(str(prefix) for prefix in prefixes)
                message = f"{line.source} is in none of the prefixes of {feed.exchange} ({given})"
                place = ("feeds", feed_name, "lines", line_name, "source")
                yield context.error(message, *place, related=("exchanges", feed.exchange, "prefixes"))


def _channels(context: CheckContext, feed_name: str, feed: Feed) -> Iterator[Problem]:
    first_name, first = next(iter(feed.lines.items()))
    for line_name, line in feed.lines.items():
        odd = sorted(set(line.groups) ^ set(first.groups))
        if odd:
            message = f"its channels are not those of line {first_name}: {', '.join(odd)} stand in only one of them"
            place = ("feeds", feed_name, "lines", line_name, "groups")
            yield context.error(message, *place, related=("feeds", feed_name, "lines", first_name, "groups"))


def limits(context: CheckContext) -> Iterator[Problem]:
    """Linux routes multicast on 31 interfaces, and a host joins no more groups than it may."""
    for site_name, site in context.plan.sites.items():
        for router_name, router in site.routers.items():
            count = len(router.circuits) + 1
            if count > MULTICAST_INTERFACES:
                message = f"{count} multicast interfaces: Linux routes multicast on at most {MULTICAST_INTERFACES}"
                yield context.error(message, "sites", site_name, "routers", router_name, "circuits")
        layout = context.layout(site_name)
        for relay_name, relay in site.relays.items():
            joined = sum(
                len(line.groups) * len(layout.routers_of_line(f"{feed}.{line_name}"))
                for feed in relay.feeds
                for line_name, line in context.plan.feeds[feed].lines.items()
            )
            if joined > context.plan.multicast.memberships:
                message = f"joins {joined} groups, more than multicast.memberships allows"
                place = ("sites", site_name, "relays", relay_name, "feeds")
                allowed = context.plan.multicast.memberships
                yield context.error(f"{message} ({allowed})", *place, related=("multicast", "memberships"))
