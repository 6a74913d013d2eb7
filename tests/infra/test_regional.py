"""What a region's stack is about, decided before anything is made, and what no stack may hold."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from engine_runs import ROOT
from region_runs import EXAMPLE

from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.plan.loader import load_plan
from lanecast_infra.access import GroupRule, ListRule
from lanecast_infra.neighbours import ForeignStackError, Neighbours, Outputs, StackNameError, stack_of
from lanecast_infra.policy import violations
from lanecast_infra.regional import Elsewhere, OtherProviderError, Pool, Regional, UnknownRegionError, regional

REGIONS = ("bj", "gz", "hk")
TWO_SITES = ROOT / "examples/two-sites.yaml"


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return compile_plan(load_plan(TWO_SITES), {})


@pytest.fixture(scope="module")
def bridged() -> Fabric:
    return compile_plan(load_plan(EXAMPLE), {})


@pytest.fixture
def hub(fabric: Fabric) -> Regional:
    return regional(fabric, "hk")


def test_the_regions_together_hold_everything_once(fabric: Fabric) -> None:
    parts = [regional(fabric, region) for region in REGIONS]
    assert sorted(one.name for part in parts for one in part.vpcs) == [one.name for one in fabric.cloud.vpcs]
    assert sorted(one.name for part in parts for one in part.peerings) == [one.name for one in fabric.cloud.peerings]
    machines = [one.name for part in parts for pool in (*part.pools, *part.bridges) for one in pool.machines]
    assert sorted(machines) == [one.name for one in fabric.cloud.instances]
    rules = {(rule.name, rule.target) for part in parts for vpc in part.vpcs for rule in vpc.rules}
    peerings = {one.name for one in fabric.cloud.peerings}
    wanted = {(f"{vpc.name}-to-{one.prefix}", one.target) for vpc in fabric.cloud.vpcs for one in vpc.routes}
    assert rules == {(name, target) for name, target in wanted if target in peerings}


def test_a_peering_is_its_first_regions_and_the_other_looks_for_it(fabric: Fabric) -> None:
    assert [one.name for one in regional(fabric, "hk").peerings] == ["hub-gz"]
    assert Elsewhere("gz", "vpcs", "gz.core") in regional(fabric, "hk").needed
    assert Elsewhere("hk", "peeringSecondEnds", "hub-gz") in regional(fabric, "gz").needed


def test_an_unknown_region_lists_the_known_ones(fabric: Fabric) -> None:
    with pytest.raises(UnknownRegionError, match="no region sh: set lanecast:region to one of bj, gz, hk"):
        regional(fabric, "sh")


def test_a_region_of_another_provider_is_refused(fabric: Fabric) -> None:
    foreign = tuple(replace(one, provider="other") for one in fabric.cloud.regions)
    with pytest.raises(OtherProviderError, match="region hk is in the cloud of other"):
        regional(replace(fabric, cloud=replace(fabric.cloud, regions=foreign)), "hk")


@pytest.mark.parametrize("region", REGIONS)
def test_the_examples_break_no_policy(fabric: Fabric, bridged: Fabric, region: str) -> None:
    assert violations(regional(fabric, region)) == []
    assert violations(regional(bridged, region)) == []


def let_in(pool: Pool) -> set[tuple[str, str, str]]:
    return {(rule.protocol, rule.source, rule.ports) for rule in pool.rules}


def test_a_copy_may_come_from_each_address_that_its_relay_leaves_by(bridged: Fabric) -> None:
    """hk1-r1 and hk1-r2 both have an uplink to hk.hub, and a relay has an address on the LAN of each."""
    [pool] = regional(bridged, "hk").pools
    ports = {
        copy.relay: str(at.port)
        for copy in bridged.deliveries
        for at in copy.endpoints.values()
        if copy.subscriber == "quotes-hk"
    }
    addresses = {"hk1-relay-1": ("10.200.0.2", "10.200.0.34"), "hk1-relay-2": ("10.200.0.3", "10.200.0.35")}
    copies = {("udp", f"{address}/32", ports[relay]) for relay in ports for address in addresses[relay]}
    pings = {("icmp", f"{address}/32", "all") for own in addresses.values() for address in own}
    assert let_in(pool) == copies | pings


def test_behind_a_bridge_an_instance_takes_the_bridges_shared_addresses_alone(bridged: Fabric) -> None:
    audit, quotes = regional(bridged, "bj").pools
    first, second = (f"{one.address}/32" for one in bridged.cloud.shared_addresses)
    at = {copy.subscriber + copy.relay: str(copy.endpoints["310"].port) for copy in bridged.deliveries}
    assert let_in(audit) == {("udp", first, at["audit-bjhk1-relay-1"]), ("icmp", first, "all")}
    assert let_in(quotes) == {
        ("udp", first, at["quotes-bjhk1-relay-1"]),
        ("udp", second, at["quotes-bjhk1-relay-2"]),
        ("icmp", first, "all"),
        ("icmp", second, "all"),
    }


def test_a_bridge_takes_what_it_translates_and_its_own_instances(bridged: Fabric) -> None:
    part = regional(bridged, "gz")
    [bridge] = part.bridges
    feeds = [at.port for copy in bridged.deliveries if copy.bridge for at in copy.sent_to.values()]
    offers = {offer.name: offer.at.port for offer in bridged.offers}
    into_bj = sorted([*feeds, offers["order-log"]])
    near, far = ("10.8.0.0/16", "10.200.0.0/27", "10.200.0.32/27"), "10.10.0.0/16"
    own = [one.address for one in bridge.machines]
    assert let_in(bridge) == (
        {("udp", source, f"{into_bj[0]}-{into_bj[-1]}") for source in near}
        | {("tcp", far, str(offers["reference-data"]))}
        | {("icmp", source, "all") for source in (*near, far)}
        | {("all", f"{address}/32", "all") for address in own}
    )
    assert [(one.address, one.machines) for one in bridge.shared] == [
        ("10.9.1.10", ("hk-bj-bridge-1", "hk-bj-bridge-2")),
        ("10.9.1.11", ("hk-bj-bridge-2", "hk-bj-bridge-1")),
    ]
    [network] = part.vpcs
    allowed = {rule.source for rule in network.subnets[1].access_list if rule.allow}
    assert network.subnets[1].name == "gz.core.bridge"
    assert {*near, far, "10.9.0.0/16"} <= allowed


def test_who_manages_gets_through_group_and_list(tmp_path: Path) -> None:
    plan = tmp_path / EXAMPLE.name
    more = "management: {ssh-from: [10.250.0.0/28], metrics-from: [10.251.0.0/28]}\n"
    plan.write_text(EXAMPLE.read_text() + more)
    fabric = compile_plan(load_plan(plan), {})
    ssh, counters = ("tcp", "10.250.0.0/28", "22"), ("tcp", "10.251.0.0/28", "9464")
    audit, quotes = regional(fabric, "bj").pools
    [bridge] = regional(fabric, "gz").bridges
    assert {ssh, counters} <= let_in(quotes)
    assert let_in(audit) & {ssh, counters} == {ssh}, "it has no relay that counts"
    assert let_in(bridge) & {ssh, counters} == {ssh}
    [apps] = regional(fabric, "bj").vpcs[0].subnets
    assert {"10.250.0.0/28", "10.251.0.0/28"} <= {rule.source for rule in apps.access_list if rule.allow}


def test_the_middle_of_a_transit_forwards_and_the_ends_see_each_other(tmp_path: Path) -> None:
    plan = tmp_path / EXAMPLE.name
    text = EXAMPLE.read_text()
    cut = text.index("    method: nat\n"), text.index("subscribers:\n")
    plan.write_text(f"{text[: cut[0]]}    method: transit\n\n{text[cut[1] :]}")
    fabric = compile_plan(load_plan(plan), {})
    parts = {region: regional(fabric, region) for region in REGIONS}
    assert {region: part.vpcs[0].transit for region, part in parts.items()} == {"hk": False, "gz": True, "bj": False}
    assert all(not part.bridges for part in parts.values())
    rules = {region: {(one.destination, one.target) for one in part.vpcs[0].rules} for region, part in parts.items()}
    assert ("10.10.0.0/16", "hub-gz") in rules["hk"]
    assert {("10.8.0.0/16", "gz-bj"), ("10.200.0.0/27", "gz-bj"), ("10.200.0.32/27", "gz-bj")} <= rules["bj"]
    _, quotes = parts["bj"].pools
    seen = {source for protocol, source, _ in let_in(quotes) if protocol == "udp"}
    assert seen == {"10.200.0.2/32", "10.200.0.34/32", "10.200.0.3/32", "10.200.0.35/32"}
    assert seen <= {f"{host}/32" for one in parts["bj"].vpcs[0].subnets[0].access_list for host in hosts_in(one.source)}
    assert all(set(one.local_cidrs) >= {"10.8.0.0/16", "10.10.0.0/16"} for one in parts["hk"].gateways)


def hosts_in(source: str) -> list[str]:
    network = IPv4Network("0.0.0.0/0" if source == "all" else source)
    return [str(host) for host in network.hosts()] if network.prefixlen >= 24 else []


def test_what_has_no_tags_is_told(hub: Regional) -> None:
    bare = replace(hub, vpcs=tuple(replace(one, tags={"lanecast-plan": "x"}) for one in hub.vpcs))
    assert violations(bare) == ["hk.hub: the tag lanecast-name is missing"]


def test_a_subnet_without_an_access_list_or_with_an_open_one_is_told(hub: Regional) -> None:
    [vpc] = hub.vpcs
    [subnet] = vpc.subnets

    def told(*rules: ListRule) -> list[str]:
        changed = replace(vpc, subnets=(replace(subnet, access_list=rules),))
        return violations(replace(hub, vpcs=(changed,)))

    allowing = [rule for rule in subnet.access_list if rule.allow]
    assert told() == ["hk.hub.apps: has no access list"]
    assert told(*allowing) == ["hk.hub.apps: its access list does not end with a rule that lets nothing else in"]
    half = replace(max(subnet.access_list, key=lambda rule: rule.position), source="10.0.0.0/8")
    assert told(*allowing, half) == ["hk.hub.apps: its access list does not end with a rule that lets nothing else in"]
    for everywhere in ("all", "0.0.0.0/0"):
        opened = replace(allowing[0], source=everywhere)
        assert told(*subnet.access_list, opened) == [f"{opened.name}: lets everybody in: 0.0.0.0/0 is no source"]


def test_a_group_that_lets_everybody_in_is_told(hub: Regional) -> None:
    rule = GroupRule("quotes-hk-open", "tcp", "0.0.0.0/0", 22, "")
    opened = replace(hub, pools=tuple(replace(one, rules=(*one.rules, rule)) for one in hub.pools))
    assert violations(opened) == ["quotes-hk-open: lets everybody in: 0.0.0.0/0 is no source"]


def test_a_rules_place_in_the_list_does_not_move_when_another_comes(fabric: Fabric, tmp_path: Path) -> None:
    plan = tmp_path / TWO_SITES.name
    text = TWO_SITES.read_text().replace(
        "peerings:\n", "peerings:\n  hub-bj: {between: [hk.hub, bj.core], delay: 9ms, bandwidth: 10M}\n"
    )
    plan.write_text(text)
    more = regional(compile_plan(load_plan(plan)), "hk").vpcs[0].subnets[0].access_list
    before = regional(fabric, "hk").vpcs[0].subnets[0].access_list
    assert set(before) < set(more)
    assert {rule.source for rule in set(more) - set(before)} == {"10.10.0.0/16"} | {
        rule.source for rule in set(more) - set(before) if rule.source.startswith("10.200.")
    }


def test_other_stacks_are_named_as_this_one() -> None:
    assert stack_of("hk", "hk", "gz") == "gz"
    assert stack_of("lab-hk", "hk", "gz") == "lab-gz"
    with pytest.raises(StackNameError, match="stack production has to end with its region's name: hk"):
        stack_of("production", "hk", "gz")


def test_what_is_not_there_yet_is_waited_for_and_each_stack_is_read_once() -> None:
    asked: list[str] = []

    def read(region: str) -> Outputs | None:
        asked.append(region)
        return {"gz": {"plan": "p", "vpcs": {"gz.core": "vpc-1"}}, "bj": None}[region]

    neighbours = Neighbours("p", read)
    assert neighbours.find(Elsewhere("gz", "vpcs", "gz.core")) == "vpc-1"
    assert neighbours.find(Elsewhere("gz", "peerings", "hub-gz")) is None
    assert neighbours.find(Elsewhere("bj", "vpcs", "bj.core")) is None
    assert neighbours.waiting == [
        "waiting for hub-gz of stack gz: it has not made it yet",
        "waiting for bj.core of stack bj: there is no such stack yet",
    ]
    assert asked == ["gz", "bj"]


def test_a_stack_of_another_plan_is_not_taken_from() -> None:
    neighbours = Neighbours("p", lambda region: {"plan": "other", "vpcs": {"gz.core": "vpc-1"}})
    with pytest.raises(ForeignStackError, match="the stack of region gz belongs to the plan other, not p"):
        neighbours.find(Elsewhere("gz", "vpcs", "gz.core"))
