"""VPC, subnet, route rule and peering through the real engine against the emulated cloud."""

from __future__ import annotations

import pulumi
from baidubce.services.route.route_client import RouteClient
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import EmulatedCloud
from engine_runs import Runs

from lanecast_infra.baiducloud import PeerConnection, Provider, RouteRule, Subnet, Vpc


def network(description: str = "market data", cidr: str = "10.8.0.0/16", subnet: str = "10.8.1.0/24") -> None:
    vpc = Vpc("hub", cidr=cidr, description=description, secondary_cidrs=["10.9.0.0/16"], tags={"plan": "two-sites"})
    relay = Subnet("relay", vpc_id=vpc.id, cidr=subnet, zone_name="cn-hkg-a")
    pulumi.export("vpc", vpc.id)
    pulumi.export("table", vpc.route_table_id)
    pulumi.export("subnet", relay.id)


def test_a_network_is_previewed_made_changed_and_removed(runs: Runs, cloud: EmulatedCloud) -> None:
    assert runs.preview(network).steps == {"hub": "create", "relay": "create"}
    made = runs.up(network)
    assert made.steps == {"hub": "create", "relay": "create"}
    vpc = cloud.ask(VpcClient, "get_vpc", vpc_id=made.outputs["vpc"])["vpc"]
    assert (vpc["name"], vpc["cidr"], vpc["description"]) == ("hub", "10.8.0.0/16", "market data")
    assert (vpc["secondaryCidr"], vpc["tags"]) == (["10.9.0.0/16"], [{"tagKey": "plan", "tagValue": "two-sites"}])
    assert [one["subnetId"] for one in vpc["subnets"]] == [made.outputs["subnet"]]
    assert made.outputs["table"].startswith("rt-")

    assert runs.up(network).steps == {}
    changed = runs.up(lambda: network("other words"))
    assert (changed.steps, changed.changes["hub"]) == ({"hub": "update"}, ["description"])
    assert cloud.ask(VpcClient, "get_vpc", vpc_id=made.outputs["vpc"])["vpc"]["description"] == "other words"

    moved = runs.up(lambda: network("other words", subnet="10.8.1.0/25"))
    assert moved.changes["relay"] == ["cidr"]
    assert moved.outputs["subnet"] != made.outputs["subnet"]
    assert len(cloud.ask(VpcClient, "get_vpc", vpc_id=made.outputs["vpc"])["vpc"]["subnets"]) == 1

    assert set(runs.destroy(network).steps.values()) == {"delete"}
    assert cloud.ask(VpcClient, "list_vpcs")["vpcs"] == []
    assert cloud.ask(SubnetClient, "list_subnets")["subnets"] == []


def test_a_vpc_that_is_replaced_stands_beside_the_old_one_until_its_subnets_have_moved(
    runs: Runs, cloud: EmulatedCloud
) -> None:
    made = runs.up(network)
    moved = runs.up(lambda: network(cidr="10.6.0.0/16", subnet="10.6.1.0/24"))
    assert moved.outputs["vpc"] != made.outputs["vpc"]
    assert [one["vpcId"] for one in cloud.ask(VpcClient, "list_vpcs")["vpcs"]] == [moved.outputs["vpc"]]
    back = runs.up(network)
    assert back.outputs["vpc"] not in (made.outputs["vpc"], moved.outputs["vpc"])
    assert runs.up(network).steps == {}
    runs.destroy(network)


def test_drift_is_shown_by_refresh_and_mended_by_the_next_run(runs: Runs, cloud: EmulatedCloud) -> None:
    made = runs.up(network)
    vpc, subnet = made.outputs["vpc"], made.outputs["subnet"]
    cloud.ask(VpcClient, "update_vpc", vpc_id=vpc, name="by hand", description="by hand", secondaryCidr=[])
    cloud.ask(SubnetClient, "delete_subnet", subnet_id=subnet)
    assert runs.refresh(network).steps["hub"] == "update"
    mended = runs.up(network)
    assert mended.steps == {"hub": "update", "relay": "create"}
    assert mended.changes["hub"] == ["description", "name", "secondaryCidrs"]
    live = cloud.ask(VpcClient, "get_vpc", vpc_id=vpc)["vpc"]
    assert (live["name"], live["description"], live["secondaryCidr"]) == ("hub", "market data", ["10.9.0.0/16"])
    assert runs.up(network).steps == {}
    runs.destroy(network)


def test_what_was_made_by_hand_is_imported_without_a_change(runs: Runs, cloud: EmulatedCloud) -> None:
    vpc = cloud.ask(VpcClient, "create_vpc", name="hub", cidr="10.8.0.0/16")["vpcId"]
    zone, name = "cn-hkg-a", "relay"
    subnet = cloud.ask(SubnetClient, "create_subnet", name=name, zone_name=zone, cidr="10.8.1.0/24", vpc_id=vpc)

    def program() -> None:
        hub = Vpc("hub", cidr="10.8.0.0/16", opts=pulumi.ResourceOptions(import_=vpc))
        taken = pulumi.ResourceOptions(import_=subnet["subnetId"])
        Subnet("relay", vpc_id=hub.id, cidr="10.8.1.0/24", zone_name="cn-hkg-a", opts=taken)

    assert runs.up(program).steps == {"hub": "import", "relay": "import"}
    assert runs.up(program).steps == {}
    assert len(cloud.ask(VpcClient, "list_vpcs")["vpcs"]) == 1
    runs.destroy(program)


def peered(bandwidth: int = 100, dns: bool = True, cloud: EmulatedCloud | None = None) -> None:
    assert cloud
    gz = pulumi.ResourceOptions(provider=Provider("gz", region="gz"))
    hub = Vpc("hub", cidr="10.8.0.0/16")
    core = Vpc("core", cidr="10.16.0.0/16", opts=gz)
    peering = PeerConnection(
        "hub-gz",
        bandwidth_in_mbps=bandwidth,
        local_vpc_id=hub.id,
        peer_vpc_id=core.id,
        peer_region="gz",
        dns_sync=dns,
    )
    route = RouteRule(
        "to-gz",
        route_table_id=hub.route_table_id,
        destination_address="10.16.0.0/16",
        nexthop_type="peerConn",
        nexthop_id=peering.local_if_id,
    )
    RouteRule(
        "to-hkg",
        route_table_id=core.route_table_id,
        destination_address="10.8.0.0/16",
        nexthop_type="peerConn",
        nexthop_id=peering.peer_if_id,
        opts=gz,
    )
    pulumi.export("peering", peering.id)
    pulumi.export("ends", [peering.local_if_id, peering.peer_if_id])
    pulumi.export("status", peering.status)
    pulumi.export("route", route.id)
    pulumi.export("table", hub.route_table_id)


def test_a_peering_across_regions_waits_until_it_is_active_and_syncs_both_sides(
    runs: Runs, cloud: EmulatedCloud
) -> None:
    made = runs.up(lambda: peered(cloud=cloud))
    assert made.outputs["status"] == "active"
    assert "waiting for active: it is creating" in made.messages
    ends = made.outputs["ends"]
    for role, region, end in (("initiator", "hkg", ends[0]), ("acceptor", "gz", ends[1])):
        side = cloud.call(region).ask(PeerConnClient, "get_peerconn", peer_conn_id=made.outputs["peering"], role=role)
        assert (side["status"], side["dnsStatus"], side["localIfId"]) == ("active", "open", end)
    table, rule = made.outputs["route"].split("/")
    rules = cloud.ask(RouteClient, "get_route_rule", routeTableId=table)["routeRules"]
    assert [one["nexthopId"] for one in rules if one["routeRuleId"] == rule] == [ends[0]]
    assert runs.up(lambda: peered(cloud=cloud)).steps == {}

    changed = runs.up(lambda: peered(200, False, cloud))
    assert changed.changes == {"hub-gz": ["bandwidthInMbps", "dnsSync"]}
    side = cloud.ask(PeerConnClient, "get_peerconn", peer_conn_id=made.outputs["peering"], role="initiator")
    assert (side["bandwidthInMbps"], side["dnsStatus"]) == (200, "close")

    cloud.ask(RouteClient, "delete_route", route_rule_id=rule)
    runs.refresh(lambda: peered(200, False, cloud))
    assert runs.up(lambda: peered(200, False, cloud)).steps == {"to-gz": "create"}
    runs.destroy(lambda: peered(cloud=cloud))
    for region in ("hkg", "gz"):
        assert list(cloud.call(region).pages(VpcClient, "list_vpcs", "vpcs")) == []
