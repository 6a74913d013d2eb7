"""What holds for every plan: hypothesis makes plans, the compiler decides, and the Fabric is held against the plan.

What is expected is read from the plan's text here, not from ``lanecast.plan.layout``: the compiler uses that itself.

Without a lock file the same plan gives the same Fabric, whatever the order of its mappings, and no more is promised: an
addition may move what was there (``test_without_a_lock_an_addition_may_move_values`` shows one that does). With the lock
an addition moves nothing of the sites and the cloud, nor of the circuits and uplinks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from generated_plans import (
    EXAMPLE,
    SECRET,
    Compile,
    Document,
    additions,
    all_interfaces,
    interface_of,
    of_node,
    plans,
    properties,
    reordered,
)
from hypothesis import given
from hypothesis import strategies as st

from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.lockfile import read_lock, write_lock
from lanecast.plan.loader import load_plan
from lanecast.plan.providers import PROVIDERS
from lanecast.router import (
    InterfaceRole,
    Router,
    RouterRole,
)
from lanecast_relay.config.model import INTERFACE_NAME_CHARACTERS
from lanecast_templates.renderer import SecretResolver, render_fabric

# 2: the address plan


@properties
@given(plans())
def test_addresses_and_names_stand_once(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    addresses = Counter(address.ip for _, held in all_interfaces(fabric) for address in held.addresses)
    addresses.update(shared.address for shared in fabric.cloud.shared_addresses)
    addresses.update(offer.target.address for offer in fabric.offers)
    addresses.update(balancer.address for balancer in fabric.cloud.load_balancers)
    addresses.update(subnet.gateway for vpc in fabric.cloud.vpcs for subnet in vpc.subnets)
    assert {address: count for address, count in addresses.items() if count > 1} == {}
    names = [node.name for node in fabric.nodes()]
    assert len(names) == len(set(names))
    places = [segment.name for segment in fabric.segments] + [link.name for link in fabric.links]
    assert len(places) == len(set(places))
    for node in fabric.nodes():
        own = [interface.name for interface in node.interfaces]
        assert len(own) == len(set(own)), f"{node.name}: {own}"
    for node, interface in all_interfaces(fabric):
        for name in (interface.name, interface.parent or "lo"):
            assert 1 <= len(name) <= INTERFACE_NAME_CHARACTERS, f"{node.name}: {name}"
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]*", name), f"{node.name}: {name}"


@properties
@given(plans())
def test_networks_hold_their_ends_and_do_not_overlap(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    networks: list[tuple[str, IPv4Network]] = []
    for link in fabric.links:
        first, second = (interface_of(fabric, *end) for end in link.ends)
        assert first.attached_to == second.attached_to == link.name
        ends = {address.network for end in (first, second) for address in end.addresses}
        assert len(ends) == 1, f"{link.name}: {ends}"
        networks.append((link.name, ends.pop()))
    for segment in fabric.segments:
        for node, name in segment.attachments:
            interface = interface_of(fabric, node, name)
            assert interface.attached_to == segment.name
            assert interface.address.network == segment.cidr
        networks.append((segment.name, segment.cidr))
    pool = IPv4Network(document.get("pools", {}).get("sites", "10.200.0.0/16"))
    assert all(segment.cidr.subnet_of(pool) for segment in fabric.segments)
    for gateway in fabric.cloud.gateways:
        (inside,) = [held for held in of_node(fabric)[gateway.name].interfaces if held.role is InterfaceRole.CLOUD]
        networks.append((f"behind {gateway.name}", inside.address.network))
    for vpc in fabric.cloud.vpcs:
        networks.append((vpc.name, vpc.cidr))
        assert all(subnet.cidr.subnet_of(vpc.cidr) for subnet in vpc.subnets)
        assert_apart([(subnet.name, subnet.cidr) for subnet in vpc.subnets])
    assert_apart(networks)
    for holder, interface in all_interfaces(fabric):
        for address in interface.addresses:
            if address.network.prefixlen < 31:
                assert address.ip in list(address.network.hosts()), f"{holder.name}: {address}"


def assert_apart(networks: list[tuple[str, IPv4Network]]) -> None:
    """No two of the networks share an address."""
    for (name, network), (other_name, other) in combinations(networks, 2):
        assert not network.overlaps(other), f"{name} {network}, {other_name} {other}"


@properties
@given(plans())
def test_links_have_the_addresses_of_the_plan_and_instances_their_subnets(
    compiled: Compile, document: Document
) -> None:
    fabric = compiled(document)
    links = {link.name: link for link in fabric.links}
    for site_name, site in document["sites"].items():
        for kind in ("circuits", "uplinks"):
            for name, planned in site[kind].items():
                ends = {node: interface_of(fabric, node, interface).address for node, interface in links.pop(name).ends}
                (site_end,) = [node for node in ends if node in site["routers"]]
                (far_end,) = set(ends) - {site_end}
                low, high = list(IPv4Network(planned["link"]).hosts())
                length = IPv4Network(planned["link"]).prefixlen
                assert ends == {far_end: IPv4Interface(f"{low}/{length}"), site_end: IPv4Interface(f"{high}/{length}")}
                assert fabric.router(site_end).place == site_name
                if kind == "circuits":
                    assert far_end == f"{planned['exchange']}-router"
                    assert name in site["routers"][site_end]["circuits"]
    assert all("-source" in name for name in links), "the plan says nothing of these links"
    cidrs = {subnet.name: subnet for vpc in fabric.cloud.vpcs for subnet in vpc.subnets}
    instances = {instance.name: instance for instance in fabric.cloud.instances}
    planned_subnets = {
        f"{name}-{number}": subscriber["subnet"]
        for name, subscriber in document["subscribers"].items()
        for number in range(1, subscriber["count"] + 1)
    }
    planned_subnets |= {
        f"{name}-bridge-{number}": bridge["subnet"]
        for name, bridge in document.get("bridges", {}).items()
        for number in range(1, bridge.get("count", 0) + 1)
    }
    assert {name: instance.subnet for name, instance in instances.items()} == planned_subnets
    for instance in instances.values():
        subnet = cidrs[instance.subnet]
        assert instance.address.network == subnet.cidr
        assert instance.address.ip not in (subnet.gateway, subnet.cidr.network_address, subnet.cidr.broadcast_address)
        assert interface_of(fabric, instance.name, "eth0").address == instance.address


@properties
@given(plans())
def test_router_ids_and_as_numbers_are_unique(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    identifiers = [router.bgp.router_id for router in fabric.routers if router.bgp]
    assert len(identifiers) == len(set(identifiers))
    owners: dict[int, set[tuple[str, str]]] = {}
    clouds = {provider.asn for provider in PROVIDERS.values()}
    for router in fabric.routers:
        if router.bgp:
            assert router.bgp.router_id in [address.ip for held in router.interfaces for address in held.addresses]
            if router.role is RouterRole.GATEWAY:
                assert router.bgp.asn in clouds
                continue
            owner = owner_of(router)
            owners.setdefault(router.bgp.asn, set()).add(owner)
            planned = document[owner[0]][owner[1]].get("asn")
            assert router.bgp.asn == planned if planned else 64512 <= router.bgp.asn <= 65534
    assert [held for held in owners.values() if len(held) > 1] == []
    written = [held["asn"] for key in ("exchanges", "sites") for held in document[key].values() if "asn" in held]
    invented = [int(value) for purpose, value in fabric.invented.items() if purpose.startswith("asn/")]
    assert set(Counter(written + invented).values()) == {1}


def owner_of(router: Router) -> tuple[str, str]:
    """The plan's section and name of whose AS a router is in."""
    section = {RouterRole.EXCHANGE: "exchanges", RouterRole.SITE: "sites"}[router.role]
    return section, router.place.partition(".")[0]


@pytest.mark.parametrize("source", ["172.16.0.0", "10.0.0.0", "203.0.0.0", "223.255.255.255"])
def test_a_source_at_the_edge_of_large_networks_is_no_hard_case(compiled: Compile, source: str) -> None:
    """Only a large network has such an address inside: looking for it must not list its hosts."""
    text = EXAMPLE.replace("source: 198.51.100.11", f"source: {source}").replace("10.8.", "100.64.")
    fabric = compiled(text + "pools: {sites: 100.72.0.0/16}\n")
    sender = of_node(fabric)["exchange-source"]
    assert IPv4Address(source) in {address.ip for held in sender.interfaces for address in held.addresses}


# 3: stability


@properties
@given(plans(), st.integers(0, 2**16))
def test_the_same_plan_gives_the_same_fabric_in_any_order(compiled: Compile, document: Document, seed: int) -> None:
    first = compiled(document)
    assert compiled(document) == first
    other = compiled(reordered(document, seed))
    assert other == first
    assert render_fabric(other, SecretResolver({SECRET: "x"})) == render_fabric(first, SecretResolver({SECRET: "x"}))


@properties
@given(plans())
def test_the_lock_of_a_plan_changes_nothing(compiled: Compile, folder: Path, document: Document) -> None:
    fabric = compiled(document)
    path = folder / "plan.yaml"
    write_lock(path, fabric.invented)
    try:
        assert read_lock(path) == fabric.invented
        assert compile_plan(load_plan(path)) == fabric
    finally:
        path.with_suffix(".lock.yaml").unlink()


@properties
@given(plans().flatmap(lambda plan: st.tuples(st.just(plan), additions(plan))))
def test_with_the_lock_an_addition_moves_nothing(compiled: Compile, pair: tuple[Document, Document]) -> None:
    before = compiled(pair[0])
    after = compiled(pair[1], before.invented)
    kept = dict(values_of(after))
    for key, value in values_of(before):
        assert kept[key] == value, key
    assert before.invented.items() <= after.invented.items()
    assert compiled(pair[1], after.invented) == after


@properties
@given(plans().flatmap(lambda plan: st.tuples(st.just(plan), additions(plan))))
def test_without_a_lock_an_addition_keeps_purposes(compiled: Compile, pair: tuple[Document, Document]) -> None:
    before, after = (compiled(document) for document in pair)
    assert set(before.invented) <= set(after.invented), "a purpose has a name of its own, whatever else there is"
    assert {key for key, _ in values_of(before)} <= {key for key, _ in values_of(after)}


def values_of(fabric: Fabric) -> Iterator[tuple[tuple[str, ...], object]]:
    """What an addition must not move, by what it belongs to.

    Not among it: the senders' side of an exchange, its router's identifier and the far side of a cloud gateway. These
    the lab alone runs, and the compiler finds them by position.
    """
    for node, held in all_interfaces(fabric):
        gateway_inside = held.role is InterfaceRole.CLOUD and isinstance(node, Router)
        if held.role is not InterfaceRole.SOURCE and not gateway_inside:
            yield ("interface", node.name, held.attached_to), (held.name, held.addresses, held.vlan, held.parent)
    for router in fabric.routers:
        if router.bgp:
            yield ("asn", router.name), router.bgp.asn
            for neighbor in router.bgp.neighbors:
                yield ("neighbor", router.name, neighbor.node), (neighbor.address, neighbor.asn, neighbor.interface)
        if router.bgp and router.role is not RouterRole.EXCHANGE:
            yield ("router id", router.name), router.bgp.router_id
    for host in fabric.hosts:
        for feed_name, feed in (host.relay.feeds if host.relay else {}).items():
            for line_name, line in feed.lines.items():
                yield ("line", host.name, feed_name, line_name), line
    for segment in fabric.segments:
        yield ("segment", segment.name), (segment.cidr, segment.switch, segment.attachments)
    for link in fabric.links:
        if not any(role is InterfaceRole.SOURCE for role in (interface_of(fabric, *end).role for end in link.ends)):
            yield ("link", link.name), (link.ends, link.vlan)
    for delivery in fabric.deliveries:
        yield ("delivery", delivery.instance, delivery.feed, delivery.relay), (delivery.endpoints, delivery.path)
    for application in fabric.applications:
        yield ("application", application.instance, application.feed), application.endpoints
    for instance in fabric.cloud.instances:
        yield ("instance", instance.name), instance.address
    for gateway in fabric.cloud.gateways:
        yield ("gateway", gateway.name), (gateway.address, gateway.vlan, gateway.vpc)
    for vpc in fabric.cloud.vpcs:
        for subnet in vpc.subnets:
            yield ("subnet", subnet.name), (subnet.cidr, subnet.gateway)


def with_a_site_before(document: Document) -> Document:
    """The example plan and a second site of the same exchange, whose names come before those of the first."""
    changed = deepcopy(document)
    text = yaml.safe_dump(changed["sites"]["site1"]).replace("192.0.2.", "198.18.0.")
    changed["sites"]["a-site"] = yaml.safe_load(re.sub(r"\b(circuit|router|relay|uplink)-([12ab])", r"a-\1-\2", text))
    changed["sites"]["a-site"]["asn"] = 65102
    return changed


def test_without_a_lock_an_addition_may_move_values(compiled: Compile) -> None:
    document = yaml.safe_load(EXAMPLE)
    before, after = compiled(document), compiled(with_a_site_before(document))
    assert dict(values_of(after))["segment", "router-1-lan"] != dict(values_of(before))["segment", "router-1-lan"]
    locked = compiled(with_a_site_before(document), before.invented)
    assert dict(values_of(before)).items() <= dict(values_of(locked)).items()
