"""Elastic addresses, NAT gateways and their rules through the official SDK."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.eip.model import EipStatus
from baidubce.services.route.route_client import RouteClient
from baidubce.services.vpc.nat_client import NatClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_helpers import a_vpc, an_eip, delete, eip_of, eip_status, is_gone, passes, release_eip
from cloud_under_test import Cloud, refusal


def status(nats: Any, nat_id: str) -> str:
    found: str = nats.get_nat(nat_id).status
    return found


def a_nat(cloud: Cloud, later: ExitStack, vpc_id: str, **more: Any) -> str:
    """A NAT gateway, settled, that is deleted after the test."""
    nats = cloud.client(NatClient)
    nat_id: str = nats.create_nat("nat", vpc_id, **{"spec": "small", **more}).nat_id
    later.callback(delete, cloud, nats.delete_nat, nats.get_nat, nat_id)
    cloud.eventually(lambda: status(nats, nat_id) in ("active", "unconfigured"), True)
    return nat_id


def test_an_address_from_its_making_to_its_end(cloud: Cloud, later: ExitStack) -> None:
    eips = cloud.client(EipClient)
    address = eips.create_eip(2, name="for a test").eip
    later.callback(release_eip, cloud, address)
    seen = cloud.eventually(partial(eip_status, cloud, address), "available")
    assert passes(seen, "creating", "available")
    found = eip_of(cloud, address)
    assert (found.eip, found.name, found.bandwidth_in_mbps) == (address, "for a test", 2)
    assert found.instance_id in (None, "")
    assert address in [one.eip for one in eips.list_eips(status=EipStatus.AVAILABLE).eip_list]
    assert address not in [one.eip for one in eips.list_eips(status=EipStatus.BINDED).eip_list]
    eips.resize_eip(address, 3)
    cloud.eventually(partial(eip_status, cloud, address), "available")
    assert eip_of(cloud, address).bandwidth_in_mbps == 3
    eips.update_eip_delete_protect(address, True)
    assert refusal(eips.release_eip, address)[0] == 409
    eips.update_eip_delete_protect(address, False)
    eips.release_eip(address)
    cloud.eventually(partial(eip_status, cloud, address), "")
    assert refusal(eips.release_eip, address)[0] == 404


def test_a_nat_gateway_from_its_making_to_its_end(cloud: Cloud, later: ExitStack) -> None:
    nats, vpc_id = cloud.client(NatClient), a_vpc(cloud, later)
    nat_id = nats.create_nat("nat", vpc_id, spec="small").nat_id
    later.callback(delete, cloud, nats.delete_nat, nats.get_nat, nat_id)
    assert passes(cloud.eventually(partial(status, nats, nat_id), "unconfigured"), "building", "unconfigured")
    nat = nats.get_nat(nat_id)
    assert (nat.id, nat.name, nat.vpc_id, nat.spec, nat.eips) == (nat_id, "nat", vpc_id, "small", [])
    assert [one.id for one in nats.list_nats(vpc_id=vpc_id).nats] == [nat_id]
    nats.update_nat(nat_id, "renamed")
    assert nats.get_nat(nat_id).name == "renamed"
    assert refusal(cloud.client(VpcClient).delete_vpc, vpc_id)[0] == 409
    nats.update_delete_protect(nat_id, True)
    assert refusal(nats.delete_nat, nat_id)[0] == 409
    nats.update_delete_protect(nat_id, False)
    nats.delete_nat(nat_id)
    cloud.eventually(lambda: is_gone(nats.get_nat, nat_id), True)
    assert refusal(nats.get_nat, nat_id) == (404, "NoSuchNat")


def test_addresses_of_a_nat_gateway(cloud: Cloud, later: ExitStack) -> None:
    nats, vpc_id = cloud.client(NatClient), a_vpc(cloud, later)
    outgoing, incoming = an_eip(cloud, later), an_eip(cloud, later)
    nat_id = a_nat(cloud, later, vpc_id, eips=[outgoing])
    assert status(nats, nat_id) == "active"
    cloud.eventually(partial(eip_status, cloud, outgoing), "binded")
    assert (eip_of(cloud, outgoing).instance_type, eip_of(cloud, outgoing).instance_id) == ("NAT", nat_id)
    nats.bind_dnat_eip(nat_id, [incoming])
    cloud.eventually(partial(status, nats, nat_id), "active")
    nat = nats.get_nat(nat_id)
    assert (nat.eips, nat.dnat_eips) == ([outgoing], [incoming])
    assert refusal(cloud.client(EipClient).release_eip, outgoing)[0] == 409
    nats.unbind_eip(nat_id, [outgoing])
    cloud.eventually(partial(status, nats, nat_id), "active")
    nats.unbind_dnat_eip(nat_id, [incoming])
    cloud.eventually(partial(status, nats, nat_id), "unconfigured")
    cloud.eventually(partial(eip_status, cloud, outgoing), "available")


def test_an_enhanced_nat_gateway(cloud: Cloud, later: ExitStack) -> None:
    nats, vpc_id, address = cloud.client(NatClient), a_vpc(cloud, later), an_eip(cloud, later)
    nat_id = a_nat(cloud, later, vpc_id, spec=None, cu_num=1)
    nats.enhance_nat_bind_eip(nat_id, bind_eips=[address])
    cloud.eventually(partial(status, nats, nat_id), "active")
    assert nats.get_nat(nat_id).bind_eips == [address]
    nats.resize_nat(nat_id, 2)
    cloud.eventually(partial(status, nats, nat_id), "active")
    assert nats.get_nat(nat_id).cu_num == 2
    nats.enhance_nat_unbind_eip(nat_id, bind_eips=[address])
    cloud.eventually(partial(status, nats, nat_id), "unconfigured")


def test_what_a_nat_gateway_cannot_be(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud = shared_emulator
    nats, vpc_id, address = cloud.client(NatClient), a_vpc(cloud, later), an_eip(cloud, later)
    assert refusal(nats.create_nat, "nat", vpc_id) == (400, "InappropriateJSON")
    assert refusal(nats.create_nat, "nat", vpc_id, spec="huge") == (400, "InappropriateJSON")
    assert refusal(nats.create_nat, "nat", vpc_id, spec="small", cu_num=1) == (400, "InappropriateJSON")
    assert refusal(nats.create_nat, "nat", "vpc-nothing", spec="small") == (404, "NoSuchObject")
    assert refusal(nats.create_nat, "nat", vpc_id, spec="small", eips=["203.0.113.1"]) == (404, "EipNotFound")
    assert nats.list_nats(vpc_id=vpc_id).nats == []
    nat_id = a_nat(cloud, later, vpc_id, eips=[address])
    assert refusal(nats.bind_eip, nat_id, [address]) == (409, "OperationDenied")
    assert refusal(nats.unbind_eip, nat_id, ["203.0.113.1"]) == (404, "EipNotFound")
    assert refusal(nats.enhance_nat_bind_eip, nat_id, bind_eips=[address]) == (409, "OperationDenied")
    assert refusal(nats.resize_nat, nat_id, 2) == (409, "OperationDenied")


def test_a_small_gateway_has_five_addresses(shared_emulator: Cloud, later: ExitStack) -> None:
    nats, vpc_id = shared_emulator.client(NatClient), a_vpc(shared_emulator, later)
    addresses = [an_eip(shared_emulator, later) for _ in range(6)]
    assert refusal(nats.create_nat, "nat", vpc_id, spec="small", eips=addresses) == (409, "OperationDenied")
    a_nat(shared_emulator, later, vpc_id, eips=addresses[:5])


def test_an_address_is_bound_by_its_own_calls(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud = shared_emulator
    eips, nats = cloud.client(EipClient), cloud.client(NatClient)
    address, nat_id = an_eip(cloud, later), a_nat(cloud, later, a_vpc(cloud, later))
    assert refusal(eips.unbind_eip, address) == (409, "OperationDenied")
    assert refusal(eips.bind_eip, address, "NAT", "nat-nothing")[0] == 404
    assert refusal(eips.bind_eip, address, "ELEPHANT", nat_id) == (400, "InappropriateJSON")
    eips.bind_eip(address, "NAT", nat_id)
    assert passes(cloud.eventually(partial(eip_status, cloud, address), "binded"), "binding", "binded")
    assert nats.get_nat(nat_id).eips == [address]
    assert cloud.eventually(partial(status, nats, nat_id), "active")
    eips.unbind_eip(address)
    assert passes(cloud.eventually(partial(eip_status, cloud, address), "available"), "unbinding", "available")
    assert nats.get_nat(nat_id).eips == []
    cloud.eventually(partial(status, nats, nat_id), "unconfigured")


def test_an_address_that_a_rule_uses_stays_bound(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, eips, nats = shared_emulator, shared_emulator.client(EipClient), shared_emulator.client(NatClient)
    address, nat_id = an_eip(cloud, later), a_nat(cloud, later, a_vpc(cloud, later), spec=None, cu_num=1)
    eips.bind_eip(address, "NAT", nat_id)
    cloud.eventually(partial(status, nats, nat_id), "active")
    assert (nats.get_nat(nat_id).bind_eips, nats.get_nat(nat_id).eips) == ([address], [])
    nats.create_snat_rule(nat_id, "out", "10.0.1.0/24", [address])
    assert refusal(eips.unbind_eip, address) == (409, "ResourceNeedRelease")


def test_pages_of_addresses_in_one_state(shared_emulator: Cloud, later: ExitStack) -> None:
    eips = shared_emulator.client(EipClient)
    made = {an_eip(shared_emulator, later) for _ in range(3)}
    seen: list[str] = []
    more: dict[str, str] = {}
    while more or not seen:
        found = eips.list_eips(status=EipStatus.AVAILABLE, max_keys=1, **more)
        assert len(found.eip_list) == 1
        seen.append(found.eip_list[0].eip)
        more = {"marker": found.next_marker} if found.is_truncated else {}
    assert len(seen) == len({*seen})
    assert {*seen} >= made
    ids = [eip_of(shared_emulator, address).eip_id for address in sorted(made)[:2]]
    assert {one.eip for one in eips.list_eips(eip_ids=",".join(ids)).eip_list} == {*sorted(made)[:2]}


@pytest.fixture
def gateway(cloud: Cloud, later: ExitStack) -> tuple[str, str, str]:
    """A gateway with an address for each direction."""
    vpc_id, outgoing, incoming = a_vpc(cloud, later), an_eip(cloud, later), an_eip(cloud, later)
    return a_nat(cloud, later, vpc_id, eips=[outgoing], dnat_eips=[incoming]), outgoing, incoming


def test_snat_rules(cloud: Cloud, gateway: tuple[str, str, str]) -> None:
    nats, (nat_id, outgoing, incoming) = cloud.client(NatClient), gateway
    rule_id = nats.create_snat_rule(nat_id, "out", "10.0.1.0/24", [outgoing]).rule_id
    [rule] = nats.list_snat_rule(nat_id).rules
    assert (rule.rule_id, rule.rule_name, rule.public_ips_address) == (rule_id, "out", [outgoing])
    assert rule.source_cidr == "10.0.1.0/24"
    nats.update_snat_rule(nat_id, rule_id, rule_name="all", source_cidr="10.0.0.0/16")
    [rule] = nats.list_snat_rule(nat_id).rules
    assert (rule.rule_name, rule.source_cidr, rule.public_ips_address) == ("all", "10.0.0.0/16", [outgoing])
    assert refusal(nats.create_snat_rule, nat_id, "x", "10.0.2.0/24", [incoming])[0] == 404
    assert refusal(nats.create_snat_rule, nat_id, "x", "elephant", [outgoing])[0] == 400
    assert refusal(nats.unbind_eip, nat_id, [outgoing])[0] == 409
    other = nats.create_snat_rule(nat_id, "x", "10.0.2.0/24", [outgoing]).rule_id
    assert refusal(nats.update_snat_rule, nat_id, other, source_cidr="10.0.0.0/16")[0] == 409
    nats.delete_snat_rule(nat_id, other)
    nats.delete_snat_rule(nat_id, rule_id)
    assert nats.list_snat_rule(nat_id).rules == []
    assert refusal(nats.delete_snat_rule, nat_id, rule_id)[0] == 404


def test_a_range_has_one_spelling(cloud: Cloud, gateway: tuple[str, str, str]) -> None:
    """Two SNAT rules of one range are found out, and nobody after the API has to know others."""
    nats, (nat_id, outgoing, _) = cloud.client(NatClient), gateway
    for source in ("10.0.1.0/255.255.255.0", "10.0.1.0/0.0.0.255", "10.0.1.0/024", "10.0.1.0"):
        assert refusal(nats.create_snat_rule, nat_id, "rule", source, [outgoing]) == (400, "InappropriateJSON")


def test_several_rules_at_once(cloud: Cloud, gateway: tuple[str, str, str]) -> None:
    nats, (nat_id, outgoing, incoming) = cloud.client(NatClient), gateway
    snat = [
        {"ruleName": f"out-{number}", "sourceCIDR": f"10.0.{number}.0/24", "publicIpsAddress": [outgoing]}
        for number in (1, 2, 1)
    ]
    assert refusal(nats.batch_create_snat_rule, nat_id, snat)[0] == 409
    assert nats.list_snat_rule(nat_id).rules == []
    made = nats.batch_create_snat_rule(nat_id, snat[:2]).snat_rule_ids
    assert [rule.rule_id for rule in nats.list_snat_rule(nat_id).rules] == made
    dnat = [
        {
            "publicIpAddress": incoming,
            "privateIpAddress": "10.0.1.10",
            "protocol": kind,
            "publicPort": 80,
            "privatePort": 8,
        }
        for kind in ("TCP", "UDP")
    ]
    made = nats.batch_create_dnat_rule(nat_id, dnat).rule_ids
    assert [rule.rule_id for rule in nats.list_dnat_rule(nat_id).rules] == made
    assert refusal(nats.batch_create_dnat_rule, nat_id, [])[0] == 400


def test_dnat_rules(cloud: Cloud, gateway: tuple[str, str, str]) -> None:
    nats, (nat_id, outgoing, incoming) = cloud.client(NatClient), gateway
    make = partial(nats.create_dnat_rule, nat_id, incoming, "10.0.1.10")
    first = make("UDP", rule_name="feed", public_port=14310, private_port=4310).rule_id
    second = make("TCP", rule_name="web", public_port_range="80-90", private_port_range="8080-8090").rule_id
    rules = {rule.rule_id: rule for rule in nats.list_dnat_rule(nat_id).rules}
    assert set(rules) == {first, second}
    rule = rules[first]
    assert (rule.public_ip_address, rule.private_ip_address, rule.protocol) == (incoming, "10.0.1.10", "UDP")
    assert (rule.public_port, rule.private_port, rule.rule_name) == (14310, 4310, "feed")
    assert (rules[second].public_port_range, rules[second].private_port_range) == ("80-90", "8080-8090")
    assert refusal(make, "UDP", public_port=14310, private_port=1)[0] == 409
    assert refusal(make, "TCP", public_port=85, private_port=1)[0] == 409
    assert refusal(make, "all")[0] == 409
    assert refusal(make, "UDP")[0] == 400
    assert refusal(make, "SCTP", public_port=1, private_port=1)[0] == 400
    assert refusal(make, "TCP", public_port_range="1-5", private_port_range="1-6")[0] == 400
    assert refusal(make, "TCP", public_port_range="1-5-9", private_port_range="1-5")[0] == 400
    assert refusal(make, "TCP", public_port=70000, private_port=1)[0] == 400
    assert refusal(nats.create_dnat_rule, nat_id, outgoing, "10.0.1.10", "all")[0] == 404
    nats.update_dnat_rule(nat_id, first, private_ip_address="10.0.1.11", public_port=14311)
    [rule] = [one for one in nats.list_dnat_rule(nat_id).rules if one.rule_id == first]
    assert (rule.private_ip_address, rule.public_port, rule.private_port) == ("10.0.1.11", 14311, 4310)
    nats.delete_dnat_rule(nat_id, first)
    assert [one.rule_id for one in nats.list_dnat_rule(nat_id).rules] == [second]


def test_a_gateway_that_a_route_needs_stays(cloud: Cloud, later: ExitStack) -> None:
    nats, routes, vpc_id = cloud.client(NatClient), cloud.client(RouteClient), a_vpc(cloud, later)
    nat_id = a_nat(cloud, later, vpc_id)
    table = routes.get_route(vpc_id=vpc_id).route_table_id
    rule_id = routes.create_route(table, "0.0.0.0/0", "0.0.0.0/0", "nat", "out", nat_id).route_rule_id
    assert refusal(nats.delete_nat, nat_id)[0] == 409
    routes.delete_route(rule_id)
    nats.delete_nat(nat_id)
    cloud.eventually(lambda: is_gone(nats.get_nat, nat_id), True)
