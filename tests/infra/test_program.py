"""Three regions of the example by the real engine against the emulated cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.et.et_client import EtClient
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.vpc.acl_client import AclClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import EmulatedCloud, serving
from region_runs import CODES, Regions

from lanecast.compiler import compile_plan
from lanecast.fabric import HostRole
from lanecast.plan.loader import load_plan
from lanecast.router import InterfaceRole

NOTHING: dict[str, list[str]] = {"vpcs": [], "subnets": [], "peerings": [], "routes": []}
VPCS = ["bj.core", "gz.core", "hk.hub"]
SUBNETS = ["bj.core.apps", "gz.core.apps", "hk.hub.apps"]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedCloud]:
    with serving(tmp_path_factory.mktemp("cloud"), async_delay_s=0.3) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def network(emulated: EmulatedCloud, tmp_path_factory: pytest.TempPathFactory) -> Regions:
    """The example's three regions, brought up from nothing; the tests of this module that use it leave it whole."""
    regions = Regions(emulated, tmp_path_factory.mktemp("project") / "project")
    made = regions.infra("up", "--no-protect")
    assert made.code == 0, made.err
    assert made.report["passed"]
    return regions


@pytest.fixture
def regions(cloud: EmulatedCloud, tmp_path: Path) -> Regions:
    return Regions(cloud, tmp_path / "project")


def test_three_regions_come_up_from_nothing(network: Regions) -> None:
    held = network.held()
    assert (held["vpcs"], held["subnets"], len(held["peerings"])) == (VPCS, SUBNETS, 2)
    assert {one for one in held["routes"] if not one.count("10.200.")} == {
        "bj.core-to-10.9.0.0/16",
        "gz.core-to-10.10.0.0/16",
        "gz.core-to-10.8.0.0/16",
        "hk.hub-to-10.9.0.0/16",
    }
    for stack, code in CODES.items():
        for name, identity in network.outputs(stack)["vpcs"].items():
            vpc = network.cloud.call(code).ask(VpcClient, "get_vpc", vpc_id=identity)["vpc"]
            tags = {one["tagKey"]: one["tagValue"] for one in vpc["tags"]}
            assert tags == {"lanecast-plan": "two-sites", "lanecast-name": name}


def test_the_peering_is_made_by_the_first_region_and_routed_to_by_both(network: Regions) -> None:
    peering = network.outputs("hk")["peerings"]["hub-gz"]
    assert "hub-gz" not in network.outputs("gz")["peerings"]
    side = network.cloud.call("hkg").ask(PeerConnClient, "get_peerconn", peer_conn_id=peering, role="initiator")
    assert (side["status"], side["bandwidthInMbps"], side["dnsStatus"]) == ("active", 200, "open")
    for stack, destination in (("hk", "10.9.0.0/16"), ("gz", "10.8.0.0/16")):
        vpc = next(iter(network.outputs(stack)["vpcs"].values()))
        rules = network.cloud.call(CODES[stack]).ask(RouteClient, "get_route_rule", vpcId=vpc)["routeRules"]
        assert [one["nexthopId"] for one in rules if one["destinationAddress"] == destination] == [peering]


def test_a_second_run_changes_nothing_nor_does_pulumi_by_itself(network: Regions) -> None:
    again = network.infra("up")
    assert again.code == 0
    assert [(one["runs"], one["steps"], one["waiting"]) for one in again.stacks.values()] == [(1, {}, [])] * 3
    for stack in CODES:
        done = network.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes", "--stack", stack)
        assert done.code == 0, done.out + done.err


def test_what_is_changed_by_hand_is_shown_by_refresh_and_mended(network: Regions) -> None:
    call = network.cloud.call("hkg")
    vpc = network.outputs("hk")["vpcs"]["hk.hub"]
    rules = call.ask(RouteClient, "get_route_rule", vpcId=vpc)["routeRules"]
    gone = next(one for one in rules if one["destinationAddress"] == "10.9.0.0/16")
    call.ask(RouteClient, "delete_route", route_rule_id=gone["routeRuleId"])
    call.ask(VpcClient, "update_vpc", vpc_id=vpc, name="by-hand", description="by hand")
    before = network.held()
    assert "hk.hub-to-10.9.0.0/16" not in before["routes"]

    shown = network.pulumi("refresh", "--yes", "--skip-preview", "--diff", "--stack", "hk")
    assert shown.code == 0, shown.err
    assert '"hk.hub" => "by-hand"' in shown.out
    assert "hk.hub-to-10.9.0.0/16" in shown.out
    mended = network.infra("up")
    assert mended.stacks["hk"]["steps"] == {"Vpc hk.hub": "update", "RouteRule hk.hub-to-10.9.0.0/16": "create"}
    assert network.held()["vpcs"] == VPCS
    assert "hk.hub-to-10.9.0.0/16" in network.held()["routes"]


def test_adding_a_subnet_a_zone_and_a_region_touches_nothing_that_is_there(network: Regions) -> None:
    text = network.plan.read_text()
    try:
        network.edit(
            "{apps: {cidr: 10.8.2.0/24, zone: b}}",
            "{aaa: {cidr: 10.8.9.0/24, zone: a}, apps: {cidr: 10.8.2.0/24, zone: b}}",
        )
        network.edit(
            "regions:\n  hk:",
            "regions:\n  aa:\n    cloud: {provider: baidu, region: su}\n    vpcs:\n      core:\n        cidr: 10.7.0.0/16\n"
            "        subnets: {apps: {cidr: 10.7.2.0/24, zone: a}}\n  hk:",
        )
        network.edit("peerings:\n", "peerings:\n  aa-hub: {between: [aa.core, hk.hub], delay: 3ms, bandwidth: 10M}\n")
        network.lock()
        ahead = network.infra("preview")
        assert ahead.code == 0, ahead.err
        operations = {step for one in ahead.stacks.values() for step in one["steps"].values()}
        assert operations == {"create"}
        assert "Subnet hk.hub.aaa" in ahead.stacks["hk"]["steps"]
        assert {name for name in ahead.stacks["hk"]["steps"] if "aaa" not in name} == {
            "NetworkAclRule hk.hub.apps-from-10.7.0.0/16"
        }
        assert "waiting for aa-hub of stack aa: it has not made it yet" in ahead.stacks["hk"]["waiting"]
        made = {name for name in ahead.stacks["aa"]["steps"] if not name.startswith(("RouteRule", "NetworkAclRule"))}
        assert made == {"Vpc aa.core", "Subnet aa.core.apps", "PeerConnection aa-hub"}
        assert (ahead.stacks["gz"]["steps"], ahead.stacks["bj"]["steps"]) == ({}, {})
    finally:
        network.plan.write_text(text)
        network.lock()
    # The stack that the preview began is of a region that the plan has no more.
    assert network.infra("destroy", "--stack", "aa", "--remove").code == 0
    assert network.infra("preview", "--expect-no-changes").code == 0


def test_every_subnet_lets_in_its_network_alone(network: Regions) -> None:
    call = network.cloud.call("hkg")
    vpc = network.outputs("hk")["vpcs"]["hk.hub"]
    [apps] = [
        one
        for one in call.ask(AclClient, "list_acl_entrys", vpc_id=vpc)["aclEntrys"]
        if one["subnetName"] == "hk.hub.apps"
    ]
    rules = [one for one in apps["aclRules"] if one["direction"] == "ingress" and one["position"] <= 5000]
    allowed = {one["sourceIpAddress"] for one in rules if one["action"] == "allow"}
    assert allowed == {
        "10.8.0.0/16",
        "10.9.0.0/16",
        "10.200.0.32/27",
        "10.200.0.64/27",
        "10.200.0.96/27",
        "100.64.0.0/10",
        "169.254.0.0/16",
    }
    last = max(rules, key=lambda one: int(one["position"]))
    assert (last["position"], last["action"], last["sourceIpAddress"]) == (5000, "deny", "all")


def test_a_subscribers_instances_have_the_plans_addresses_and_take_their_relays_copies(network: Regions) -> None:
    call = network.cloud.call("hkg")
    fabric = compile_plan(load_plan(network.plan))
    instances = {one["name"]: one for one in call.pages(BccClient, "list_instances", "instances")}
    wanted = {one.name: str(one.address.ip) for one in fabric.cloud.instances if one.name.startswith("quotes-hk")}
    assert {name: one["internalIp"] for name, one in instances.items()} == wanted
    groups = call.ask(BccClient, "list_security_groups", vpc_id=network.outputs("hk")["vpcs"]["hk.hub"])[
        "securityGroups"
    ]
    [group] = [one for one in groups if one["name"] == "quotes-hk"]
    assert all(one["nicInfo"]["securityGroups"] == [group["id"]] for one in instances.values())
    told = {
        (one["protocol"], one["portRange"], one["sourceIp"]) for one in group["rules"] if one["direction"] == "ingress"
    }
    relays = {host.name: host.interfaces for host in fabric.hosts if host.role is HostRole.RELAY}
    lans = {
        name: next(one.addresses[0].ip for one in own if one.role is InterfaceRole.LAN) for name, own in relays.items()
    }
    copies = [one for one in fabric.deliveries if one.subscriber == "quotes-hk"]
    ports = {("udp", str(at.port), f"{lans[one.relay]}/32") for one in copies for at in one.endpoints.values()}
    assert told == ports | {("icmp", "", f"{lans[one.relay]}/32") for one in copies}


def test_a_stack_that_another_plan_has_is_left_alone(network: Regions) -> None:
    other = network.plan.with_name("other.yaml")
    other.write_text(network.plan.read_text())
    done = network.pulumi("config", "get", "lanecast:plan", "--stack", "hk")
    assert done.out.strip() == "two-sites.yaml"
    plan, network.plan_name = network.plan_name, "other.yaml"
    try:
        refused = network.infra("up")
    finally:
        network.plan_name = plan
    assert refused.code == 2
    assert "is for the plan two-sites.yaml" in refused.err


def test_nothing_is_left_when_all_is_destroyed(network: Regions) -> None:
    """The last of this module's network."""
    done = network.infra("destroy", "--remove")
    assert done.code == 0, done.err
    kinds = [line.split()[2] for line in done.err.splitlines() if line.split()[1:2] == ["delete"]]
    between = [kind for kind in kinds if kind in ("RouteRule", "PeerConnection")]
    assert kinds[: len(between)] == sorted(between, reverse=True)
    assert network.held() == NOTHING
    assert network.pulumi("stack", "ls", "--json").out.strip() == "[]"


def test_the_accepting_region_may_come_first(regions: Regions) -> None:
    first = regions.infra("up", "--stack", "gz")
    assert first.code == 1
    assert first.stacks["gz"]["waiting"] == [
        "waiting for bj.core of stack bj: there is no such stack yet",
        "waiting for hub-gz of stack hk: there is no such stack yet",
    ]
    assert regions.outputs("gz")["waiting"] == first.stacks["gz"]["waiting"]
    assert regions.held() == {"vpcs": ["gz.core"], "subnets": ["gz.core.apps"], "peerings": [], "routes": []}

    second = regions.infra("up", "--stack", "hk")
    assert (second.code, len(regions.held()["peerings"])) == (0, 1)
    assert not [one for one in regions.held()["routes"] if one.startswith("gz")]

    converged = regions.infra("up")
    assert converged.code == 0, converged.err
    assert len(regions.held()["peerings"]) == 2
    assert regions.infra("preview", "--expect-no-changes").code == 0

    kept = regions.infra("destroy")
    assert kept.code == 2
    assert "protected, so nothing is removed" in kept.err
    assert regions.held()["vpcs"] == VPCS
    assert regions.infra("destroy", "--unprotect").code == 0
    assert regions.held() == NOTHING


def a_line(cloud: EmulatedCloud) -> str:
    """An established physical line, which nobody's program makes."""
    call = cloud.call("hkg")
    words: dict[str, Any] = {"isp": "ISP_CTC", "intf_type": "1G", "ap_type": "SINGLE", "ap_addr": "BJYZ"}
    words |= {"user_name": "name", "user_phone": "123", "user_email": "a@b.example", "user_idc": "somewhere"}
    line = str(call.ask(EtClient, "create_et_dcphy", name="line", **words)["id"])
    for _ in call.pauses():
        if call.ask(EtClient, "list_et_dcphy_detail", et_id=line)["status"] == "established":
            break
    return line


def test_a_gateway_joins_the_physical_line_that_the_plan_names(regions: Regions) -> None:
    line = a_line(regions.cloud)
    regions.edit(
        "{to: hk.hub, vlan: 201,", f"{{to: hk.hub, physical-line: {line}, bfd: {{interval: 300ms}}, vlan: 201,"
    )
    done = regions.infra("up", "--stack", "hk", "--no-protect")
    assert done.stacks["hk"]["error"] is None, done.stacks["hk"]["error"]
    assert done.stacks["hk"]["left_out"] == []
    call = regions.cloud.call("hkg")
    [channel] = call.ask(EtClient, "get_et_channel", et_id=line)["etChannels"]
    assert (channel["vlanId"], channel["baiduAddress"], channel["customerAddress"]) == (
        201,
        "192.0.2.129/30",
        "192.0.2.130/30",
    )
    assert (channel["routeType"], channel["bgpAsn"]) == ("bgp", "65101")
    told = regions.outputs("hk")
    gateway = call.ask(EtGatewayClient, "get_et_gateway", et_gateway_id=told["gateways"]["hk1-up1-gateway"])
    assert (gateway["vpcId"], gateway["speed"], gateway["channelId"]) == (told["vpcs"]["hk.hub"], 1000, channel["id"])
    assert sorted(gateway["localCidrs"]) == ["10.8.0.0/16", "10.9.0.0/16"]
    rules = call.ask(RouteClient, "get_route_rule", vpcId=told["vpcs"]["hk.hub"])["routeRules"]
    assert [one["nexthopId"] for one in rules if one["nexthopType"] == "dcGateway"] == [gateway["etGatewayId"]]
    assert regions.infra("preview", "--stack", "hk", "--expect-no-changes").stacks["hk"]["steps"] == {}
    assert regions.infra("destroy", "--stack", "hk").code == 0
    assert regions.held() == NOTHING
