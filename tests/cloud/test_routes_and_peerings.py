"""Route rules and peerings through the official SDK."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from baidubce.services.route.route_client import RouteClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_helpers import a_subnet, delete, is_gone, passes
from cloud_under_test import Cloud, refusal

OTHER_ACCOUNT = "00000000000000000000000000000002"


@dataclass(slots=True)
class Ends:
    """Two VPCs, the second one in another region."""

    first: str
    second: str
    first_region: str = "bj"
    second_region: str = "gz"


@pytest.fixture
def ends(cloud: Cloud, later: ExitStack) -> Ends:
    made = []
    for region, cidr in (("bj", "10.0.0.0/16"), ("gz", "10.1.0.0/16")):
        vpcs = cloud.client(VpcClient, region)
        made.append(vpcs.create_vpc("end", cidr).vpc_id)
        later.callback(vpcs.delete_vpc, made[-1])
    return Ends(*made)


def status(peerings: Any, peering_id: str) -> Any:
    return peerings.get_peerconn(peering_id).status


def dns_status(peerings: Any, peering_id: str) -> Any:
    return peerings.get_peerconn(peering_id).dns_status


def peer(cloud: Cloud, ends: Ends, later: ExitStack, **more: Any) -> str:
    """A peering of the two, active."""
    peerings = cloud.client(PeerConnClient)
    peering_id: str = peerings.create_peerconn(100, ends.first, ends.second, ends.second_region, **more).peer_conn_id
    later.callback(unpeer, cloud, peering_id)
    cloud.eventually(lambda: peerings.get_peerconn(peering_id).status, "active")
    return peering_id


def unpeer(cloud: Cloud, peering_id: str) -> None:
    peerings = cloud.client(PeerConnClient)
    delete(cloud, peerings.delete_peerconn, peerings.get_peerconn, peering_id)


def test_both_sides_of_a_peering_across_regions(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    here, there = cloud.client(PeerConnClient, "bj"), cloud.client(PeerConnClient, "gz")
    made = here.create_peerconn(100, ends.first, ends.second, "gz", local_if_name="left", peer_if_name="right")
    later.callback(unpeer, cloud, made.peer_conn_id)
    seen = cloud.eventually(lambda: here.get_peerconn(made.peer_conn_id).status, "active")
    assert passes(seen, "creating", "active")
    first, second = here.get_peerconn(made.peer_conn_id), there.get_peerconn(made.peer_conn_id)
    assert (first.role, second.role) == ("initiator", "acceptor")
    assert (first.local_vpc_id, first.local_region) == (second.peer_vpc_id, second.peer_region) == (ends.first, "bj")
    assert (second.local_vpc_id, second.local_region) == (first.peer_vpc_id, first.peer_region) == (ends.second, "gz")
    assert first.local_if_id != second.local_if_id
    assert first.bandwidth_in_mbps == second.bandwidth_in_mbps == 100
    assert (first.dns_status, second.dns_status) == ("close", "close")
    assert [one.peer_conn_id for one in here.list_peerconns(ends.first).peer_conns] == [made.peer_conn_id]
    assert [one.role for one in there.list_peerconns(ends.second).peer_conns] == ["acceptor"]
    assert refusal(there.get_peerconn, made.peer_conn_id, "initiator") == (404, "NoSuchObject")


def test_a_peering_within_a_region_is_told_apart_by_role(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    vpcs, peerings = cloud.client(VpcClient), cloud.client(PeerConnClient)
    second = vpcs.create_vpc("beside", "10.2.0.0/16").vpc_id
    later.callback(vpcs.delete_vpc, second)
    peering_id = peer(cloud, Ends(ends.first, second, "bj", "bj"), later)
    assert peerings.get_peerconn(peering_id, "initiator").local_vpc_id == ends.first
    assert peerings.get_peerconn(peering_id, "acceptor").local_vpc_id == second


def test_a_peering_is_changed_and_deleted_by_either_side_of_one_account(
    cloud: Cloud, ends: Ends, later: ExitStack
) -> None:
    here, there = cloud.client(PeerConnClient, "bj"), cloud.client(PeerConnClient, "gz")
    peering_id = peer(cloud, ends, later)
    here.resize_peerconn(peering_id, 200)
    cloud.eventually(lambda: here.get_peerconn(peering_id).status, "active")
    assert there.get_peerconn(peering_id).bandwidth_in_mbps == 200
    right = there.get_peerconn(peering_id).local_if_id
    there.update_peerconn(peering_id, right, local_if_name="renamed")
    assert there.get_peerconn(peering_id).local_if_name == "renamed"
    assert here.get_peerconn(peering_id).local_if_name != "renamed"
    there.resize_peerconn(peering_id, 300)
    cloud.eventually(lambda: here.get_peerconn(peering_id).status, "active")
    assert here.get_peerconn(peering_id).bandwidth_in_mbps == 300
    assert refusal(cloud.client(VpcClient, "gz").delete_vpc, ends.second)[0] == 409
    here.update_peerconn_delete_protect(peering_id, True)
    assert refusal(here.delete_peerconn, peering_id) == (409, "OperationDenied")
    here.update_peerconn_delete_protect(peering_id, False)
    there.delete_peerconn(peering_id)
    cloud.eventually(lambda: is_gone(here.get_peerconn, peering_id), True)


def test_one_peering_a_pair(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    peer(cloud, ends, later)
    here, there = cloud.client(PeerConnClient, "bj"), cloud.client(PeerConnClient, "gz")
    assert refusal(here.create_peerconn, 10, ends.first, ends.second, "gz")[0] == 409
    assert refusal(there.create_peerconn, 10, ends.second, ends.first, "bj")[0] == 409
    assert refusal(here.create_peerconn, 10, ends.first, "vpc-nothing", "gz") == (404, "NoSuchObject")


def test_dns_sync_is_switched_on_each_side(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    peering_id = peer(cloud, ends, later)
    for region, role in (("bj", "initiator"), ("gz", "acceptor")):
        peerings = cloud.client(PeerConnClient, region)
        read = partial(dns_status, peerings, peering_id)
        peerings.open_peerconn_dns_sync(peering_id, role)
        assert passes(cloud.eventually(read, "open"), "syncing", "open")
        peerings.close_peerconn_dns_sync(peering_id, role)
        assert passes(cloud.eventually(read, "close"), "closing", "close")


def test_another_account_has_to_accept(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud = shared_emulator
    mine, theirs = cloud.client(VpcClient), cloud.client(VpcClient, "gz", key="otherak")
    first, second = mine.create_vpc("mine", "10.0.0.0/16").vpc_id, theirs.create_vpc("theirs", "10.1.0.0/16").vpc_id
    later.callback(mine.delete_vpc, first)
    later.callback(theirs.delete_vpc, second)
    here, there = cloud.client(PeerConnClient), cloud.client(PeerConnClient, "gz", key="otherak")
    assert refusal(here.create_peerconn, 10, first, second, "gz") == (404, "NoSuchObject")
    for answer, state in (("reject", "consult_failed"), ("accept", "active")):
        peering_id = here.create_peerconn(10, first, second, "gz", peer_account_id=OTHER_ACCOUNT).peer_conn_id
        later.callback(unpeer, cloud, peering_id)
        assert here.get_peerconn(peering_id).status == there.get_peerconn(peering_id).status == "consulting"
        assert refusal(here.handle_peerconn, peering_id, "accept")[0] == 404
        there.handle_peerconn(peering_id, answer)
        cloud.eventually(partial(status, here, peering_id), state)
        assert refusal(there.handle_peerconn, peering_id, "accept") == (409, "OperationDenied")


def test_relays_are_not_peered(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    first, second = cloud.client(VpcClient, "bj"), cloud.client(VpcClient, "gz")
    first.open_relay(ends.first)
    peer(cloud, ends, later)
    assert refusal(second.open_relay, ends.second) == (409, "OperationDenied")


def test_a_route_rule_from_its_making_to_its_end(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    peering_id = peer(cloud, ends, later)
    routes = cloud.client(RouteClient)
    a_subnet(cloud, later, ends.first, "10.0.0.0/24", zone="cn-bj-d")
    table = routes.get_route(vpc_id=ends.first).route_table_id
    assert routes.get_route(route_table_id=table).vpc_id == ends.first
    rule_id = routes.create_route(table, "0.0.0.0/0", "10.1.0.0/16", "peerConn", "to gz", peering_id).route_rule_id
    [rule] = [one for one in routes.get_route_rule(vpcId=ends.first).route_rules if one.route_rule_id == rule_id]
    assert (rule.source_address, rule.destination_address) == ("0.0.0.0/0", "10.1.0.0/16")
    assert (rule.nexthop_type, rule.nexthop_id, rule.route_table_id) == ("peerConn", peering_id, table)
    assert rule.description == "to gz"
    assert rule_id in [one.route_rule_id for one in routes.get_route(vpc_id=ends.first).route_rules]
    assert refusal(cloud.client(PeerConnClient).delete_peerconn, peering_id)[0] == 409
    routes.update_route(rule_id, "10.0.0.0/24", "10.1.2.0/24", description="less")
    [rule] = [one for one in routes.get_route_rule(routeTableId=table).route_rules if one.route_rule_id == rule_id]
    assert (rule.source_address, rule.destination_address, rule.description) == ("10.0.0.0/24", "10.1.2.0/24", "less")
    assert (rule.nexthop_type, rule.nexthop_id) == ("peerConn", peering_id)
    routes.delete_route(rule_id)
    assert rule_id not in [one.route_rule_id for one in routes.get_route(vpc_id=ends.first).route_rules]
    assert refusal(routes.delete_route, rule_id) == (404, "NoSuchObject")


def test_a_peering_is_a_next_hop_by_the_interface_of_this_side(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    """[docs: create route rule] ``qpif-…``; the other side's interface leads nowhere."""
    here, there = cloud.client(PeerConnClient, "bj"), cloud.client(PeerConnClient, "gz")
    peering_id = peer(cloud, ends, later)
    own, others = here.get_peerconn(peering_id).local_if_id, there.get_peerconn(peering_id).local_if_id
    routes = cloud.client(RouteClient)
    table = routes.get_route(vpc_id=ends.first).route_table_id
    rule_id = routes.create_route(table, "0.0.0.0/0", "10.1.0.0/16", "peerConn", "", own).route_rule_id
    [rule] = [one for one in routes.get_route_rule(routeTableId=table).route_rules if one.route_rule_id == rule_id]
    assert (rule.nexthop_type, rule.nexthop_id) == ("peerConn", own)
    assert refusal(here.delete_peerconn, peering_id)[0] == 409
    routes.update_route(rule_id, description="still", next_hop_type="peerConn", next_hop_id=own)
    assert refusal(routes.create_route, table, "0.0.0.0/0", "10.3.0.0/16", "peerConn", "", others)[0] == 404
    routes.delete_route(rule_id)


def test_the_source_of_a_route_rule_is_a_subnets(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    """[docs: create route rule] The VPC's range alone is not enough."""
    peering_id, routes = peer(cloud, ends, later), cloud.client(RouteClient)
    table = routes.get_route(vpc_id=ends.first).route_table_id
    make = partial(routes.create_route, table, destination_address="10.1.0.0/16", next_hop_type="peerConn")
    make = partial(make, next_hop_id=peering_id)
    assert refusal(make, source_address="10.0.7.0/24")[0] == 409
    a_subnet(cloud, later, ends.first, "10.0.7.0/24", zone="cn-bj-d")
    later.callback(routes.delete_route, make(source_address="10.0.7.0/25").route_rule_id)
    assert refusal(make, source_address="0.0.0.0/0", description="x" * 201)[0] == 400


def test_a_route_to_the_internet_leads_to_nothing_else(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    """What it led to before, or is said beside it, is not its next hop, and can be deleted."""
    peering_id, routes = peer(cloud, ends, later), cloud.client(RouteClient)
    table = routes.get_route(vpc_id=ends.first).route_table_id
    make = partial(routes.create_route, table, "0.0.0.0/0", next_hop_id=peering_id)
    for destination, kind in (("10.1.0.0/16", "peerConn"), ("10.2.0.0/16", "defaultGateway")):
        rule_id = make(destination_address=destination, next_hop_type=kind, description="").route_rule_id
        later.callback(routes.delete_route, rule_id)
    [first, _] = routes.get_route(vpc_id=ends.first).route_rules
    assert refusal(routes.update_route, first.route_rule_id, ip_version="5")[0] == 400
    routes.update_route(first.route_rule_id, next_hop_type="defaultGateway")
    rules = routes.get_route(vpc_id=ends.first).route_rules
    assert [(one.nexthop_type, one.nexthop_id) for one in rules] == [("defaultGateway", "")] * 2
    unpeer(cloud, peering_id)


def test_what_a_route_rule_cannot_be(cloud: Cloud, ends: Ends, later: ExitStack) -> None:
    peering_id = peer(cloud, ends, later)
    a_subnet(cloud, later, ends.first, "10.0.0.0/24", zone="cn-bj-d")
    routes = cloud.client(RouteClient)
    table = routes.get_route(vpc_id=ends.first).route_table_id

    def make(source: str, destination: str, kind: str = "peerConn", hop: str = peering_id) -> Any:
        return routes.create_route(table, source, destination, kind, "", hop)

    later.callback(routes.delete_route, make("0.0.0.0/0", "10.1.0.0/16").route_rule_id)
    assert refusal(make, "0.0.0.0/0", "10.1.0.0/16")[0] == 409
    assert refusal(make, "0.0.0.0/0", "10.0.3.0/24")[0] == 409
    assert refusal(make, "10.9.0.0/16", "10.1.0.0/16")[0] == 409
    assert refusal(make, "0.0.0.0/0", "10.3.0.0/16", hop="peerconn-nothing")[0] == 404
    assert refusal(make, "0.0.0.0/0", "10.3.0.0/16", "elephant")[0] == 400
    assert refusal(make, "0.0.0.0/0", "10.3.0.0")[0] == 400
    assert refusal(
        lambda: routes.create_route("rt-nothing", "0.0.0.0/0", "10.3.0.0/16", "peerConn", "", peering_id)
    ) == (
        404,
        "NoSuchObject",
    )
    later.callback(routes.delete_route, make("10.0.0.0/24", "10.1.0.0/16").route_rule_id)
