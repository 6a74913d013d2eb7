"""What goes wrong: each ends in an error that says what to do, and nothing is orphaned or made twice."""

from __future__ import annotations

import re
from typing import Any

import pulumi
import pytest
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import SECRET_KEY, EmulatedCloud
from engine_runs import RunFailedError, Runs

from lanecast_infra.baiducloud import Subnet, Vpc

VPCS = "/v1/vpc*"


def hub(secondary: tuple[str, ...] = ()) -> None:
    soon = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete="3s"))
    vpc = Vpc("hub", cidr="10.8.0.0/16", secondary_cidrs=list(secondary), opts=soon)
    pulumi.export("vpc", vpc.id)


def vpcs(cloud: EmulatedCloud) -> list[dict[str, Any]]:
    return list(cloud.call().pages(VpcClient, "list_vpcs", "vpcs"))


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"kind": "lost-reply", "method": "POST", "count": 2}, id="the reply is lost"),
        pytest.param({"kind": "lost-request", "method": "POST", "count": 1}, id="the request is lost"),
        pytest.param({"kind": "throttle", "count": 3}, id="the API throttles"),
        pytest.param({"kind": "error", "status": 503, "count": 3}, id="the API fails"),
    ],
)
def test_a_fault_that_passes_leaves_one_vpc(runs: Runs, cloud: EmulatedCloud, rule: dict[str, Any]) -> None:
    cloud.set_faults({**rule, "path": VPCS})
    made = runs.up(hub)
    assert cloud.struck() == [rule["count"]]
    assert "asking again: " in made.messages
    assert [one["vpcId"] for one in vpcs(cloud)] == [made.outputs["vpc"]]
    runs.destroy(hub)


def test_a_removal_whose_reply_is_lost_is_done(runs: Runs, cloud: EmulatedCloud) -> None:
    runs.up(hub)
    cloud.set_faults({"kind": "lost-reply", "method": "DELETE", "path": VPCS, "count": 1})
    runs.destroy(hub)
    assert (cloud.struck(), vpcs(cloud)) == ([1], [])


def test_a_half_made_vpc_is_kept_and_finished_by_the_next_run(runs: Runs, cloud: EmulatedCloud) -> None:
    overlapping = ("10.8.128.0/24",)
    with pytest.raises(RunFailedError) as failed:
        runs.up(lambda: hub(overlapping))
    assert 'Vpc "hub" could not be finished: secondaryCidrs: update_vpc: CidrConflict' in str(failed.value)
    assert re.search(r"\(request [0-9a-f-]+\)\. What to do: choose ranges that overlap neither", str(failed.value))
    (there,) = vpcs(cloud)
    kept = runs.state(hub)["hub"]
    assert kept["id"] == there["vpcId"]
    assert "CidrConflict" in kept["initErrors"][0]
    finished = runs.up(lambda: hub(("10.9.0.0/16",)))
    assert finished.outputs["vpc"] == there["vpcId"]
    assert [(one["vpcId"], one["secondaryCidr"]) for one in vpcs(cloud)] == [(there["vpcId"], ["10.9.0.0/16"])]
    assert "initErrors" not in runs.state(hub)["hub"]
    runs.destroy(hub)


def test_wrong_keys_are_told_at_once(runs: Runs) -> None:
    runs.variables["BAIDUCLOUD_SECRET_KEY"] = "wrong"
    with pytest.raises(RunFailedError, match=r"check the (secret key|keys)") as failed:
        runs.up(hub)
    assert 'Vpc "hub" could not be made: create_vpc' in str(failed.value)


def test_a_missing_key_names_the_setting(runs: Runs) -> None:
    runs.variables["BAIDUCLOUD_SECRET_KEY"] = ""
    with pytest.raises(RunFailedError, match="run `pulumi config set --secret baiducloud:secretKey`"):
        runs.up(hub)


def test_an_endpoint_that_nothing_listens_at(runs: Runs) -> None:
    runs.variables["BAIDUCLOUD_ENDPOINT"] = "http://127.0.0.1:9"
    with pytest.raises(RunFailedError, match=r"Unreachable.*check baiducloud:endpoint and the network"):
        runs.up(hub)


def test_the_secret_key_of_the_configuration_is_nowhere_in_the_clear(runs: Runs, cloud: EmulatedCloud) -> None:
    runs.settings["secretKey"] = runs.variables.pop("BAIDUCLOUD_SECRET_KEY")
    made = runs.up(hub)
    assert SECRET_KEY not in made.messages
    written = [path.read_text(errors="replace") for path in runs.folder.rglob("*") if path.is_file()]
    assert written
    assert not [text for text in written if SECRET_KEY in text]
    runs.destroy(hub)


def test_over_quota(runs: Runs, cloud: EmulatedCloud) -> None:
    def many() -> None:
        for index in range(11):
            Vpc(f"vpc-{index}", cidr="10.8.0.0/16")

    with pytest.raises(RunFailedError, match=r"LimitExceeded.*ask for a higher quota"):
        runs.up(many)
    assert len(vpcs(cloud)) == 10
    runs.destroy(many)
    assert vpcs(cloud) == []


def test_a_vpc_that_something_else_lives_in_is_not_removed(runs: Runs, cloud: EmulatedCloud) -> None:
    vpc = runs.up(hub).outputs["vpc"]
    other = {"name": "by-hand", "zone_name": "cn-hkg-a", "cidr": "10.8.1.0/24", "vpc_id": vpc}
    subnet = cloud.ask(SubnetClient, "create_subnet", **other)["subnetId"]
    with pytest.raises(RunFailedError) as failed:
        runs.destroy(hub)
    assert 'Vpc "hub" could not be removed: delete_vpc: NotAllowDeleteVpc' in str(failed.value)
    assert f"subnet {subnet}" in str(failed.value)
    assert runs.state(hub)["hub"]["id"] == vpc
    cloud.ask(SubnetClient, "delete_subnet", subnet_id=subnet)
    runs.destroy(hub)


def test_a_change_of_what_was_removed_by_hand_says_refresh(runs: Runs, cloud: EmulatedCloud) -> None:
    cloud.ask(VpcClient, "delete_vpc", vpc_id=runs.up(hub).outputs["vpc"])
    with pytest.raises(RunFailedError, match=r"it is gone: .* Run `pulumi refresh`, then `pulumi up`"):
        runs.up(lambda: hub(("10.9.0.0/16",)))
    runs.refresh(hub)
    made = runs.up(hub)
    assert [one["vpcId"] for one in vpcs(cloud)] == [made.outputs["vpc"]]
    runs.destroy(hub)


def test_mistakes_are_told_by_property_before_anything_is_made(runs: Runs, cloud: EmulatedCloud) -> None:
    def wrong() -> None:
        vpc = Vpc("hub", cidr="10.8.0.1/16", secondary_cidrs=["10.9.0.0/33"])
        Subnet("relay", vpc_id=vpc.id, cidr="10.8.1.0/24", zone_name="cn-hkg-a", subnet_type="BCCC")

    with pytest.raises(RunFailedError) as failed:
        runs.preview(wrong)
    assert "'10.8.0.1/16' has host bits or an odd spelling: write 10.8.0.0/16" in str(failed.value)
    assert "property secondaryCidrs" in str(failed.value)
    assert vpcs(cloud) == []
