"""Cloud smart networks and their bandwidth through the official SDK."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import uuid4

from baidubce.services.csn.csn_client import CsnClient
from baidubce.services.csn.csn_model import Billing
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_helpers import a_vpc
from cloud_under_test import Cloud, Emulator, refusal


def a_network(cloud: Cloud, later: ExitStack) -> str:
    """A network that is deleted after the test."""
    csns = cloud.client(CsnClient)
    csn_id: str = csns.create_csn("for a test", client_token=str(uuid4())).csn_id
    later.callback(csns.delete_csn, csn_id)
    return csn_id


def attached(cloud: Cloud, csn_id: str) -> dict[str, str]:
    """What is attached, with its state."""
    found = cloud.client(CsnClient).list_instance(csn_id).instances
    return {one.instance_id: one.status for one in found}


def attach(cloud: Cloud, later: ExitStack, csn_id: str, vpc_id: str, region: str = "bj") -> str:
    """Attach a VPC until the test is over; its identifier in the network."""
    csns = cloud.client(CsnClient)
    csns.attach_instance(csn_id, "vpc", vpc_id, region)
    later.callback(detach, cloud, csn_id, vpc_id, region)
    seen = cloud.eventually(lambda: attached(cloud, csn_id)[vpc_id], "attached")
    assert {*seen} <= {"attaching", "attached"}
    [found] = [one for one in csns.list_instance(csn_id).instances if one.instance_id == vpc_id]
    assert (found.instance_type, found.instance_region) == ("vpc", region)
    attach_id: str = found.attach_id
    return attach_id


def detach(cloud: Cloud, csn_id: str, vpc_id: str, region: str) -> None:
    cloud.client(CsnClient).detach_instance(csn_id, "vpc", vpc_id, region)
    cloud.eventually(lambda: vpc_id in attached(cloud, csn_id), False)


def test_a_network_from_its_making_to_its_end(cloud: Cloud) -> None:
    csns, token = cloud.client(CsnClient), str(uuid4())
    csn_id = csns.create_csn("lab", description="of the lab", client_token=token).csn_id
    assert csns.create_csn("lab", description="of the lab", client_token=token).csn_id == csn_id
    csn = csns.get_csn(csn_id)
    assert (csn.csn_id, csn.name, csn.description, csn.status) == (csn_id, "lab", "of the lab", "active")
    assert (csn.instance_num, csn.csn_bp_num) == (0, 0)
    csns.update_csn(csn_id, name="renamed")
    assert (csns.get_csn(csn_id).name, csns.get_csn(csn_id).description) == ("renamed", "of the lab")
    assert csn_id in [one.csn_id for one in csns.list_csn().csns]
    [table] = csns.list_route_table(csn_id).csn_rts
    assert table.type == "default"
    csns.delete_csn(csn_id)
    assert csn_id not in [one.csn_id for one in csns.list_csn().csns]
    assert refusal(csns.get_csn, csn_id) == (404, "NoSuchObject")
    assert refusal(csns.delete_csn, csn_id) == (404, "NoSuchObject")


def test_vpcs_of_two_regions(cloud: Cloud, later: ExitStack) -> None:
    csns = cloud.client(CsnClient)
    here, there = a_vpc(cloud, later), a_vpc(cloud, later, "10.1.0.0/16", "gz")
    csn_id = a_network(cloud, later)
    attach(cloud, later, csn_id, here)
    attach(cloud, later, csn_id, there, "gz")
    assert csns.get_csn(csn_id).instance_num == 2
    assert {one.region for one in csns.list_tgw(csn_id).tgws} == {"bj", "gz"}
    first = csns.list_instance(csn_id, max_keys=1)
    assert (len(first.instances), first.is_truncated) == (1, True)
    assert len(csns.list_instance(csn_id, marker=first.next_marker).instances) == 1
    assert refusal(csns.delete_csn, csn_id)[0] == 409
    assert refusal(cloud.client(VpcClient).delete_vpc, here)[0] == 409
    other = a_network(cloud, later)
    assert refusal(csns.attach_instance, other, "vpc", here, "bj")[0] == 409
    assert refusal(csns.attach_instance, csn_id, "vpc", here, "gz")[0] == 404
    assert refusal(csns.attach_instance, csn_id, "elephant", here, "bj")[0] == 400
    assert refusal(csns.attach_instance, csn_id, "vpc", here, "moon")[0] == 400
    assert refusal(csns.detach_instance, other, "vpc", here, "bj")[0] == 404


def test_relations_and_rules(cloud: Cloud, later: ExitStack) -> None:
    csns, vpc_id = cloud.client(CsnClient), a_vpc(cloud, later)
    csn_id = a_network(cloud, later)
    attach_id = attach(cloud, later, csn_id, vpc_id)
    table = csns.list_route_table(csn_id).csn_rts[0].csn_rt_id
    for make, read, end, name in (
        (csns.create_association, csns.list_association, csns.delete_association, "associations"),
        (csns.create_propagation, csns.list_propagation, csns.delete_propagation, "propagations"),
    ):
        make(table, attach_id, description="lab")
        [one] = getattr(read(table), name)
        assert (one.attach_id, one.instance_id, one.description, one.status) == (attach_id, vpc_id, "lab", "active")
        assert refusal(make, table, attach_id)[0] == 409
        assert refusal(make, table, "tgwAttach-nothing")[0] == 404
        end(table, attach_id)
        assert getattr(read(table), name) == []
        assert refusal(end, table, attach_id)[0] == 404
    csns.create_route_rule(table, attach_id, "10.9.0.0/16")
    [rule] = csns.list_route_rule(table).csn_rt_rules
    assert (rule.dest_address, rule.next_hop_id, rule.next_hop_region) == ("10.9.0.0/16", vpc_id, "bj")
    assert (rule.route_type, rule.csn_id, rule.from_attach_id) == ("custom", csn_id, attach_id)
    assert refusal(csns.create_route_rule, table, attach_id, "10.9.0.0/16")[0] == 409
    assert refusal(csns.create_route_rule, table, attach_id, "elephant")[0] == 400
    [gateway] = csns.list_tgw(csn_id).tgws
    assert [one.rule_id for one in csns.list_tgw_rule(csn_id, gateway.tgw_id).tgw_rt_rules] == [rule.rule_id]
    csns.update_tgw(csn_id, gateway.tgw_id, {"name": "here", "description": "lab"})
    [gateway] = csns.list_tgw(csn_id).tgws
    assert (gateway.name, gateway.description) == ("here", "lab")
    csns.delete_route_rule(table, rule.rule_id)
    assert csns.list_route_rule(table).csn_rt_rules == []
    assert refusal(csns.delete_route_rule, table, rule.rule_id)[0] == 404


def test_detaching_takes_relations_and_rules_along(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, csns = shared_emulator, shared_emulator.client(CsnClient)
    vpc_id, csn_id = a_vpc(cloud, later), a_network(cloud, later)
    with ExitStack() as inner:
        attach_id = attach(cloud, inner, csn_id, vpc_id)
        table = csns.list_route_table(csn_id).csn_rts[0].csn_rt_id
        csns.create_association(table, attach_id)
        csns.create_route_rule(table, attach_id, "10.9.0.0/16")
    assert csns.list_association(table).associations == []
    assert csns.list_route_rule(table).csn_rt_rules == []


def a_bandwidth(cloud: Cloud, later: ExitStack) -> Any:
    """A bandwidth that is deleted after the test."""
    csns = cloud.client(CsnClient)
    bp_id: str = csns.create_csn_bp("lab", 100, "China", "China", Billing("Postpaid")).csn_bp_id
    later.callback(csns.delete_csn_bp, bp_id)
    return bp_id


def test_bandwidth_between_regions(cloud: Cloud, later: ExitStack) -> None:
    csns, csn_id = cloud.client(CsnClient), a_network(cloud, later)
    bp_id = a_bandwidth(cloud, later)
    found = csns.get_csn_bp(bp_id)
    assert (found.name, found.bandwidth, found.used_bandwidth, found.csn_id) == ("lab", 100, 0, "")
    assert bp_id in [one.csn_bp_id for one in csns.list_csn_bp().csn_bps]
    csns.update_csn_bp(bp_id, name="renamed")
    csns.resize_csn_bp(bp_id, 50)
    assert (csns.get_csn_bp(bp_id).name, csns.get_csn_bp(bp_id).bandwidth) == ("renamed", 50)
    assert refusal(csns.create_csn_bp_limit, bp_id, "bj", "gz", 10)[0] == 409
    csns.bind_csn_bp(bp_id, csn_id)
    later.callback(csns.unbind_csn_bp, bp_id, csn_id)
    assert csns.get_csn(csn_id).csn_bp_num == 1
    assert refusal(csns.delete_csn_bp, bp_id)[0] == 409
    assert refusal(csns.bind_csn_bp, bp_id, csn_id)[0] == 409
    csns.create_csn_bp_limit(bp_id, "bj", "gz", 30)
    assert refusal(csns.create_csn_bp_limit, bp_id, "gz", "bj", 5)[0] == 409
    assert refusal(csns.create_csn_bp_limit, bp_id, "bj", "hkg", 21)[0] == 409
    assert refusal(csns.create_csn_bp_limit, bp_id, "bj", "bj", 1)[0] == 400
    assert refusal(csns.resize_csn_bp, bp_id, 29)[0] == 409
    assert refusal(csns.unbind_csn_bp, bp_id, csn_id)[0] == 409
    csns.update_csn_bp_limit(bp_id, "bj", "gz", 50)
    [part] = csns.list_csn_bp_limit(bp_id).bp_limits
    assert (part.local_region, part.peer_region, part.bandwidth, part.csn_id) == ("bj", "gz", 50, csn_id)
    assert csns.get_csn_bp(bp_id).used_bandwidth == 50
    assert len(csns.list_csn_bp_limit_by_csn_id(csn_id).bp_limits) == 1
    csns.delete_csn_bp_limit(bp_id, "bj", "gz")
    assert csns.list_csn_bp_limit(bp_id).bp_limits == []
    assert refusal(csns.delete_csn_bp_limit, bp_id, "bj", "gz")[0] == 404


def test_what_bandwidth_cannot_be(cloud: Cloud) -> None:
    csns, billing = cloud.client(CsnClient), Billing("Postpaid")
    make = partial(csns.create_csn_bp, "lab")
    assert refusal(make, 0, "China", "China", billing)[0] == 400
    assert refusal(make, 10_001, "China", "China", billing)[0] == 400
    assert refusal(make, 10, "Moon", "China", billing)[0] == 400
    assert refusal(make, 10, "China", "China", billing, interwork_type="elephant")[0] == 400
    assert csns.get_csn_bp_price("lab", "China", "Asia-Pacific", billing, bandwidth=10).price


def test_quotas_of_networks(start: Any) -> None:
    emulator: Emulator = start("--quota", "csn=1", "--quota", "csn-bandwidth=1")
    csns, billing = emulator.client(CsnClient), Billing("Postpaid")
    csns.create_csn("one")
    assert refusal(csns.create_csn, "two") == (413, "LimitExceeded")
    csns.create_csn_bp("one", 1, "China", "China", billing)
    assert refusal(csns.create_csn_bp, "two", 1, "China", "China", billing) == (413, "LimitExceeded")
