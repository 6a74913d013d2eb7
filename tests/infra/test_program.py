"""Three regions of the example by the real engine against the emulated cloud."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.blb.blb_client import BlbClient
from baidubce.services.et.et_client import EtClient
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient
from baidubce.services.havip.havip_client import HavipClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.vpc.acl_client import AclClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import EmulatedCloud, serving
from region_runs import CODES, LINES, Regions

from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_infra.regional import regional
from lanecast_lab.cloud.comparison import differences
from lanecast_lab.cloud.data_plane.snapshot import Reader, Surroundings
from lanecast_lab.cloud.held import comparable, held
from lanecast_templates.renderer import SecretResolver, render_fabric

NOTHING: dict[str, list[str]] = {"vpcs": [], "subnets": [], "peerings": [], "routes": []}
VPCS = ["bj.core", "gz.core", "hk.hub"]
SUBNETS = ["bj.core.apps", "gz.core.apps", "gz.core.bridge", "hk.hub.apps"]


BALANCED = """subnet: bj.core.apps, count: 2, feeds: [cme-310], from: [hk1-relay-1, hk1-relay-2], load-balancer: {listeners: {
      quotes-api: {port: 443, backend-port: 8443, clients: [10.10.0.0/16, 10.9.1.0/24]}}}}"""


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedCloud]:
    with serving(tmp_path_factory.mktemp("cloud"), 0.3, LINES) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def network(emulated: EmulatedCloud, tmp_path_factory: pytest.TempPathFactory) -> Regions:
    """The example's three regions, brought up from nothing; the tests of this module that use it leave it whole."""
    regions = Regions(emulated, tmp_path_factory.mktemp("project") / "project")
    regions.edit("subnet: bj.core.apps, count: 2, feeds: [cme-310], from: [hk1-relay-1, hk1-relay-2]}", BALANCED)
    regions.lock()
    made = regions.infra("up", "--no-protect")
    assert made.code == 0, made.err
    assert made.report["passed"]
    # Networks; what joins them; what leads there. Nobody has to look a fourth time.
    assert max(one["runs"] for one in made.stacks.values()) <= 3
    return regions


@pytest.fixture
def lines() -> tuple[str, ...]:
    return LINES


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
            assert tags == {"lanecast-plan": "three-regions", "lanecast-name": name}


def test_the_cloud_holds_what_the_fabric_expects(network: Regions) -> None:
    fabric = compile_plan(load_plan(network.plan))
    reader = Reader(network.cloud.state)
    try:
        found = held(reader.read(time.time(), Surroundings()))
    finally:
        reader.close()
    assert found.load_balancers
    assert found.shared_addresses
    assert differences(comparable(fabric.cloud), found) == []


def test_the_peering_is_made_by_the_first_region_and_routed_to_by_both(network: Regions) -> None:
    peering = network.outputs("hk")["peerings"]["hub-gz"]
    assert "hub-gz" not in network.outputs("gz")["peerings"]
    side = network.cloud.call("hkg").ask(PeerConnClient, "get_peerconn", peer_conn_id=peering, role="initiator")
    assert (side["status"], side["bandwidthInMbps"], side["dnsStatus"]) == ("active", 200, "open")
    for stack, destination in (("hk", "10.9.0.0/16"), ("gz", "10.8.0.0/16")):
        vpc = next(iter(network.outputs(stack)["vpcs"].values()))
        rules = network.cloud.call(CODES[stack]).ask(RouteClient, "get_route_rule", vpcId=vpc)["routeRules"]
        (hop,) = (one["nexthopId"] for one in rules if one["destinationAddress"] == destination)
        role = "initiator" if stack == "hk" else "acceptor"
        end = network.cloud.call(CODES[stack]).ask(PeerConnClient, "get_peerconn", peer_conn_id=peering, role=role)
        assert hop == end["localIfId"]


def test_a_second_run_changes_nothing_nor_does_pulumi_by_itself(network: Regions) -> None:
    again = network.infra("up")
    assert again.code == 0
    assert [(one["runs"], one["steps"], one["waiting"]) for one in again.stacks.values()] == [(1, {}, [])] * 3
    words = ("up", "--yes", "--skip-preview", "--expect-no-changes", "--stack")
    with ThreadPoolExecutor() as threads:
        for done in threads.map(lambda stack: network.pulumi(*words, stack), CODES):
            assert done.code == 0, done.out + done.err


def test_what_is_changed_by_hand_is_shown_by_refresh_and_mended(network: Regions) -> None:
    call, before = network.cloud.call("gz"), network.held()
    vpc = network.outputs("gz")["vpcs"]["gz.core"]
    rules = call.ask(RouteClient, "get_route_rule", vpcId=vpc)["routeRules"]
    gone = next(one for one in rules if one["destinationAddress"] == "10.10.0.0/16")
    call.ask(RouteClient, "delete_route", route_rule_id=gone["routeRuleId"])
    call.ask(VpcClient, "update_vpc", vpc_id=vpc, name="by-hand", description="by hand")
    vrrp = next(one for one in group(network, "gz", "hk-bj")["rules"] if one["sourceIp"] == "10.9.1.13/32")
    call.ask(BccClient, "delete_security_group_rule", security_group_rule_id=vrrp["securityGroupRuleId"])
    shared = next(one for one in shared_addresses(network) if one["name"] == "hk-bj-shared-2")
    words = {"havip_id": shared["haVipId"], "instance_type": "SERVER"}
    call.ask(
        HavipClient, "havip_detach_instance", instance_ids=[machines(network, "gz")["hk-bj-bridge-2"]["id"]], **words
    )
    assert "gz.core-to-10.10.0.0/16" not in network.held()["routes"]

    shown = network.pulumi("refresh", "--yes", "--skip-preview", "--diff", "--stack", "gz")
    assert shown.code == 0, shown.err
    assert '"gz.core" => "by-hand"' in shown.out
    for name in ("gz.core-to-10.10.0.0/16", "hk-bj-vrrp-10.9.1.13", "hk-bj-shared-2"):
        assert name in shown.out
    mended = network.infra("up", "--stack", "gz")
    assert mended.stacks["gz"]["steps"] == {
        "Vpc gz.core": "update",
        "RouteRule gz.core-to-10.10.0.0/16": "create",
        "SecurityGroupRule hk-bj-vrrp-10.9.1.13": "create",
        "HaVip hk-bj-shared-2": "update",
    }
    assert network.held() == before
    test_a_bridges_shared_addresses_are_bound_to_its_instances(network)


@contextmanager
def added(network: Regions) -> Iterator[None]:
    """The plan with a subnet in another zone, and a region that is peered with the middle one; afterwards without."""
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
        network.edit("peerings:\n", "peerings:\n  aa-gz: {between: [aa.core, gz.core], delay: 3ms, bandwidth: 10M}\n")
        network.lock()
        yield
    finally:
        network.plan.write_text(text)
        network.lock()


BESIDE = "NetworkAclRule gz.core.bridge-from-10.7.0.0/16"
"""What a region that is peered with the middle one brings there, besides a rule for the other subnet."""


def test_adding_a_subnet_a_zone_and_a_region_touches_nothing_that_is_there(network: Regions) -> None:
    with added(network):
        ahead = network.infra("preview")
        assert ahead.code == 0, [one["error"] for one in ahead.stacks.values()]
        operations = {step for one in ahead.stacks.values() for step in one["steps"].values()}
        assert operations == {"create"}
        assert "Subnet hk.hub.aaa" in ahead.stacks["hk"]["steps"]
        assert not {name for name in ahead.stacks["hk"]["steps"] if "aaa" not in name}
        assert set(ahead.stacks["gz"]["steps"]) == {
            "NetworkAclRule gz.core.apps-from-10.7.0.0/16",
            BESIDE,
        }
        assert "waiting for aa-gz of stack aa: it has not made it yet" in ahead.stacks["gz"]["waiting"]
        made = {name for name in ahead.stacks["aa"]["steps"] if not name.startswith(("RouteRule", "NetworkAclRule"))}
        assert made == {"Vpc aa.core", "Subnet aa.core.apps", "PeerConnection aa-gz"}
        assert ahead.stacks["bj"]["steps"] == {}
    # The stack that the preview began is of a region that the plan has no more.
    assert network.infra("destroy", "--stack", "aa", "--remove").code == 0


def test_a_stack_of_a_region_that_the_plan_has_no_more_is_told(network: Regions) -> None:
    with added(network):
        assert network.infra("up", "--stack", "aa", "--no-protect").stacks["aa"]["error"] is None
    told = network.infra("status")
    assert told.code == 0
    assert "stack aa is of a region that the plan has no more, and still holds what it made" in told.err
    assert network.infra("destroy", "--stack", "aa", "--remove").code == 0
    assert "no more" not in network.infra("status").err


def test_a_run_that_failed_is_told_in_a_sentence_and_leaves_nothing_settled(network: Regions) -> None:
    key = network.environment["BAIDUCLOUD_SECRET_KEY"]
    network.environment["BAIDUCLOUD_SECRET_KEY"] = "not the secret key"
    try:
        failed = network.infra("up", "--stack", "hk")
    finally:
        network.environment["BAIDUCLOUD_SECRET_KEY"] = key
    error = failed.stacks["hk"]["error"]
    assert "getImage: list_images: SignatureDoesNotMatch" in error
    assert "What to do: check the secret key" in error
    assert "Traceback" not in error
    status = network.infra("status", "--stack", "hk")
    assert (status.code, status.stacks["hk"]["last_result"]) == (1, "failed")
    assert network.infra("up", "--stack", "hk").code == 0
    assert network.infra("status", "--stack", "hk").code == 0


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
        "10.200.0.0/27",
        "10.200.0.32/27",
        "100.64.0.0/10",
        "169.254.0.0/16",
    }
    last = max(rules, key=lambda one: int(one["position"]))
    assert (last["position"], last["action"], last["sourceIpAddress"]) == (5000, "deny", "all")


def test_the_gateways_join_the_physical_lines_that_the_plan_names(network: Regions) -> None:
    call = network.cloud.call("hkg")
    told = network.outputs("hk")
    vpc = told["vpcs"]["hk.hub"]
    rules = call.ask(RouteClient, "get_route_rule", vpcId=vpc)["routeRules"]
    wanted = (
        ("hk1-up1", 201, "192.0.2.129/30", "192.0.2.130/30", "10.200.0.0/27"),
        ("hk1-up2", 202, "192.0.2.133/30", "192.0.2.134/30", "10.200.0.32/27"),
    )
    for line, (uplink, vlan, cloud_end, site_end, lan) in zip(LINES, wanted, strict=True):
        [channel] = call.ask(EtClient, "get_et_channel", et_id=line.partition("=")[2])["etChannels"]
        assert (channel["vlanId"], channel["baiduAddress"], channel["customerAddress"]) == (vlan, cloud_end, site_end)
        assert (channel["routeType"], channel["bgpAsn"]) == ("bgp", "65101")
        gateway = call.ask(EtGatewayClient, "get_et_gateway", et_gateway_id=told["gateways"][f"{uplink}-gateway"])
        assert (gateway["vpcId"], gateway["speed"], gateway["channelId"]) == (vpc, 1000, channel["id"])
        assert sorted(gateway["localCidrs"]) == ["10.8.0.0/16", "10.9.0.0/16"]
        assert [one["nexthopId"] for one in rules if one["destinationAddress"] == lan] == [gateway["etGatewayId"]]


def machines(network: Regions, stack: str) -> dict[str, dict[str, Any]]:
    found = network.cloud.call(CODES[stack]).pages(BccClient, "list_instances", "instances")
    return {one["name"]: one for one in found}


def group(network: Regions, stack: str, name: str) -> dict[str, Any]:
    vpc = next(iter(network.outputs(stack)["vpcs"].values()))
    found = network.cloud.call(CODES[stack]).ask(BccClient, "list_security_groups", vpc_id=vpc)["securityGroups"]
    [only] = [one for one in found if one["name"] == name]
    return dict(only)


def test_every_instance_has_the_plans_address_its_group_and_its_files(network: Regions) -> None:
    """The files are those that the lab runs: what `lanecast render` writes."""
    fabric = compile_plan(load_plan(network.plan))
    files = {str(file.path): file.text for file in render_fabric(fabric, SecretResolver({}))}
    belongs = {"quotes-hk-1": "quotes-hk", "audit-bj-1": "audit-bj"}
    belongs |= {f"hk-bj-bridge-{number}": "hk-bj" for number in (1, 2)}
    belongs |= {f"quotes-bj-{number}": "quotes-bj" for number in (1, 2)}
    seen = {}
    for stack, code in CODES.items():
        for name, one in machines(network, stack).items():
            seen[name] = one["internalIp"]
            assert one["nicInfo"]["securityGroups"] == [group(network, stack, belongs[name])["id"]]
            told = network.cloud.call(code).ask(BccClient, "get_instance_user_data", instance_id=one["id"])
            assert b64decode(told["userData"]).decode() == files[f"{name}/user-data.yaml"]
    assert seen == {one.name: str(one.address.ip) for one in fabric.cloud.instances}


def test_what_a_group_lets_in_is_what_was_decided(network: Regions) -> None:
    fabric = compile_plan(load_plan(network.plan))
    for stack in CODES:
        part = regional(fabric, stack)
        for pool in (*part.pools, *part.bridges):
            rules = [one for one in group(network, stack, pool.name)["rules"] if one["direction"] == "ingress"]
            told = {(one["protocol"], one["portRange"], one["sourceIp"]) for one in rules}
            spelt = {(one.protocol, one.ports, one.source) for one in pool.rules}
            assert told == {tuple("" if word == "all" else word for word in one) for one in spelt}


def shared_addresses(network: Regions) -> list[dict[str, Any]]:
    vpc = network.outputs("gz")["vpcs"]["gz.core"]
    return list(network.cloud.call("gz").pages(HavipClient, "get_havip_detail_list", "haVips", vpc_id=vpc))


def test_a_bridges_shared_addresses_are_bound_to_its_instances(network: Regions) -> None:
    held = {one["name"]: one for one in shared_addresses(network)}
    identities = {name: one["id"] for name, one in machines(network, "gz").items()}
    both = {identities["hk-bj-bridge-1"], identities["hk-bj-bridge-2"]}
    assert {name: one["privateIpAddress"] for name, one in held.items()} == {
        "hk-bj-shared-1": "10.9.1.10",
        "hk-bj-shared-2": "10.9.1.11",
    }
    assert all({bound["instanceId"] for bound in one["bindedInstances"]} == both for one in held.values())


def test_a_load_balancer_spreads_over_the_pools_instances(network: Regions) -> None:
    call = network.cloud.call("bj")
    fabric = compile_plan(load_plan(network.plan))
    [wanted] = fabric.cloud.load_balancers
    [balancer] = call.pages(BlbClient, "describe_loadbalancers", "blbList")
    assert (balancer["name"], balancer["address"]) == ("quotes-bj-balancer", str(wanted.address))
    [listener] = call.ask(BlbClient, "describe_tcp_listener", blb_id=balancer["blbId"])["listenerList"]
    assert (listener["listenerPort"], listener["backendPort"]) == (443, 8443)
    behind = call.pages(BlbClient, "describe_backend_servers", "backendServerList", blb_id=balancer["blbId"])
    identities = {name: one["id"] for name, one in machines(network, "bj").items()}
    assert {(one["instanceId"], one["weight"]) for one in behind} == {
        (identities[name], 100) for name in ("quotes-bj-1", "quotes-bj-2")
    }
    through = [one for one in group(network, "bj", "quotes-bj")["rules"] if one["portRange"] == "8443"]
    assert {(one["protocol"], one["sourceIp"]) for one in through} == {
        ("tcp", source) for source in ("10.10.0.0/16", "10.9.1.0/24", f"{wanted.address}/32", "100.64.0.0/10")
    }


def test_machines_that_have_the_files_of_an_earlier_plan_are_told_and_made_anew_when_asked(network: Regions) -> None:
    """A bridge's instance keeps its addresses, and the shared ones are bound to the new one."""
    text = network.plan.read_text()
    before = machines(network, "gz")
    try:
        network.edit('at: "10.8.2.200:8443"', 'at: "10.8.2.201:8443"')
        both = ["hk-bj-bridge-1", "hk-bj-bridge-2"]
        done = network.infra("up", "--stack", "gz", "--protect", "--renew", both[0])
        assert (done.code, done.stacks["gz"]["outdated"]) == (0, both[1:]), done.stacks["gz"]["error"]
        changed = {name for name in done.stacks["gz"]["steps"] if name.startswith("Instance")}
        assert changed == {f"Instance {both[0]}"}
        after = machines(network, "gz")
        assert [after[name]["id"] == before[name]["id"] for name in both] == [False, True]
        assert after[both[0]]["internalIp"] == before[both[0]]["internalIp"]
        told = network.cloud.call("gz").ask(BccClient, "get_instance_user_data", instance_id=after[both[0]]["id"])
        assert "10.8.2.201 . 8443" in b64decode(told["userData"]).decode()
        test_a_bridges_shared_addresses_are_bound_to_its_instances(network)
        status = network.infra("status").stacks["gz"]
        assert (status["protected"] > 0, status["outdated"]) == (True, both[1:])
        assert network.infra("up", "--renew", "hk-bj-bridge-9").code == 2
    finally:
        network.plan.write_text(text)
    back = network.infra("up", "--stack", "gz", "--no-protect", "--renew", "hk-bj-bridge-1")
    assert (back.code, back.stacks["gz"]["outdated"]) == (0, [])


def test_a_stack_that_another_plan_has_is_left_alone(network: Regions) -> None:
    other = network.plan.with_name("other.yaml")
    other.write_text(network.plan.read_text())
    done = network.pulumi("config", "get", "lanecast:plan", "--stack", "hk")
    assert done.out.strip() == "three-regions.yaml"
    plan, network.plan_name = network.plan_name, "other.yaml"
    try:
        refused = {command: network.infra(command) for command in ("up", "preview", "status", "destroy")}
    finally:
        network.plan_name = plan
    for command, done in refused.items():
        assert (command, done.code, done.out) == (command, 2, "")
        assert "is for the plan three-regions.yaml" in done.err
        assert "call its file three-regions.yaml again" in done.err
    assert network.held()["vpcs"] == VPCS


def test_a_stack_that_nobody_has_is_not_said_to_be_removed(network: Regions) -> None:
    mistyped = network.infra("destroy", "--stack", "hkk")
    assert (mistyped.code, mistyped.out) == (2, "")
    assert "there is no stack hkk; there are bj, gz, hk" in mistyped.err


def test_without_its_lock_or_with_a_stale_one_nothing_moves(network: Regions) -> None:
    lock = network.plan.with_suffix(".lock.yaml")
    kept, text = lock.read_text(), network.plan.read_text()
    try:
        lock.unlink()
        absent = network.infra("up")
        assert (absent.code, absent.out) == (2, "")
        assert "has no lock file, and bj, gz, hk hold what was made of it" in absent.err
        assert f"`lanecast lock {network.plan}`" in absent.err
        lock.write_text(kept)
        network.edit("quotes-hk: {subnet: hk.hub.apps, count: 1,", "quotes-hk: {subnet: hk.hub.apps, count: 3,")
        stale = network.infra("up")
        assert (stale.code, stale.out) == (1, "")
        assert "lacks 2 values that the plan needs" in stale.err
    finally:
        lock.write_text(kept)
        network.plan.write_text(text)


def test_nothing_is_left_when_all_is_destroyed(network: Regions) -> None:
    """The last of this module's network, which every other one has left whole."""
    assert network.infra("preview", "--expect-no-changes").code == 0
    done = network.infra("destroy", "--remove")
    assert done.code == 0, done.err
    assert {one["runs"] for one in done.stacks.values()} == {1}
    assert network.held() == NOTHING
    assert network.pulumi("stack", "ls", "--json").out.strip() == "[]"


def test_what_all_stacks_fail_of_is_tried_once(regions: Regions) -> None:
    """Nothing was made anywhere, so nothing that stands in anybody's way has gone."""
    regions.environment["BAIDUCLOUD_SECRET_KEY"] = "not the secret key"
    done = regions.infra("up")
    assert (done.code, {one["runs"] for one in done.stacks.values()}) == (1, {1})
    assert "not the secret key" not in done.out + done.err


def test_the_accepting_region_may_come_first_and_forward_in_transit(regions: Regions) -> None:
    text = regions.plan.read_text()
    bridge = text.index("    method: nat\n"), text.index("subscribers:\n")
    regions.plan.write_text(f"{text[: bridge[0]]}    method: transit\n\n{text[bridge[1] :]}")
    regions.lock()
    first = regions.infra("up", "--stack", "gz")
    assert first.code == 1
    assert first.stacks["gz"]["waiting"] == [
        "waiting for bj.core of stack bj: there is no such stack yet",
        "waiting for hub-gz of stack hk: there is no such stack yet",
    ]
    assert regions.outputs("gz")["waiting"] == first.stacks["gz"]["waiting"]
    assert regions.held() == {
        "vpcs": ["gz.core"],
        "subnets": ["gz.core.apps", "gz.core.bridge"],
        "peerings": [],
        "routes": [],
    }

    second = regions.infra("up", "--stack", "hk")
    assert (second.code, len(regions.held()["peerings"])) == (0, 1)
    assert not [one for one in regions.held()["routes"] if one.startswith("gz")]

    converged = regions.infra("up")
    assert converged.code == 0, converged.err
    assert len(regions.held()["peerings"]) == 2
    call, middle = regions.cloud.call("gz"), regions.outputs("gz")["vpcs"]["gz.core"]
    assert call.ask(VpcClient, "get_vpc", vpc_id=middle)["vpc"]["relay"] is True
    assert {"bj.core-to-10.8.0.0/16", "hk.hub-to-10.10.0.0/16"} <= set(regions.held()["routes"])

    call.ask(VpcClient, "shutdown_relay", vpc_id=middle)
    shown = regions.pulumi("refresh", "--yes", "--skip-preview", "--diff", "--stack", "gz")
    assert "true => false" in shown.out
    assert regions.infra("up", "--stack", "gz").stacks["gz"]["steps"] == {"Vpc gz.core": "update"}
    assert call.ask(VpcClient, "get_vpc", vpc_id=middle)["vpc"]["relay"] is True

    with added(regions):
        ahead = regions.infra("preview")
        assert {step for one in ahead.stacks.values() for step in one["steps"].values()} == {"create"}
        assert set(ahead.stacks["gz"]["steps"]) == {"NetworkAclRule gz.core.apps-from-10.7.0.0/16", BESIDE}
        assert ahead.stacks["bj"]["steps"] == {}

    kept = regions.infra("destroy")
    assert kept.code == 2
    assert "protected, so nothing is removed" in kept.err
    assert regions.held()["vpcs"] == VPCS
    assert regions.infra("destroy", "--unprotect").code == 0
    assert regions.held() == NOTHING
