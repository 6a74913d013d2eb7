"""Who receives what by which way in generated plans, what is let through on the way, and what is rendered of it."""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

from generated_plans import (
    DEFAULT_ROUTE,
    SECRET,
    Compile,
    Document,
    asks,
    bridges_of,
    carrying,
    interface_of,
    landing,
    of_node,
    plans,
    properties,
    relays_of,
    routed_from,
    servers_of,
    uplink_of,
)
from hypothesis import given

from lanecast.fabric import (
    Fabric,
    Host,
    HostRole,
)
from lanecast.router import (
    Bgp,
    BgpNeighbor,
    Router,
    RouterRole,
)
from lanecast_relay.config.model import Endpoint, RelayFile
from lanecast_templates.renderer import SecretResolver, render_fabric

# 4: deliveries


@properties
@given(plans())
def test_every_instance_reads_each_of_its_feeds_once(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    wanted = {
        (f"{name}-{number}", feed): carrying(document, subscriber, feed)
        for name, subscriber in document["subscribers"].items()
        for number in range(1, subscriber["count"] + 1)
        for feed in subscriber["feeds"]
    }
    assert Counter((read.instance, read.feed) for read in fabric.applications) == Counter(list(wanted))
    copies = [(copy.instance, copy.feed, copy.relay) for copy in fabric.deliveries]
    assert Counter(copies) == Counter((*place, relay) for place, relays in wanted.items() for relay in relays)
    for delivery in fabric.deliveries:
        relay = relay_file(fabric, delivery.relay)
        assert delivery.feed in relay.feeds
        assert relay.subscribers[delivery.instance].feeds[delivery.feed] == delivery.sent_to
        assert set(delivery.endpoints) == set(fabric.feed(delivery.feed).channels)
        instance = interface_of(fabric, delivery.instance, "eth0")
        assert {endpoint.address for endpoint in delivery.endpoints.values()} == {instance.address.ip}
    for name in relays_of(document):
        sent = [
            (to, feed) for to, subscriber in relay_file(fabric, name).subscribers.items() for feed in subscriber.feeds
        ]
        assert sorted(sent) == sorted(place for place, relays in wanted.items() if name in relays)
    for read in fabric.applications:
        own = [copy for copy in fabric.deliveries if (copy.instance, copy.feed) == (read.instance, read.feed)]
        assert set(read.endpoints) == set(fabric.feed(read.feed).channels)
        if len(own) == 1:
            assert read.endpoints == own[0].endpoints
            continue
        assert {endpoint.address for endpoint in read.endpoints.values()} == {IPv4Address("127.0.0.1")}
        second = relay_file(fabric, read.instance)
        assert second.subscribers["application"].feeds[read.feed] == read.endpoints
        assert {name: line.unicast.listen for name, line in second.feeds[read.feed].lines.items() if line.unicast} == {
            copy.relay: copy.endpoints for copy in own
        }


def relay_file(fabric: Fabric, host: str) -> RelayFile:
    """What the relay on a host reads."""
    node = of_node(fabric)[host]
    assert isinstance(node, Host)
    assert node.relay is not None
    return node.relay


@properties
@given(plans())
def test_no_two_copies_arrive_at_one_endpoint(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    for instance in fabric.cloud.instances:
        arriving_at: list[Endpoint] = []
        for copy in fabric.deliveries:
            if copy.instance == instance.name:
                arriving_at += copy.endpoints.values()
        for read in fabric.applications:
            if read.instance == instance.name:
                arriving_at += [end for end in read.endpoints.values() if end.address.is_loopback]
        assert len(arriving_at) == len(set(arriving_at)), f"{instance.name}: {arriving_at}"
        assert all(1024 <= endpoint.port < 32768 for endpoint in arriving_at), "ephemeral ports start at 32768"


@properties
@given(plans())
def test_deliveries_go_the_way_of_the_plan(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    links = {link.name: link for link in fabric.links}
    delays = {peering.name: peering.delay_ns for peering in fabric.cloud.peerings}
    for delivery in fabric.deliveries:
        site, relay = relays_of(document)[delivery.relay]
        uplink = uplink_of(site, relay)
        (router,) = {node for node, _ in links[uplink].ends} & set(site["routers"])
        there = document["subscribers"][delivery.subscriber]["subnet"].rpartition(".")[0]
        landed = landing(document, delivery.relay)
        assert delivery.path[:4] == (f"{router}-switch", router, uplink, landed)
        delay_ns = links[uplink].delay_ns
        bridge_name, bridge = bridges_of(document, landed).get(there, (None, None))
        beyond = list(delivery.path[4:])
        if bridge is not None and bridge["method"] == "nat":
            assert beyond.pop(2) == bridge_name == delivery.bridge
        else:
            assert delivery.bridge is None
            assert delivery.sent_to == delivery.endpoints
        vpcs = [landed, *beyond[1::2]]
        assert vpcs == (
            [landed] if landed == there else [landed, there] if bridge is None else [landed, bridge["via"], there]
        )
        for peering, pair in zip(beyond[::2], pairwise(vpcs), strict=True):
            assert set(document["peerings"][peering]["between"]) == set(pair)
            delay_ns += delays[peering]
        assert delivery.delay_ns == delay_ns


@properties
@given(plans())
def test_every_line_reaches_the_relays_that_take_it(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    circuits = {name: circuit for site in document["sites"].values() for name, circuit in site["circuits"].items()}
    for feed in fabric.feeds:
        assert {line.name for line in feed.lines} == set(document["feeds"][feed.name]["lines"])
        for line in feed.lines:
            planned = document["feeds"][feed.name]["lines"][line.name]
            assert str(line.source) == planned["source"]
            assert {channel: str(group) for channel, group in line.groups.items()} == planned["groups"]
            assert set(line.circuits) == {
                name for name, circuit in circuits.items() if f"{feed.name}.{line.name}" in circuit["carries"]
            }
    for link in fabric.links:
        assert sorted(link.carries) == sorted(circuits[link.name]["carries"] if link.name in circuits else [])
    for name, (site, relay) in relays_of(document).items():
        taken = relay_file(fabric, name)
        assert set(taken.feeds) == set(relay["feeds"])
        for feed_name in relay["feeds"]:
            joined = Counter(
                (str(line.multicast.source), line.multicast.interface, tuple(sorted(line.multicast.groups.items())))
                for line in taken.feeds[feed_name].lines.values()
                if line.multicast
            )
            wanted = Counter(
                (str(line.source), multicast_interface(fabric, name, router), tuple(sorted(line.groups.items())))
                for line in fabric.feed(feed_name).lines
                for router, held in site["routers"].items()
                if set(held["circuits"]) & set(line.circuits)
            )
            assert joined == wanted
            assert joined, "a relay takes a feed that no circuit brings"
        assert_lets_in(fabric, name, taken)


def multicast_interface(fabric: Fabric, relay: str, router: str) -> str:
    """A relay's interface on the multicast segment of a router."""
    (segment,) = [held for held in fabric.segments if held.multicast and router in dict(held.attachments)]
    return dict(segment.attachments)[relay]


def assert_lets_in(fabric: Fabric, relay: str, taken: RelayFile) -> None:
    """A relay host's firewall and routes let every line in that its relay joins, and its routers let it through."""
    host = of_node(fabric)[relay]
    joins = [line.multicast for feed in taken.feeds.values() for line in feed.lines.values() if line.multicast]
    for join in joins:
        own = interface_of(fabric, relay, join.interface)
        (segment,) = [held for held in fabric.segments if held.name == own.attached_to]
        router_name, router_interface = segment.attachments[0]
        gateway = interface_of(fabric, router_name, router_interface).address.ip
        assert (IPv4Network(join.source), gateway, own.name) in [
            (route.prefix, route.via, route.interface) for route in host.routes
        ]
        multicast = fabric.router(router_name).multicast
        assert multicast is not None
        boundaries = dict(multicast.boundaries)
        for group in join.groups.values():
            assert any(
                rule.interface == own.name
                and rule.protocol == "udp"
                and rule.sources == (IPv4Network(join.source),)
                and IPv4Network(group.address) in rule.destinations
                and group.port in rule.ports
                for rule in host.firewall.rules
            ), f"{relay} drops {group} from {join.source}"
            assert IPv4Network(group.address) in boundaries[router_interface].permitted
            assert any(group.address in network for network in multicast.ssm_ranges)


# 5: filters


@properties
@given(plans())
def test_bgp_filters_pass_what_the_plan_says_and_nothing_else(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    segments = {segment.name: segment.cidr for segment in fabric.segments}
    sessions = set()
    for router in fabric.routers:
        if router.bgp is None:
            continue
        names = [held for neighbor in router.bgp.neighbors for held in (neighbor.accept.name, neighbor.announce.name)]
        assert len(names) == len(set(names))
        for neighbor in router.bgp.neighbors:
            sessions.add((router.name, neighbor.node))
            link = interface_of(fabric, router.name, neighbor.interface).attached_to
            expected = expected_filters(document, segments, router, link)
            assert (set(neighbor.accept.permitted), set(neighbor.announce.permitted)) == expected
            assert DEFAULT_ROUTE not in (*neighbor.accept.permitted, *neighbor.announce.permitted)
            assert neighbor.announce.longer is None
            assert neighbor.accept.longer is None or router.role is RouterRole.SITE
            assert set(neighbor.announce.permitted) <= set(router.bgp.networks)
            assert neighbor.maximum_prefixes >= max(1, len(neighbor.accept.permitted))
            assert_mirrored(fabric, router, neighbor)
    planned = set()
    for site in document["sites"].values():
        for name, router in site["routers"].items():
            planned |= {(name, f"{site['circuits'][circuit]['exchange']}-router") for circuit in router["circuits"]}
        for uplink, held in site["uplinks"].items():
            ends = next(link.ends for link in fabric.links if link.name == uplink)
            (on,) = {node for node, _ in ends} & set(site["routers"])
            if held["routing"] == "bgp":
                planned.add((on, f"{uplink}-gateway"))
    assert sessions == planned | {(second, first) for first, second in planned}


def expected_filters(
    document: Document, segments: dict[str, IPv4Network], router: Router, link: str
) -> tuple[set[IPv4Network], set[IPv4Network]]:
    """What a router accepts and announces over a link, by the plan."""
    (site,) = [held for held in document["sites"].values() if link in held["circuits"] or link in held["uplinks"]]
    if link in site["circuits"]:
        (own,) = [name for name, held in site["routers"].items() if link in held["circuits"]]
        exchange = site["circuits"][link]["exchange"]
        published = published_by(document, exchange)
        # An exchange's servers answer to where relays ask from: those of a site's own, and only where one asks.
        asking = {segments[f"{own}-multicast"]} if asks(document, site, exchange) else set()
        return (published, asking) if router.role is RouterRole.SITE else (asking, published)
    (own,) = [name for name in site["routers"] if name == router.name or name in neighbors_of(router)]
    clouds = {
        IPv4Network(document["regions"][region]["vpcs"][vpc]["cidr"])
        for region, _, vpc in (name.partition(".") for name in routed_from(document, site["uplinks"][link]["to"]))
    }
    lan = {segments[f"{own}-lan"]}
    return (clouds, lan) if router.role is RouterRole.SITE else (lan, clouds)


def published_by(document: Document, exchange: str) -> set[IPv4Network]:
    """What an exchange announces: its prefixes, or each source and server."""
    found = list(document["exchanges"][exchange].get("prefixes", []))
    for feed in () if found else document["feeds"].values():
        if feed["exchange"] == exchange:
            found += [line["source"] for line in feed["lines"].values()]
            found += [server.partition(":")[0] for server in servers_of(feed)]
    return {IPv4Network(prefix) for prefix in found}


def neighbors_of(router: Router) -> set[str]:
    """The nodes of a router's BGP sessions."""
    return {neighbor.node for neighbor in router.bgp.neighbors} if router.bgp else set()


def assert_mirrored(fabric: Fabric, router: Router, neighbor: BgpNeighbor) -> None:
    """The neighbour has the address and AS number that are expected of it, and expects this router."""
    assert router.bgp is not None
    other = fabric.router(neighbor.node).bgp
    assert isinstance(other, Bgp)
    assert other.asn == neighbor.asn
    own = interface_of(fabric, router.name, neighbor.interface).address
    assert neighbor.address in own.network
    (back,) = [held for held in other.neighbors if held.node == router.name and held.address == own.ip]
    assert back.asn == router.bgp.asn
    assert interface_of(fabric, neighbor.node, back.interface).address.ip == neighbor.address
    assert back.password == neighbor.password


@properties
@given(plans())
def test_multicast_passes_no_group_that_was_not_bought(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    for site in document["sites"].values():
        for name, planned in site["routers"].items():
            bought = {
                circuit: groups_of(document, site["circuits"][circuit]["carries"]) for circuit in planned["circuits"]
            }
            multicast = fabric.router(name).multicast
            assert multicast is not None
            boundaries = {
                interface_of(fabric, name, interface).attached_to: set(prefixes.permitted)
                for interface, prefixes in multicast.boundaries
            }
            assert boundaries == {f"{name}-multicast": set().union(*bought.values()), **{key: set() for key in bought}}
            for circuit, groups in bought.items():
                exchange = f"{site['circuits'][circuit]['exchange']}-router"
                theirs = fabric.router(exchange).multicast
                assert theirs is not None
                passed = {
                    interface_of(fabric, exchange, interface).attached_to: set(prefixes.permitted)
                    for interface, prefixes in theirs.boundaries
                }
                assert passed[circuit] == groups


def groups_of(document: Document, lines: list[str]) -> set[IPv4Network]:
    """The groups of ``feed.line``s."""
    return {
        IPv4Network(group.partition(":")[0])
        for feed, _, line in (name.partition(".") for name in lines)
        for group in document["feeds"][feed]["lines"][line]["groups"].values()
    }


# 6: rendered files


@properties
@given(plans())
def test_rendered_files_hold_no_gaps(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    rendered = render_fabric(fabric, SecretResolver({SECRET: "not-to-be-guessed"}))
    assert len({file.path for file in rendered}) == len(rendered)
    rendered_nodes = {file.path.parts[0] for file in rendered} - {"counterparts", "hand-over"}
    assert rendered_nodes == {
        *(router.name for router in fabric.routers if router.role is RouterRole.SITE),
        *(host.name for host in fabric.hosts if host.role is not HostRole.SOURCE),
    }
    for file in rendered:
        assert file.text.strip(), file.path
        assert not re.search("Undefined|None", file.text), file.path
        assert "not-to-be-guessed" not in file.text or file.path.name == "frr.conf"
