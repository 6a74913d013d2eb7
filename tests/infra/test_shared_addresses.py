"""A bridge's parts: machines with user data that share an address, and the transit switch, through the real engine."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pulumi
import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.havip.havip_client import HavipClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import EmulatedCloud
from engine_runs import RunFailedError, Runs

from lanecast_infra.baiducloud import (
    Eip,
    HaVip,
    Instance,
    RouteRule,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
)

USER_DATA = "#cloud-config\nruncmd: [[sysctl, --system]]\n"


def bridge(
    bound: Sequence[int] = (1, 2), public: bool = True, relay: bool = False, data: str = USER_DATA, name: str = "shared"
) -> None:
    vpc = Vpc("hub", cidr="10.8.0.0/16", relay=relay)
    subnet = Subnet("bridge", vpc_id=vpc.id, cidr="10.8.1.0/24", zone_name="cn-hkg-a")
    group = SecurityGroup("bridge-group", vpc_id=vpc.id)
    SecurityGroupRule("vrrp", security_group_id=group.id, direction="ingress", source_ip="10.8.1.0/24")
    instances = {
        number: Instance(
            f"bridge-{number}",
            spec="bcc.g5.c2m8",
            image_id="m-1",
            subnet_id=subnet.id,
            internal_ip=f"10.8.1.{10 + number}",
            user_data=data,
            security_group_ids=[group.id],
        )
        for number in (1, 2, 3)
    }
    address = Eip("public", bandwidth_in_mbps=10)
    shared = HaVip(
        "shared",
        name=name,
        subnet_id=subnet.id,
        private_ip_address="10.8.1.100",
        instance_ids=[instances[number].id for number in bound],
        public_ip_address=address.address if public else None,
    )
    RouteRule(
        "through",
        route_table_id=vpc.route_table_id,
        destination_address="10.16.0.0/16",
        nexthop_type="havip",
        nexthop_id=shared.id,
    )
    pulumi.export("vpc", vpc.id)
    pulumi.export("havip", shared.id)
    pulumi.export("address", address.address)
    pulumi.export("instances", {str(number): one.id for number, one in instances.items()})


def bound(cloud: EmulatedCloud, havip_id: str) -> set[str]:
    havip = cloud.ask(HavipClient, "get_havip_detail", havip_id=havip_id)
    return {one["instanceId"] for one in havip["bindedInstances"]}


def test_machines_share_an_address_that_changes_in_place(runs: Runs, cloud: EmulatedCloud) -> None:
    made = runs.up(bridge)
    havip, vpc = made.outputs["havip"], made.outputs["vpc"]
    first, second, third = (made.outputs["instances"][str(number)] for number in (1, 2, 3))
    assert bound(cloud, havip) == {first, second}
    told = cloud.ask(HavipClient, "get_havip_detail", havip_id=havip)
    assert (told["privateIpAddress"], told["publicIpAddress"]) == ("10.8.1.100", made.outputs["address"])
    rules = cloud.ask(RouteClient, "get_route_rule", vpcId=vpc)["routeRules"]
    assert [(one["nexthopType"], one["nexthopId"]) for one in rules] == [("havip", havip)]
    data = cloud.ask(BccClient, "get_instance_user_data", instance_id=first)["userData"]
    assert base64.b64decode(data).decode() == USER_DATA
    assert runs.up(bridge).steps == {}
    runs.refresh(bridge)
    assert runs.up(bridge).steps == {}

    assert runs.up(lambda: bridge((2, 3))).changes == {"shared": ["instanceIds"]}
    assert bound(cloud, havip) == {second, third}
    assert runs.up(lambda: bridge((3, 2))).steps == {}
    changed = runs.up(lambda: bridge((2,), public=False, relay=True, name="renamed"))
    assert changed.steps == {"shared": "update", "hub": "update"}
    assert bound(cloud, havip) == {second}
    (eip,) = cloud.ask(EipClient, "list_eips")["eipList"]
    assert (eip["status"], eip["instanceId"]) == ("available", "")
    assert cloud.ask(VpcClient, "get_vpc", vpc_id=vpc)["vpc"]["relay"]
    runs.up(bridge)
    assert not cloud.ask(VpcClient, "get_vpc", vpc_id=vpc)["vpc"]["relay"]

    # By hand: one is let go of, another is bound.
    cloud.ask(HavipClient, "havip_detach_instance", instance_ids=[first], instance_type="SERVER", havip_id=havip)
    cloud.ask(HavipClient, "havip_attach_instance", instance_ids=[third], instance_type="SERVER", havip_id=havip)
    assert runs.up(bridge).steps == {}
    runs.refresh(bridge)
    assert runs.up(bridge).steps == {"shared": "update"}
    assert bound(cloud, havip) == {first, second}
    runs.destroy(bridge)
    assert cloud.ask(VpcClient, "list_vpcs")["vpcs"] == []


def test_other_user_data_makes_new_machines_which_the_address_follows(runs: Runs, cloud: EmulatedCloud) -> None:
    made = runs.up(bridge)
    again = runs.up(lambda: bridge(data=USER_DATA + "packages: [keepalived]\n"))
    instances = set(again.outputs["instances"].values())
    assert not instances & set(made.outputs["instances"].values())
    assert again.outputs["havip"] == made.outputs["havip"]
    assert again.changes["bridge-1"] == ["userData"]
    assert bound(cloud, again.outputs["havip"]) == {again.outputs["instances"]["1"], again.outputs["instances"]["2"]}
    runs.destroy(bridge)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_answers_that_are_lost_leave_one_address_with_its_machines(
    runs: Runs, cloud: EmulatedCloud, method: str
) -> None:
    cloud.set_faults({"kind": "lost-reply", "method": method, "path": "/v1/havip*", "count": 1})
    made = runs.up(bridge)
    assert cloud.struck() == [1]
    assert bound(cloud, made.outputs["havip"]) == {made.outputs["instances"][number] for number in ("1", "2")}
    assert len(cloud.ask(HavipClient, "get_havip_detail_list")["haVips"]) == 1


def test_a_machine_of_another_network_is_told(runs: Runs, cloud: EmulatedCloud) -> None:
    def program() -> None:
        hub, other = Vpc("hub", cidr="10.8.0.0/16"), Vpc("other", cidr="10.9.0.0/16")
        subnet: Any = {
            one: Subnet(f"in-{name}", vpc_id=one.id, cidr=cidr, zone_name="cn-hkg-a")
            for name, one, cidr in (("hub", hub, "10.8.1.0/24"), ("other", other, "10.9.1.0/24"))
        }
        stranger = Instance("stranger", spec="bcc.g5.c2m8", image_id="m-1", subnet_id=subnet[other].id)
        HaVip("shared", subnet_id=subnet[hub].id, instance_ids=[stranger.id])

    with pytest.raises(RunFailedError) as failed:
        runs.up(program)
    assert 'HaVip "shared" could not be finished: instanceIds: havip_attach_instance: OperationDenied' in str(
        failed.value
    )
    assert "(request " in str(failed.value)
    assert "What to do: name machines of the subnet's VPC" in str(failed.value)
    assert runs.state(program)["shared"]["id"].startswith("havip-")
    runs.destroy(program)
