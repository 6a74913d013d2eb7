"""VPCs and subnets through the official SDK."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_under_test import Cloud, refusal


def test_a_vpc_from_its_making_to_its_end(cloud: Cloud, later: ExitStack) -> None:
    vpcs = cloud.client(VpcClient)
    vpc_id = vpcs.create_vpc("hub", "10.0.0.0/16", description="of the lab").vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    vpc = vpcs.get_vpc(vpc_id).vpc
    assert (vpc.vpc_id, vpc.name, vpc.cidr, vpc.description) == (vpc_id, "hub", "10.0.0.0/16", "of the lab")
    assert (vpc.is_default, vpc.subnets, vpc.secondary_cidr) == (False, [], [])
    vpcs.update_vpc(vpc_id, "hub-2", description="still")
    vpc = vpcs.get_vpc(vpc_id).vpc
    assert (vpc.name, vpc.description, vpc.cidr) == ("hub-2", "still", "10.0.0.0/16")
    later.pop_all()
    vpcs.delete_vpc(vpc_id)
    assert refusal(vpcs.get_vpc, vpc_id) == (404, "NoSuchObject")
    assert refusal(vpcs.update_vpc, vpc_id, "x") == (404, "NoSuchObject")
    assert refusal(vpcs.delete_vpc, vpc_id) == (404, "NoSuchObject")


def test_a_description_has_two_hundred_characters(cloud: Cloud, later: ExitStack) -> None:
    vpcs = cloud.client(VpcClient)
    vpc_id = vpcs.create_vpc("described", "10.0.0.0/16", description="x" * 200).vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    assert refusal(vpcs.create_vpc, "described", "10.0.0.0/16", description="x" * 201)[0] == 400
    assert refusal(vpcs.update_vpc, vpc_id, "described", description="x" * 201)[0] == 400


def test_when_they_were_made_is_told(cloud: Cloud, later: ExitStack) -> None:
    """[go] ``ShowVPCModel`` and ``Subnet`` have ``createdTime``."""
    vpcs, subnets = cloud.client(VpcClient), cloud.client(SubnetClient)
    vpc_id = vpcs.create_vpc("dated", "10.0.0.0/16").vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    subnet_id = subnets.create_subnet("dated", "cn-bj-d", "10.0.1.0/24", vpc_id).subnet_id
    later.callback(subnets.delete_subnet, subnet_id)
    subnet = subnets.get_subnet(subnet_id).subnet
    for text in (vpcs.get_vpc(vpc_id).vpc.created_time, subnet.created_time):
        assert abs(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() - time.time()) < 60
    assert subnet.available_unreserved_ip == subnet.available_ip


def test_tags_are_kept(cloud: Cloud, later: ExitStack) -> None:
    vpcs = cloud.client(VpcClient)
    tags = [{"tagKey": "lanecast", "tagValue": "hub"}]
    vpc_id = vpcs.create_vpc("tagged", "10.0.0.0/16", tags=tags).vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    assert [(tag.tag_key, tag.tag_value) for tag in vpcs.get_vpc(vpc_id).vpc.tags] == [("lanecast", "hub")]


def test_pages_of_vpcs(cloud: Cloud, later: ExitStack) -> None:
    vpcs = cloud.client(VpcClient)
    before = {vpc.vpc_id for vpc in vpcs.list_vpcs().vpcs}
    made = [vpcs.create_vpc(f"page-{number}", "10.0.0.0/16").vpc_id for number in range(3)]
    for vpc_id in made:
        later.callback(vpcs.delete_vpc, vpc_id)
    found, marker, pages = [], "", 0
    while True:
        page = vpcs.list_vpcs(marker=marker, max_keys=2)
        assert page.max_keys == 2
        assert len(page.vpcs) <= 2
        found += [vpc.vpc_id for vpc in page.vpcs]
        pages += 1
        if not page.is_truncated:
            break
        marker = page.next_marker
    assert page.next_marker is None
    assert sorted(found) == sorted({*before, *made})
    assert pages == (len(before) + 3 + 1) // 2


def test_pages_go_on_when_what_stood_at_their_edge_is_deleted(shared_emulator: Cloud, later: ExitStack) -> None:
    vpcs = shared_emulator.client(VpcClient, "gz")
    made = [vpcs.create_vpc(f"edge-{number}", "10.0.0.0/16").vpc_id for number in range(4)]
    for vpc_id in (made[0], made[2], made[3]):
        later.callback(vpcs.delete_vpc, vpc_id)
    first = vpcs.list_vpcs(max_keys=2)
    assert [vpc.vpc_id for vpc in first.vpcs] == made[:2]
    vpcs.delete_vpc(made[1])
    assert [vpc.vpc_id for vpc in vpcs.list_vpcs(marker=first.next_marker).vpcs] == made[2:]


def test_pages_of_vpcs_that_are_named(cloud: Cloud, later: ExitStack) -> None:
    vpcs = cloud.client(VpcClient)
    made = [vpcs.create_vpc(f"named-{number}", "10.0.0.0/16").vpc_id for number in range(3)]
    for vpc_id in made:
        later.callback(vpcs.delete_vpc, vpc_id)
    ids = ",".join(["vpc-nothing", *made])
    first = vpcs.list_vpcs(vpc_ids=ids, max_keys=2)
    assert (len(first.vpcs), first.is_truncated, first.max_keys) == (2, True, 2)
    second = vpcs.list_vpcs(vpc_ids=ids, max_keys=2, marker=first.next_marker)
    assert (len(second.vpcs), second.is_truncated, second.next_marker) == (1, False, None)
    assert {vpc.vpc_id for vpc in (*first.vpcs, *second.vpcs)} == {*made}


def test_a_page_that_cannot_be(shared_emulator: Cloud) -> None:
    vpcs = shared_emulator.client(VpcClient)
    assert refusal(vpcs.list_vpcs, max_keys=0) == (400, "InappropriateJSON")
    assert refusal(vpcs.list_vpcs, marker="elephant") == (400, "InappropriateJSON")


def test_regions_and_accounts_see_only_their_own(shared_emulator: Cloud, later: ExitStack) -> None:
    vpcs = shared_emulator.client(VpcClient)
    vpc_id = vpcs.create_vpc("mine", "10.0.0.0/16").vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    for stranger in (shared_emulator.client(VpcClient, "hkg"), shared_emulator.client(VpcClient, key="otherak")):
        assert refusal(stranger.get_vpc, vpc_id) == (404, "NoSuchObject")
        assert vpc_id not in [vpc.vpc_id for vpc in stranger.list_vpcs().vpcs]


def test_secondary_ranges(cloud: Cloud, later: ExitStack) -> None:
    vpcs, subnets = cloud.client(VpcClient), cloud.client(SubnetClient)
    vpc_id = vpcs.create_vpc("two", "10.0.0.0/16").vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    outside = partial(subnets.create_subnet, "s", "cn-bj-a", "10.1.1.0/24", vpc_id)
    assert refusal(outside) == (409, "CidrConflict")
    vpcs.update_vpc(vpc_id, "two", secondaryCidr=["10.1.0.0/16"])
    assert vpcs.get_vpc(vpc_id).vpc.secondary_cidr == ["10.1.0.0/16"]
    subnet_id = outside().subnet_id
    later.callback(subnets.delete_subnet, subnet_id)
    assert refusal(vpcs.update_vpc, vpc_id, "two", secondaryCidr=[])[0] == 409
    overlapping = ["10.1.0.0/16", "10.0.128.0/17"]
    assert refusal(vpcs.update_vpc, vpc_id, "two", secondaryCidr=overlapping) == (409, "CidrConflict")


def test_a_subnet_from_its_making_to_its_end(cloud: Cloud, later: ExitStack) -> None:
    vpcs, subnets = cloud.client(VpcClient), cloud.client(SubnetClient)
    vpc_id = vpcs.create_vpc("hub", "10.0.0.0/16").vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    subnet_id = subnets.create_subnet("apps", "cn-bj-a", "10.0.1.0/24", vpc_id, description="of the lab").subnet_id
    subnet = subnets.get_subnet(subnet_id).subnet
    assert (subnet.name, subnet.zone_name, subnet.cidr, subnet.vpc_id) == ("apps", "cn-bj-a", "10.0.1.0/24", vpc_id)
    assert (subnet.subnet_type, subnet.description) == ("BCC", "of the lab")
    assert 240 < subnet.available_ip < 256
    assert [one.subnet_id for one in vpcs.get_vpc(vpc_id).vpc.subnets] == [subnet_id]
    subnets.update_subnet(subnet_id, "apps-2", description="")
    assert subnets.get_subnet(subnet_id).subnet.name == "apps-2"
    assert refusal(vpcs.delete_vpc, vpc_id)[0] == 409
    subnets.delete_subnet(subnet_id)
    assert refusal(subnets.get_subnet, subnet_id) == (404, "NoSuchObject")


def test_what_a_subnet_cannot_be(cloud: Cloud, later: ExitStack) -> None:
    vpcs, subnets = cloud.client(VpcClient), cloud.client(SubnetClient)
    vpc_id = vpcs.create_vpc("hub", "10.0.0.0/16").vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    make = subnets.create_subnet
    later.callback(subnets.delete_subnet, make("s", "cn-bj-a", "10.0.1.0/24", vpc_id).subnet_id)
    assert refusal(make, "s", "cn-bj-a", "10.0.1.128/25", vpc_id) == (409, "CidrConflict")
    assert refusal(make, "s", "cn-bj-a", "10.2.0.0/24", vpc_id) == (409, "CidrConflict")
    assert refusal(make, "s", "cn-bj-a", "10.0.2.0/24", "vpc-nothing") == (404, "NoSuchObject")
    assert refusal(make, "s", "cn-hkg-a", "10.0.2.0/24", vpc_id)[0] == 400
    assert refusal(make, "s", "moon", "10.0.2.0/24", vpc_id)[0] == 400
    assert refusal(make, "s", "cn-bj-a\n", "10.0.2.0/24", vpc_id)[0] == 400
    assert refusal(make, "s", "cn-bj-a", "10.0.2.0/255.255.255.0", vpc_id)[0] == 400


def test_lists_of_subnets_by_vpc_and_zone(cloud: Cloud, later: ExitStack) -> None:
    vpcs, subnets = cloud.client(VpcClient), cloud.client(SubnetClient)
    made: dict[tuple[str, str], str] = {}
    for name in ("one", "two"):
        vpc_id = vpcs.create_vpc(name, "10.0.0.0/16").vpc_id
        later.callback(vpcs.delete_vpc, vpc_id)
        for number, zone in enumerate(("cn-bj-a", "cn-bj-d")):
            subnet_id = subnets.create_subnet(zone, zone, f"10.0.{number}.0/24", vpc_id).subnet_id
            later.callback(subnets.delete_subnet, subnet_id)
            made[vpc_id, zone] = subnet_id
    for vpc_id in {vpc for vpc, _ in made}:
        found = [one.subnet_id for one in subnets.list_subnets(vpc_id=vpc_id).subnets]
        assert found == [subnet for (vpc, _), subnet in made.items() if vpc == vpc_id]
        found = [one.subnet_id for one in subnets.list_subnets(vpc_id=vpc_id, zone_name="cn-bj-d").subnets]
        assert found == [made[vpc_id, "cn-bj-d"]]


def test_relays_are_switched(cloud: Cloud, later: ExitStack) -> None:
    vpcs = cloud.client(VpcClient)
    vpc_id = vpcs.create_vpc("transit", "10.0.0.0/16").vpc_id
    later.callback(vpcs.delete_vpc, vpc_id)
    assert not vpcs.get_vpc(vpc_id).vpc.relay
    vpcs.open_relay(vpc_id)
    assert vpcs.get_vpc(vpc_id).vpc.relay
    vpcs.shutdown_relay(vpc_id)
    assert not vpcs.get_vpc(vpc_id).vpc.relay
