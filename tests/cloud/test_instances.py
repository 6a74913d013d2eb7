"""Instances, zones and images through the official SDK."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.bcc.bcc_model import TagModel
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.subnet.subnet_client import SubnetClient
from cloud_helpers import (
    SPEC,
    a_group,
    a_subnet,
    a_vpc,
    an_eip,
    eip_of,
    eip_status,
    instance_status,
    instances,
    is_gone,
)
from cloud_under_test import Cloud, refusal

USER_DATA = "I2Nsb3VkLWNvbmZpZwpydW5jbWQ6IFtdCg=="


def test_an_instance_from_its_making_to_its_end(cloud: Cloud, later: ExitStack) -> None:
    bcc, vpc_id = cloud.client(BccClient), a_vpc(cloud, later)
    subnet_id = a_subnet(cloud, later, vpc_id)
    group_id = a_group(cloud, later, vpc_id)
    more = {"name": "bridge", "zone_name": "cn-bj-d", "security_group_id": group_id, "internal_ips": ["10.0.1.10"]}
    [instance_id] = instances(cloud, later, subnet_id, user_data=USER_DATA, **more)
    instance = bcc.get_instance(instance_id).instance
    assert (instance.id, instance.name, instance.internal_ip) == (instance_id, "bridge", "10.0.1.10")
    assert (instance.vpc_id, instance.subnet_id, instance.zone_name) == (vpc_id, subnet_id, "cn-bj-d")
    assert (instance.cpu_count, instance.memory_capacity_in_gb) == (2, 8)
    assert instance.nic_info.security_groups == [group_id]
    assert bcc.get_instance_user_data(instance_id).user_data == USER_DATA
    assert instance_id in [one.id for one in bcc.list_instances(vpc_id=vpc_id).instances]
    assert refusal(bcc.delete_security_group, group_id)[0] == 409
    assert refusal(cloud.client(SubnetClient).delete_subnet, subnet_id)[0] == 409
    bcc.stop_instance(instance_id)
    cloud.eventually(partial(instance_status, cloud, instance_id), "Stopped")
    assert refusal(bcc.stop_instance, instance_id)[0] == 409
    bcc.start_instance(instance_id)
    cloud.eventually(partial(instance_status, cloud, instance_id), "Running")
    bcc.reboot_instance(instance_id)
    cloud.eventually(partial(instance_status, cloud, instance_id), "Running")
    bcc.modify_instance_attributes(instance_id, "renamed")
    bcc.modify_instance_desc(instance_id, "of the lab")
    instance = bcc.get_instance(instance_id).instance
    assert (instance.name, instance.desc) == ("renamed", "of the lab")
    bcc.modify_instance_desc(instance_id, "")
    assert bcc.get_instance(instance_id).instance.desc == ""
    bcc.release_instance(instance_id)
    cloud.eventually(lambda: is_gone(bcc.get_instance, instance_id), True)


def test_several_instances_at_once(cloud: Cloud, later: ExitStack) -> None:
    bcc, subnet_id = cloud.client(BccClient), a_subnet(cloud, later, a_vpc(cloud, later))
    wanted = ["10.0.1.20", "10.0.1.21"]
    made = instances(cloud, later, subnet_id, purchase_count=2, internal_ips=wanted)
    assert sorted(bcc.get_instance(one).instance.internal_ip for one in made) == wanted


def test_an_instance_without_address_or_group_gets_them(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, bcc = shared_emulator, shared_emulator.client(BccClient)
    vpc_id = a_vpc(cloud, later)
    subnet_id = a_subnet(cloud, later, vpc_id)
    before = cloud.client(SubnetClient).get_subnet(subnet_id).subnet.available_ip
    made = instances(cloud, later, subnet_id, purchase_count=2)
    found = [bcc.get_instance(one).instance for one in made]
    assert [one.internal_ip for one in found] == ["10.0.1.2", "10.0.1.3"]
    [default] = bcc.list_security_groups(vpc_id=vpc_id).security_groups
    assert [one.nic_info.security_groups for one in found] == [[default.id]] * 2
    assert cloud.client(SubnetClient).get_subnet(subnet_id).subnet.available_ip == before - 2
    assert bcc.get_instance_user_data(made[0]).user_data == ""
    [plain] = instances(cloud, later, subnet_id, user_data=base64.b64decode(USER_DATA).decode())
    assert bcc.get_instance_user_data(plain).user_data == USER_DATA


def test_what_an_instance_cannot_be(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, bcc = shared_emulator, shared_emulator.client(BccClient)
    vpc_id = a_vpc(cloud, later)
    subnet_id = a_subnet(cloud, later, vpc_id)
    other_group = a_group(cloud, later, a_vpc(cloud, later, "10.9.0.0/16"))
    make = partial(bcc.create_instance_by_spec, SPEC, "m-any", subnet_id=subnet_id)
    instances(cloud, later, subnet_id, internal_ips=["10.0.1.10"])
    assert refusal(make, internal_ips=["10.0.1.10"])[0] == 409
    assert refusal(make, internal_ips=["10.0.2.10"])[0] == 400
    assert refusal(make, internal_ips=["10.0.1.1"])[0] == 400
    assert refusal(make, internal_ips=["10.0.1.11", "10.0.1.12"])[0] == 400
    assert refusal(make, internal_ips=["10.0.1.11", "10.0.1.10"], purchase_count=2)[0] == 409
    assert refusal(make, zone_name="cn-bj-a")[0] == 400
    assert refusal(make, security_group_id="g-nothing")[0] == 404
    assert refusal(make, security_group_id=other_group)[0] == 409
    for spec in ("huge", "bcc.g5.c2m8\n", f"bcc.g5.c{'9' * 5000}m8"):
        assert refusal(bcc.create_instance_by_spec, spec, "m-any", subnet_id=subnet_id)[0] == 400
    assert refusal(bcc.create_instance_by_spec, SPEC, "m-any", subnet_id="sbn-nothing")[0] == 404
    assert len(bcc.list_instances(vpc_id=vpc_id).instances) == 1


def test_instances_are_searched_for(cloud: Cloud, later: ExitStack) -> None:
    """[SDK] By these, several values separated by commas."""
    vpc_id = a_vpc(cloud, later)
    subnet_id, bcc = a_subnet(cloud, later, vpc_id), cloud.client(BccClient)
    [relay] = instances(cloud, later, subnet_id, name="lab-relay", tags=[TagModel("use", "relay")])
    [feed] = instances(cloud, later, subnet_id, name="lab-feed", tags=[TagModel("use", "feed")])
    bcc.stop_instance(feed)
    cloud.eventually(partial(instance_status, cloud, feed), "Stopped")

    def found(**wanted: str) -> set[str]:
        return {one.id for one in bcc.list_instances(**wanted).instances} & {relay, feed}

    address = bcc.get_instance(relay).instance.internal_ip
    assert found(instance_ids=f"{relay},i-nothing") == {relay}
    assert found(instance_names="lab-relay,lab-feed") == {relay, feed}
    assert found(instance_names="lab-feed") == {feed}
    assert found(instance_names="lab") == set()
    assert found(fuzzy_instance_name="lab-re") == {relay}
    assert found(status="Stopped") == {feed}
    assert found(status="Running,Stopped") == {relay, feed}
    assert found(vpc_id=vpc_id, private_ips=f"{address},10.0.1.250") == {relay}
    assert found(tags="use:relay") == {relay}
    assert found(tags="use") == {relay, feed}
    assert found(tags="use:elephant") == set()
    group = bcc.list_security_groups(vpc_id=vpc_id).security_groups[0].id
    assert found(security_group_ids=group) == {relay, feed}
    assert found(security_group_ids="g-nothing") == set()
    assert found(payment_timing="Prepaid") == set()
    assert found(deployset_ids="dset-nothing") == set()
    bcc.start_instance(feed)
    cloud.eventually(partial(instance_status, cloud, feed), "Running")


def test_groups_of_an_instance(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, bcc = shared_emulator, shared_emulator.client(BccClient)
    vpc_id = a_vpc(cloud, later)
    subnet_id = a_subnet(cloud, later, vpc_id)
    first, second = a_group(cloud, later, vpc_id), a_group(cloud, later, vpc_id)
    [instance_id] = instances(cloud, later, subnet_id, security_group_ids=[first])
    bcc.bind_instance_to_security_group(instance_id, second)
    assert bcc.get_instance(instance_id).instance.nic_info.security_groups == [first, second]
    assert [one.id for one in bcc.list_security_groups(instance_id=instance_id).security_groups] == [first, second]
    bcc.unbind_instance_from_security_group(instance_id, first)
    assert refusal(bcc.unbind_instance_from_security_group, instance_id, second) == (409, "OperationDenied")


def test_an_elastic_address_of_an_instance(cloud: Cloud, later: ExitStack) -> None:
    eips, bcc, address = cloud.client(EipClient), cloud.client(BccClient), an_eip(cloud, later)
    [instance_id] = instances(cloud, later, a_subnet(cloud, later, a_vpc(cloud, later)))
    eips.bind_eip(address, "BCC", instance_id)
    cloud.eventually(partial(eip_status, cloud, address), "binded")
    assert (eip_of(cloud, address).instance_type, eip_of(cloud, address).instance_id) == ("BCC", instance_id)
    assert bcc.get_instance(instance_id).instance.public_ip == address
    eips.unbind_eip(address)
    cloud.eventually(partial(eip_status, cloud, address), "available")
    assert bcc.get_instance(instance_id).instance.public_ip in (None, "")


def test_an_instance_that_a_route_needs_stays(cloud: Cloud, later: ExitStack) -> None:
    routes, bcc, vpc_id = cloud.client(RouteClient), cloud.client(BccClient), a_vpc(cloud, later)
    [instance_id] = instances(cloud, later, a_subnet(cloud, later, vpc_id))
    table = routes.get_route(vpc_id=vpc_id).route_table_id
    rule_id = routes.create_route(table, "0.0.0.0/0", "10.3.0.0/16", "custom", "bridge", instance_id).route_rule_id
    assert refusal(bcc.release_instance, instance_id)[0] == 409
    routes.delete_route(rule_id)


@pytest.mark.parametrize("region", ["bj", "gz"])
def test_zones(cloud: Cloud, region: str) -> None:
    zones = [zone.zone_name for zone in cloud.client(BccClient, region).list_zones().zones]
    assert f"cn-{region}-a" in zones
    assert all(zone.startswith(f"cn-{region}-") for zone in zones)


def test_images(cloud: Cloud) -> None:
    bcc = cloud.client(BccClient)
    image = bcc.list_images("System").images[0]
    assert bcc.get_image(image.id).image.name == image.name
    assert refusal(bcc.get_image, "m-nothing")[0] == 404


def test_an_instance_in_a_zone_that_is_down(start: Any) -> None:
    emulator = start("--async-delay", "0")
    with ExitStack() as later:
        [instance_id] = instances(emulator, later, a_subnet(emulator, later, a_vpc(emulator, later)))
        emulator.admin("PUT", settings={"down": ["cn-bj-d"]})
        assert instance_status(emulator, instance_id) == "Stopped"
        emulator.admin("DELETE")
        assert instance_status(emulator, instance_id) == "Running"
