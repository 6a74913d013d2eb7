"""Re-request servers: which feeds can be asked for again, where, and whether an answer can come in time."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from lanecast.plan.checks.addresses import is_a_host
from lanecast.plan.checks.context import CheckContext
from lanecast.plan.layout import servers_of
from lanecast.plan.model import Feed
from lanecast_relay.config.document import PathKey, Problem
from lanecast_relay.config.model import RECOVERY_LINE, Endpoint, Protocol, Recovery

ASKED_OVER_UDP = frozenset({Protocol.MOLDUDP64})
"""Whose requests a relay can put: most others are asked over TCP, or send again by multicast."""

NANOSECONDS_PER_MS = 1_000_000


def servers(context: CheckContext) -> Iterator[Problem]:
    """Only feeds that can be asked over UDP name servers: the exchange's own, some for each channel."""
    for name, feed in context.plan.feeds.items():
        if feed.recovery is None:
            continue
        place = ("feeds", name, "recovery")
        if feed.protocol not in ASKED_OVER_UDP:
            known = ", ".join(sorted(ASKED_OVER_UDP))
            message = f"relays cannot ask for {feed.protocol.value} again, only for {known}: leave recovery out"
            yield context.error(message, *place, related=("feeds", name, "protocol"))
        if RECOVERY_LINE in feed.lines:
            message = f"a relay counts what servers answer as line {RECOVERY_LINE}: give this line another name"
            yield context.error(message, "feeds", name, "lines", RECOVERY_LINE, related=place)
        yield from _channels(context, name, feed, feed.recovery)
        for channel, asked in feed.recovery.servers.items():
            for index, server in enumerate(asked):
                yield from _server(context, name, feed, server, (*place, "servers", channel, index))
                if server in asked[:index]:
                    first = (*place, "servers", channel, asked.index(server))
                    yield context.error(f"{server} stands twice", *place, "servers", channel, index, related=first)
    yield from _of_two_exchanges(context)


def _channels(context: CheckContext, name: str, feed: Feed, recovery: Recovery) -> Iterator[Problem]:
    place = ("feeds", name, "recovery", "servers")
    line_name, line = next(iter(feed.lines.items()))
    odd = sorted(set(recovery.servers) ^ set(line.groups))
    if odd:
        message = f"its channels are not those of line {line_name}: {', '.join(odd)} stand in only one of them"
        yield context.error(message, *place, related=("feeds", name, "lines", line_name, "groups"))
    for channel, asked in recovery.servers.items():
        if not asked:
            yield context.error("names no server", *place, channel)
        elif len(asked) == 1:
            message = "one server, by one circuit: when either fails, nothing is recovered"
            yield context.warning(message, *place, channel)


def _server(
    context: CheckContext, name: str, feed: Feed, server: Endpoint, place: tuple[PathKey, ...]
) -> Iterator[Problem]:
    if not is_a_host(server.address):
        yield context.error(f"expected a host's address, found {server.address}", *place)
    prefixes = context.plan.exchanges[feed.exchange].prefixes
    if prefixes and not any(server.address in prefix for prefix in prefixes):
        given = ", ".join(str(prefix) for prefix in prefixes)
        message = f"{server.address} is in none of the prefixes of {feed.exchange} ({given}), so no circuit leads there"
        yield context.error(message, *place, related=("exchanges", feed.exchange, "prefixes"))


def _of_two_exchanges(context: CheckContext) -> Iterator[Problem]:
    """An address is one exchange's, be it a source's or a server's."""
    owners: dict[IPv4Address, tuple[str, tuple[PathKey, ...]]] = {}
    for name, feed in context.plan.feeds.items():
        for line_name, line in feed.lines.items():
            owners.setdefault(line.source, (feed.exchange, ("feeds", name, "lines", line_name, "source")))
    for name, feed in context.plan.feeds.items():
        for channel, asked in (feed.recovery.servers if feed.recovery else {}).items():
            for index, server in enumerate(asked):
                place = ("feeds", name, "recovery", "servers", channel, index)
                exchange, first = owners.setdefault(server.address, (feed.exchange, place))
                if exchange != feed.exchange:
                    yield context.error(f"{server.address} is an address of {exchange} already", *place, related=first)


def times(context: CheckContext) -> Iterator[Problem]:
    """Each server is asked, and its answer comes back over the slowest circuit, before a hole is given up."""
    for name, feed in context.plan.feeds.items():
        if feed.recovery is None or not servers_of(feed):
            continue
        most = max(len(asked) for asked in feed.recovery.servers.values())
        # Each question without an answer doubles the time to the next one.
        last_asked_ns = feed.recovery.retry_ns * (2 ** (most - 1) - 1)
        delays = [
            circuit.delay_ns
            for site in context.plan.sites.values()
            if any(name in relay.feeds for relay in site.relays.values())
            for circuit in site.circuits.values()
            if circuit.exchange == feed.exchange
        ]
        needed_ns = last_asked_ns + 2 * max(delays, default=0)
        if feed.recovery.wait_ns <= needed_ns:
            message = (
                f"{feed.recovery.wait_ns / NANOSECONDS_PER_MS:g} ms are over before the last of {most} servers can"
                f" answer: it is asked after {last_asked_ns / NANOSECONDS_PER_MS:g} ms, and its answer takes"
                f" {(needed_ns - last_asked_ns) / NANOSECONDS_PER_MS:g} ms over the slowest circuit"
            )
            yield context.error(message, "feeds", name, "recovery", "wait")
