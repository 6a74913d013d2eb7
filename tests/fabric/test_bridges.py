"""Bridges of generated plans: each packet is followed by the routes and translations that were decided, there and back."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from generated_plans import Compile, Document, bridges_of, peered_with, plans, properties
from hypothesis import given

from lanecast.cloud_state import CloudState
from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric, Host, HostRole
from lanecast.nat_bridge import Translation
from lanecast.plan.loader import load_plan
from lanecast_relay.config.document import DocumentError
from lanecast_relay.config.model import Endpoint

ROOT = Path(__file__).parent.parent.parent
THREE_REGIONS = (ROOT / "examples/three-regions.yaml").read_text()


def next_vpc(cloud: CloudState, vpc: str, address: IPv4Address) -> str | None:
    """Where a VPC's router sends a packet: to itself for its own addresses; None where nothing leads there."""
    held = next(one for one in cloud.vpcs if one.name == vpc)
    if address in held.cidr:
        return vpc
    fitting = [route for route in held.routes if address in route.prefix]
    if not fitting:
        return None
    target = max(fitting, key=lambda route: route.prefix.prefixlen).target
    peering = next((one for one in cloud.peerings if one.name == target), None)
    if peering is None:
        return next(one.vpc for one in cloud.gateways if one.name == target)
    return peering.second if peering.first == vpc else peering.first


def translations_of(host: Host) -> dict[tuple[str, Endpoint], tuple[str, Translation]]:
    """What an instance translates, by protocol and address, with the direction's name."""
    assert host.nat is not None
    found = [(direction.name, each) for direction in host.nat.directions for each in direction.translations]
    keys = Counter((each.protocol, each.at) for _, each in found)
    assert set(keys.values()) <= {1}, "an address and port stand for one thing"
    return {(each.protocol, each.at): (name, each) for name, each in found}


def instances_of(fabric: Fabric, bridge: str) -> list[Host]:
    """A bridge's instances."""
    return [host for host in fabric.hosts if host.nat is not None and host.nat.bridge == bridge]


def wanted(fabric: Fabric, bridge: str) -> list[tuple[str, str, Endpoint, Endpoint, str, str]]:
    """(protocol, purpose, address at the bridge, target, VPC of the sender, VPC of the target) of all that it carries."""
    found = [
        ("udp", delivery.relay, delivery.sent_to[channel], target, delivery.path[3], delivery.path[-1])
        for delivery in fabric.deliveries
        if delivery.bridge == bridge
        for channel, target in delivery.endpoints.items()
    ]
    offers = [offer for offer in fabric.offers if offer.bridge == bridge]
    return found + [(one.protocol, one.name, one.at, one.target, one.reached_from, one.vpc) for one in offers]


@properties
@given(plans())
def test_what_crosses_a_bridge_gets_there_and_back(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    for name, bridge in document.get("bridges", {}).items():
        instances = instances_of(fabric, name)
        assert len(instances) == bridge.get("count", 0)
        assert {tuple(translations_of(host)) for host in instances} == (
            {tuple(translations_of(instances[0]))} if instances else set()
        )
        carried = wanted(fabric, name)
        for host in instances:
            held = translations_of(host)
            assert len(held) == len(carried)
            for protocol, _, at, target, near, far in carried:
                direction, translation = held[protocol, at]
                assert translation.target == target
                assert direction == f"{near} to {far}"
                assert {near, far} == {bridge["from"], bridge["to"]}
                assert next_vpc(fabric.cloud, near, at.address) == bridge["via"], "there"
                assert next_vpc(fabric.cloud, bridge["via"], target.address) == far, "and on"
                assert next_vpc(fabric.cloud, far, at.address) == bridge["via"], "and back"


@properties
@given(plans())
def test_every_address_of_a_bridge_is_one_instance_s_and_all_stand_in(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    shared = {one.address: one for one in fabric.cloud.shared_addresses}
    for name, bridge in document.get("bridges", {}).items():
        instances = instances_of(fabric, name)
        for host in instances:
            assert host.nat is not None
            assert host.role is HostRole.BRIDGE
            assert len(host.nat.shared) == bridge["count"]
            others = [one.nat.own_address for one in instances if one.nat is not None and one is not host]
            assert list(host.nat.peers) == others
            for held in host.nat.shared:
                assert shared[held.address].subnet == bridge["subnet"]
                assert {one.name for one in instances} == set(shared[held.address].instances)
        for address in {each.address for host in instances if host.nat for each in host.nat.shared}:
            priority = {
                host.name: each.priority
                for host in instances
                if host.nat
                for each in host.nat.shared
                if each.address == address
            }
            ordered = sorted(priority, key=lambda one: -priority[one])
            assert len(set(priority.values())) == len(instances)
            assert tuple(ordered) == shared[address].instances
        firsts = Counter(
            one.instances[0]
            for one in shared.values()
            if one.subnet == bridge.get("subnet") and one.name.startswith(f"{name}-shared")
        )
        assert set(firsts.values()) <= {1}, "each instance has an address of its own"
    routers = Counter(
        (host.place, one.virtual_router, one.address) for host in fabric.hosts if host.nat for one in host.nat.shared
    )
    assert len({(place, number) for place, number, _ in routers}) == len(routers)


@properties
@given(plans())
def test_routes_stand_once_and_lead_out_of_the_vpc(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    peered = {one.name: {one.first, one.second} for one in fabric.cloud.peerings}
    for vpc in fabric.cloud.vpcs:
        prefixes = [route.prefix for route in vpc.routes]
        assert len(prefixes) == len(set(prefixes))
        assert not any(prefix.overlaps(vpc.cidr) for prefix in prefixes)
        for route in vpc.routes:
            assert route.target not in peered or vpc.name in peered[route.target]
        for far, (_, bridge) in bridges_of(document, vpc.name).items():
            there = next(one.cidr for one in fabric.cloud.vpcs if one.name == far)
            routed = any(prefix.overlaps(there) for prefix in prefixes)
            assert routed is (bridge["method"] == "transit"), "translation hides a far end, transit does not"
            assert far not in peered_with(document, vpc.name)
    forwarding = {bridge["via"] for bridge in document.get("bridges", {}).values() if bridge["method"] == "transit"}
    assert {vpc.name for vpc in fabric.cloud.vpcs if vpc.transit} == forwarding


@properties
@given(plans())
def test_two_relays_copies_go_to_different_addresses(compiled: Compile, document: Document) -> None:
    fabric = compiled(document)
    for subscriber in fabric.applications:
        copies = [
            one
            for one in fabric.deliveries
            if (one.instance, one.feed) == (subscriber.instance, subscriber.feed) and one.bridge is not None
        ]
        for bridge in {one.bridge for one in copies if one.bridge is not None}:
            own = [one for one in copies if one.bridge == bridge]
            addresses = Counter(next(iter(one.sent_to.values())).address for one in own)
            assert len(addresses) == min(len(own), document["bridges"][bridge]["count"])


def test_the_copies_for_one_instance_go_to_different_addresses(tmp_path: Path) -> None:
    fabric = fabric_of(THREE_REGIONS, tmp_path)
    for instance in ("quotes-bj-1", "quotes-bj-2"):
        copies = [one for one in fabric.deliveries if one.instance == instance]
        assert len({one.sent_to["310"].address for one in copies}) == len(copies) == 2


OVERLAPPING = THREE_REGIONS.replace("10.10.", "10.8.").replace("10.8.2.200:5140", "10.8.2.201:5140")
"""Both ends of the bridge have the same addresses, their subnets as well."""


def fabric_of(text: str, folder: Path) -> Fabric:
    path = folder / "plan.yaml"
    path.write_text(text)
    return compile_plan(load_plan(path), {})


def test_ends_that_share_addresses_are_told_apart_by_host(tmp_path: Path) -> None:
    fabric = fabric_of(OVERLAPPING, tmp_path)
    vpcs = {vpc.name: vpc for vpc in fabric.cloud.vpcs}
    assert vpcs["hk.hub"].cidr == vpcs["bj.core"].cidr
    for protocol, _, at, target, near, far in wanted(fabric, "hk-bj"):
        assert next_vpc(fabric.cloud, near, at.address) == "gz.core", protocol
        assert next_vpc(fabric.cloud, "gz.core", target.address) == far
        assert next_vpc(fabric.cloud, far, at.address) == "gz.core"
    into = [route.prefix for route in vpcs["gz.core"].routes if route.prefix.subnet_of(IPv4Network("10.8.0.0/16"))]
    assert {prefix.prefixlen for prefix in into} == {32}
    assert len(into) == len(set(into))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (("method: nat", "method: transit"), "only the two ends of a bridge by nat may share addresses"),
        (("hk1-up2: {to: hk.hub", "hk1-up2: {to: bj.core"), "the uplinks of hk1 reach both"),
        (("hk1-up2: {to: hk.hub", "hk1-up2: {to: gz.core"), "the uplinks of hk1 reach both"),
    ],
)
def test_ends_may_not_share_addresses_where_somebody_sees_both(
    edit: tuple[str, str], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(DocumentError) as refused:
        fabric_of(OVERLAPPING.replace(*edit), tmp_path)
    assert any(
        problem.message.endswith(f"overlaps regions.hk.vpcs.hub.cidr, 10.8.0.0/16: {reason}")
        for problem in refused.value.problems
    )


def test_a_lock_keeps_what_stands_for_what(tmp_path: Path) -> None:
    """A subscriber and an offer that come first by name move no address and no port of those that were there."""
    before = fabric_of(THREE_REGIONS, tmp_path)
    text = THREE_REGIONS.replace(
        "subscribers:\n", "subscribers:\n  a-bj: {subnet: bj.core.apps, feeds: [cme-310], from: [hk1-relay-2]}\n"
    )
    text = text.replace("    offers:\n", '    offers:\n      a-log: {in: bj.core, at: "10.10.2.99:514"}\n')
    path = tmp_path / "more.yaml"
    path.write_text(text)
    after = compile_plan(load_plan(path), before.invented)
    kept = {(one.instance, one.relay): one for one in after.deliveries}
    for delivery in before.deliveries:
        assert kept[delivery.instance, delivery.relay] == delivery
    assert set(before.offers) < set(after.offers)
    assert set(before.cloud.instances) < set(after.cloud.instances)
    assert before.cloud.shared_addresses == after.cloud.shared_addresses


def test_a_lock_file_that_lacks_a_translation_is_stale(tmp_path: Path) -> None:
    fabric = fabric_of(THREE_REGIONS, tmp_path)
    purposes = {purpose for purpose in fabric.invented if purpose.startswith("bridge-port.hk-bj/")}
    assert "bridge-port.hk-bj/offers.reference-data" in purposes
    assert "bridge-port.hk-bj/audit-bj-1.cme-310.310.hk1-relay-1" in purposes
