"""VPC, subnet and route rule through the real engine against the emulated cloud."""

from __future__ import annotations

import pulumi
import pytest
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import EmulatedCloud
from engine_runs import RunFailedError, Runs

from lanecast_infra.baiducloud import Subnet, Vpc


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
