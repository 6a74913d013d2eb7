"""Recovery in generated plans: relays know whom to ask, a way leads there and back, and nothing else takes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from generated_plans import Compile, Document, interface_of, of_node, plans, properties, relays_of, servers_of
from hypothesis import given

from lanecast.fabric import (
    Fabric,
    Host,
    HostRole,
)
from lanecast.router import (
    ForwardRule,
    RouterRole,
)
from lanecast_relay.config.model import Endpoint


@properties
@given(plans())
def test_a_relay_at_a_site_asks_the_servers_of_its_feeds_and_no_other_relay_asks(
    compiled: Compile, document: Document
) -> None:
    fabric = compiled(document)
    for host in fabric.hosts:
        for name, feed in (host.relay.feeds if host.relay else {}).items():
            planned = document["feeds"][name].get("recovery")
            if planned is None or host.role is HostRole.SUBSCRIBER:
                assert feed.recovery is None
                continue
            assert feed.recovery is not None
            asked = {channel: [str(one) for one in servers] for channel, servers in feed.recovery.servers.items()}
            assert asked == planned["servers"], "in the plan's order"
            assert feed.recovery.wait_ns == 100_000_000
    for compiled_feed in fabric.feeds:
        planned = document["feeds"][compiled_feed.name].get("recovery")
        found = compiled_feed.recovery and compiled_feed.recovery.servers
        assert found == (planned and {c: tuple(map(endpoint, servers)) for c, servers in planned["servers"].items()})


def endpoint(text: str) -> Endpoint:
    address, _, port = text.partition(":")
    return Endpoint(IPv4Address(address), int(port))


@properties
@given(plans())
def test_a_relay_has_a_way_to_each_server_by_every_circuit_and_two_servers_share_none(
    compiled: Compile, document: Document
) -> None:
    fabric = compiled(document)
    for relay_name, (site, relay) in relays_of(document).items():
        host = of_node(fabric)[relay_name]
        taken = {name: document["feeds"][name] for name in relay["feeds"]}
        sources = {line["source"] for feed in taken.values() for line in feed["lines"].values()}
        for feed in taken.values():
            routers = {
                name
                for name, router in site["routers"].items()
                if any(site["circuits"][circuit]["exchange"] == feed["exchange"] for circuit in router["circuits"])
            }
            for servers in feed.get("recovery", {}).get("servers", {}).values():
                own = [server.partition(":")[0] for server in servers if server.partition(":")[0] not in sources]
                ways = {server: ways_to(fabric, host, server) for server in own}
                for server, way in ways.items():
                    assert set(way) == routers, f"{relay_name} does not reach {server} by each circuit"
                    assert len(way) == len(set(way))
                preferred = [way[0] for way in ways.values()]
                assert len(set(preferred)) == min(len(own), len(routers)), "one circuit's failure leaves a server"


def ways_to(fabric: Fabric, host: object, server: str) -> list[str]:
    """The routers that a host's routes to a server lead to, the preferred one first."""
    assert isinstance(host, Host)
    routes = sorted((r for r in host.routes if r.prefix == IPv4Network(server)), key=lambda route: route.metric)
    assert len({route.metric for route in routes}) == len(routes), "a route of one metric replaces another"
    found = []
    for route in routes:
        segment = interface_of(fabric, host.name, route.interface).attached_to
        (held,) = [one for one in fabric.segments if one.name == segment]
        router, router_interface = held.attachments[0]
        assert interface_of(fabric, router, router_interface).address.ip == route.via
        assert held.multicast, "from the relay's own WAN address"
        found.append(router)
    return found


@dataclass(frozen=True)
class Packet:
    """A UDP packet on its way through a router."""

    interface: str
    out: str
    source: Endpoint
    destination: Endpoint
    answers: bool = False


def lets_through(rule: ForwardRule, packet: Packet) -> bool:
    """Whether a rule is about a packet: what is left open matches everything."""
    return (
        (rule.interface, rule.out) == (packet.interface, packet.out)
        and (not rule.sources or any(packet.source.address in one for one in rule.sources))
        and (not rule.source_endpoints or packet.source in rule.source_endpoints)
        and (not rule.destinations or any(packet.destination.address in one for one in rule.destinations))
        and (not rule.destination_endpoints or packet.destination in rule.destination_endpoints)
        and (not rule.answers or packet.answers)
    )


@properties
@given(plans())
def test_requests_and_answers_pass_a_circuit_and_nothing_like_them(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    for router in fabric.routers:
        firewall = router.firewall
        if router.role is not RouterRole.SITE:
            assert not firewall.guarded
            continue
        site = document["sites"][router.place]
        circuits = {held.attached_to: held for held in router.interfaces if held.attached_to in site["circuits"]}
        assert set(firewall.guarded) == {held.name for held in circuits.values()}
        (inside,) = [held for held in router.interfaces if held.attached_to == f"{router.name}-multicast"]
        (lan,) = [held for held in router.interfaces if held.attached_to == f"{router.name}-lan"]
        relay = Endpoint(inside.address.ip + 1, 40000)
        taken = {feed for held in site["relays"].values() for feed in held["feeds"]}
        for name, feed in document["feeds"].items():
            for server in map(endpoint, servers_of(feed)):
                for circuit, held in circuits.items():
                    of_circuit = feed["exchange"] == site["circuits"][circuit]["exchange"] and name in taken
                    request = Packet(inside.name, held.name, relay, server)
                    answer = Packet(held.name, inside.name, server, relay, answers=True)
                    assert passes(firewall.forwarded, request) is of_circuit
                    assert passes(firewall.forwarded, answer) is of_circuit
                    for other in like(request, lan.name, relay.address) + like(answer, lan.name, relay.address):
                        assert not passes(firewall.forwarded, other), other
                    assert not passes(firewall.forwarded, replace(answer, answers=False)), "nobody asked for it"


def passes(rules: tuple[ForwardRule, ...], packet: Packet) -> bool:
    return any(lets_through(rule, packet) for rule in rules)


def like(packet: Packet, lan: str, relay: IPv4Address) -> list[Packet]:
    """Packets that differ in one thing from one that passes."""
    stranger = Endpoint(IPv4Address("198.18.7.7"), packet.source.port)
    found = [
        replace(packet, out=lan),
        replace(packet, interface=lan),
        replace(packet, source=stranger),
        replace(packet, destination=replace(stranger, port=packet.destination.port)),
    ]
    # The server's port is what tells a request from any other packet to it; a relay asks from whichever it has.
    if packet.source.address == relay:
        found.append(replace(packet, destination=replace(packet.destination, port=53)))
    else:
        found.append(replace(packet, source=replace(packet.source, port=53)))
    return found


@properties
@given(plans())
def test_every_line_passes_its_circuit(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    for router in fabric.routers:
        if router.role is RouterRole.SITE:
            (inside,) = [held for held in router.interfaces if held.attached_to == f"{router.name}-multicast"]
            for packet in carried(fabric, document, router.name, inside.name):
                assert passes(router.firewall.forwarded, packet)
                assert not passes(
                    router.firewall.forwarded, replace(packet, interface=inside.name, out=packet.interface)
                )


def carried(fabric: Fabric, document: Document, router: str, inside: str) -> Iterator[Packet]:
    """A packet of each group that a router's circuits carry."""
    for site in document["sites"].values():
        for circuit in site["routers"].get(router, {"circuits": []})["circuits"]:
            (end,) = [held.name for held in fabric.router(router).interfaces if held.attached_to == circuit]
            for feed, _, line in (name.partition(".") for name in site["circuits"][circuit]["carries"]):
                planned = document["feeds"][feed]["lines"][line]
                for group in planned["groups"].values():
                    yield Packet(end, inside, Endpoint(IPv4Address(planned["source"]), 9999), endpoint(group))
