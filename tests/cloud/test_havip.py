"""High-availability virtual addresses through the official SDK."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.havip.havip_client import HavipClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.subnet.subnet_client import SubnetClient
from cloud_helpers import a_subnet, a_vpc, an_eip, delete, eip_of, eip_status, instances, is_gone
from cloud_under_test import Cloud, refusal


def a_havip(cloud: Cloud, later: ExitStack, subnet_id: str, address: str = "") -> str:
    """One that is deleted after the test."""
    havips = cloud.client(HavipClient)
    havip_id: str = havips.create_havip("shared", subnet_id, address, "for a test").ha_vip_id
    later.callback(delete, cloud, havips.delete_havip, havips.get_havip_detail, havip_id)
    return havip_id


def bound(cloud: Cloud, havip_id: str) -> list[tuple[str, str]]:
    """What is bound to it."""
    found = cloud.client(HavipClient).get_havip_detail(havip_id).binded_instances
    return [(one.instance_id, one.instance_type) for one in found or []]


def test_a_shared_address_from_its_making_to_its_end(cloud: Cloud, later: ExitStack) -> None:
    havips, vpc_id = cloud.client(HavipClient), a_vpc(cloud, later)
    subnet_id = a_subnet(cloud, later, vpc_id)
    havip_id = a_havip(cloud, later, subnet_id, "10.0.1.10")
    found = havips.get_havip_detail(havip_id)
    assert (found.ha_vip_id, found.name, found.description) == (havip_id, "shared", "for a test")
    assert (found.vpc_id, found.subnet_id, found.private_ip_address) == (vpc_id, subnet_id, "10.0.1.10")
    assert (found.status, found.public_ip_address or "") == ("available", "")
    assert [one.ha_vip_id for one in havips.get_havip_detail_list(vpc_id=vpc_id).ha_vips] == [havip_id]
    havips.update_havip("renamed", havip_id, "of the lab")
    found = havips.get_havip_detail(havip_id)
    assert (found.name, found.description) == ("renamed", "of the lab")
    assert refusal(cloud.client(SubnetClient).delete_subnet, subnet_id)[0] == 409
    havips.delete_havip(havip_id)
    assert is_gone(havips.get_havip_detail, havip_id)
    assert refusal(havips.delete_havip, havip_id)[0] == 404


def test_instances_are_bound_to_it_and_let_go(cloud: Cloud, later: ExitStack) -> None:
    havips, subnet_id = cloud.client(HavipClient), a_subnet(cloud, later, a_vpc(cloud, later))
    first, second = instances(cloud, later, subnet_id, purchase_count=2)
    havip_id = a_havip(cloud, later, subnet_id)
    later.callback(release, cloud, havip_id)
    havips.havip_attach_instance([first, second], "SERVER", havip_id)
    assert sorted(bound(cloud, havip_id)) == sorted([(first, "SERVER"), (second, "SERVER")])
    assert havips.get_havip_detail(havip_id).status == "bound"
    assert refusal(havips.havip_attach_instance, [first], "SERVER", havip_id)[0] == 409
    assert refusal(havips.delete_havip, havip_id)[0] == 409
    havips.havip_detach_instance([first], "SERVER", havip_id)
    assert bound(cloud, havip_id) == [(second, "SERVER")]
    assert refusal(havips.havip_detach_instance, [first], "SERVER", havip_id)[0] == 404
    delete(cloud, cloud.client(BccClient).release_instance, cloud.client(BccClient).get_instance, second)
    assert bound(cloud, havip_id) == []
    assert havips.get_havip_detail(havip_id).status == "available"


def release(cloud: Cloud, havip_id: str) -> None:
    """Let go of whatever is bound."""
    havips = cloud.client(HavipClient)
    if not is_gone(havips.get_havip_detail, havip_id):
        for name, kind in bound(cloud, havip_id):
            havips.havip_detach_instance([name], kind, havip_id)


def test_an_interface_is_bound_by_its_own_id(cloud: Cloud, later: ExitStack) -> None:
    havips, subnet_id = cloud.client(HavipClient), a_subnet(cloud, later, a_vpc(cloud, later))
    [instance_id] = instances(cloud, later, subnet_id)
    interface = cloud.client(BccClient).get_instance(instance_id).instance.nic_info.eni_id
    havip_id = a_havip(cloud, later, subnet_id)
    later.callback(release, cloud, havip_id)
    havips.havip_attach_instance([interface], "ENI", havip_id)
    assert bound(cloud, havip_id) == [(interface, "ENI")]
    assert refusal(havips.havip_attach_instance, [instance_id], "ENI", havip_id)[0] == 404
    havips.havip_detach_instance([interface], "ENI", havip_id)
    assert bound(cloud, havip_id) == []


def test_an_elastic_address_is_bound_to_it(cloud: Cloud, later: ExitStack) -> None:
    havips, havip_id = cloud.client(HavipClient), a_havip(cloud, later, a_subnet(cloud, later, a_vpc(cloud, later)))
    address, other = an_eip(cloud, later), an_eip(cloud, later)
    havips.havip_bind_public_ip(havip_id, address)
    cloud.eventually(partial(eip_status, cloud, address), "binded")
    assert havips.get_havip_detail(havip_id).public_ip_address == address
    assert eip_of(cloud, address).instance_id == havip_id
    assert refusal(havips.havip_bind_public_ip, havip_id, other)[0] == 409
    assert refusal(havips.delete_havip, havip_id)[0] == 409
    assert refusal(cloud.client(EipClient).release_eip, address)[0] == 409
    havips.havip_unbind_public_ip(havip_id)
    cloud.eventually(partial(eip_status, cloud, address), "available")
    assert (havips.get_havip_detail(havip_id).public_ip_address or "") == ""
    assert refusal(havips.havip_unbind_public_ip, havip_id)[0] == 409
    havips.havip_bind_public_ip(havip_id, other)
    cloud.eventually(partial(eip_status, cloud, other), "binded")
    cloud.client(EipClient).unbind_eip(other)
    cloud.eventually(partial(eip_status, cloud, other), "available")
    assert (havips.get_havip_detail(havip_id).public_ip_address or "") == ""


def test_a_route_leads_to_it(cloud: Cloud, later: ExitStack) -> None:
    havips, vpc_id = cloud.client(HavipClient), a_vpc(cloud, later)
    havip_id = a_havip(cloud, later, a_subnet(cloud, later, vpc_id))
    elsewhere = a_havip(cloud, later, a_subnet(cloud, later, a_vpc(cloud, later, "10.9.0.0/16"), "10.9.1.0/24"))
    routes = cloud.client(RouteClient)
    table = routes.get_route(vpc_id=vpc_id).route_table_id
    make = partial(routes.create_route, table, "0.0.0.0/0", "10.1.0.0/16", "havip", "over the bridge")
    assert refusal(make, elsewhere)[0] == 404
    rule_id = make(havip_id).route_rule_id
    [rule] = [one for one in routes.get_route_rule(vpcId=vpc_id).route_rules if one.route_rule_id == rule_id]
    assert (rule.nexthop_type, rule.nexthop_id) == ("havip", havip_id)
    assert refusal(havips.delete_havip, havip_id)[0] == 409
    routes.delete_route(rule_id)


def test_what_cannot_be(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, havips = shared_emulator, shared_emulator.client(HavipClient)
    vpc_id = a_vpc(cloud, later)
    subnet_id = a_subnet(cloud, later, vpc_id)
    here = instances(cloud, later, subnet_id, purchase_count=6)
    [stranger] = instances(cloud, later, a_subnet(cloud, later, a_vpc(cloud, later, "10.9.0.0/16"), "10.9.1.0/24"))
    havip_id = a_havip(cloud, later, subnet_id, "10.0.1.100")
    later.callback(release, cloud, havip_id)
    make: Any = partial(havips.create_havip, "shared")
    assert refusal(make, subnet_id, "10.0.1.100", "")[0] == 409
    assert refusal(make, subnet_id, "10.0.1.2", "")[0] == 409  # an instance has it
    assert refusal(make, subnet_id, "10.0.2.2", "")[0] == 400
    assert refusal(make, "sbn-nothing", "", "")[0] == 404
    assert refusal(havips.havip_attach_instance, [stranger], "SERVER", havip_id) == (409, "OperationDenied")
    assert refusal(havips.havip_attach_instance, ["i-nothing"], "SERVER", havip_id)[0] == 404
    assert refusal(havips.havip_attach_instance, here[:1], "NAT", havip_id)[0] == 400
    assert refusal(havips.havip_attach_instance, [], "SERVER", havip_id)[0] == 400
    assert refusal(havips.havip_attach_instance, here, "SERVER", havip_id) == (413, "LimitExceeded")
    assert bound(cloud, havip_id) == []
    havips.havip_attach_instance(here[:5], "SERVER", havip_id)
    assert refusal(havips.havip_attach_instance, here[5:], "SERVER", havip_id) == (413, "LimitExceeded")
