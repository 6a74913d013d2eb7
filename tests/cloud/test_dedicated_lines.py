"""Dedicated lines, channels, BFD and gateways through the official SDK.

A line is built by people; so the emulator alone is asked here, unless LANECAST_TEST_REAL_LINE names an established line.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from baidubce.services.et.et_client import EtClient
from baidubce.services.et.model import ETStatus
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.route.route_model import NextHop
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_helpers import a_line, a_vpc, delete, is_gone, passes
from cloud_under_test import Cloud, refusal

REAL_LINE = "LANECAST_TEST_REAL_LINE"


def line_status(cloud: Cloud, line_id: str) -> str:
    found: str = cloud.client(EtClient).list_et_dcphy_detail(line_id).status
    return found


def channel_of(cloud: Cloud, line_id: str, channel_id: str) -> Any:
    [found] = cloud.client(EtClient).get_et_channel(line_id, et_channel_id=channel_id).et_channels
    return found


def channel_status(cloud: Cloud, line_id: str, channel_id: str) -> str:
    found: str = channel_of(cloud, line_id, channel_id).status
    return found


def gateway_status(cloud: Cloud, gateway_id: str) -> str:
    found: str = cloud.client(EtGatewayClient).get_et_gateway(gateway_id).status
    return found


@pytest.fixture
def line(cloud: Cloud) -> str:
    """An established line."""
    if not cloud.emulated:
        if REAL_LINE not in os.environ:
            pytest.skip(f"{REAL_LINE} names no line of the real cloud")
        return os.environ[REAL_LINE]
    line_id = a_line(cloud)
    cloud.eventually(partial(line_status, cloud, line_id), "established")
    return line_id


def a_channel(
    cloud: Cloud, later: ExitStack, line: str, vlan: int = 100, state: str = "established", **more: Any
) -> str:
    """A channel in this state, that is deleted after the test."""
    lines = cloud.client(EtClient)
    wanted = {"route_type": "static-route", "networks": ["172.16.0.0/16"], **more}
    channel_id: str = lines.create_et_channel(
        line, "192.0.2.1/30", "channel", "192.0.2.2/30", vlan_id=vlan, **wanted
    ).id
    read = partial(channel_of, cloud)
    later.callback(delete, cloud, lines.delete_et_channel, read, line, channel_id)
    cloud.eventually(partial(channel_status, cloud, line, channel_id), state)
    return channel_id


def test_a_line_is_applied_for(shared_emulator: Cloud) -> None:
    lines = shared_emulator.client(EtClient)
    line_id = a_line(shared_emulator)
    seen = shared_emulator.eventually(partial(line_status, shared_emulator, line_id), "established")
    assert passes(seen, "ack-wait", "accept", "building", "established")
    lines.update_et_dcphy(line_id, name="renamed", description="of the lab")
    line = lines.list_et_dcphy_detail(line_id)
    assert (line.id, line.name, line.description) == (line_id, "renamed", "of the lab")
    assert (line.isp, line.intf_type, line.ap_addr, line.user_idc) == ("ISP_CTC", "1G", "BJYZ", "somewhere")
    assert line_id in [one.id for one in lines.list_et_dcphy(status=ETStatus.ESTABLISHED).ets]
    assert line_id not in [one.id for one in lines.list_et_dcphy(status=ETStatus.ACKWAIT).ets]


def test_a_channel_with_bgp(cloud: Cloud, later: ExitStack, line: str) -> None:
    lines = cloud.client(EtClient)
    more: dict[str, Any] = {"route_type": "bgp", "networks": None, "bgp_asn": "65010", "bgp_key": "secret"}
    channel_id = a_channel(cloud, later, line, 101, **more)
    channel = channel_of(cloud, line, channel_id)
    assert (channel.id, channel.name, channel.vlan_id) == (channel_id, "channel", 101)
    assert (channel.baidu_address, channel.customer_address) == ("192.0.2.1/30", "192.0.2.2/30")
    assert (channel.route_type, channel.bgp_asn) == ("bgp", "65010")
    assert channel.bgp_status in ("up", "down")
    lines.update_et_channel(line, channel_id, name="renamed", description="still")
    assert channel_of(cloud, line, channel_id).name == "renamed"
    assert refusal(lines.update_et_channel, line, channel_id, bgp_route_limit=-1)[0] == 400


def test_a_channel_begins_by_waiting(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, lines = shared_emulator, shared_emulator.client(EtClient)
    line = a_line(cloud)
    make = partial(lines.create_et_channel, line, "192.0.2.1/30", "c", "192.0.2.2/30", "static-route", 100)
    assert refusal(make, networks=["172.16.0.0/16"]) == (409, "OperationDenied")
    cloud.eventually(partial(line_status, cloud, line), "established")
    channel_id = make(networks=["172.16.0.0/16"]).id
    seen = cloud.eventually(partial(channel_status, cloud, line, channel_id), "established")
    assert passes(seen, "ack-wait", "building", "established")
    lines.delete_et_channel(line, channel_id)
    cloud.eventually(lambda: is_gone(channel_of, cloud, line, channel_id), True)


def test_networks_behind_a_channel(cloud: Cloud, later: ExitStack, line: str) -> None:
    lines, channel_id = cloud.client(EtClient), a_channel(cloud, later, line)
    lines.add_et_channel_routes(line, channel_id, "static-route", ["172.17.0.0/16"])
    assert sorted(channel_of(cloud, line, channel_id).networks) == ["172.16.0.0/16", "172.17.0.0/16"]
    lines.remove_et_channel_routes(line, channel_id, "static-route", ["172.16.0.0/16"])
    assert channel_of(cloud, line, channel_id).networks == ["172.17.0.0/16"]


def test_users_of_a_channel(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, lines = shared_emulator, shared_emulator.client(EtClient)
    line = a_line(cloud)
    cloud.eventually(partial(line_status, cloud, line), "established")
    channel_id = a_channel(cloud, later, line)
    lines.add_et_channel_users(line, channel_id, ["a", "b"])
    lines.remove_et_channel_users(line, channel_id, ["a"])
    assert channel_of(cloud, line, channel_id).authorized_users == ["b"]


def test_a_channel_whose_vlan_is_taken_is_submitted_again(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, lines = shared_emulator, shared_emulator.client(EtClient)
    line = a_line(cloud)
    cloud.eventually(partial(line_status, cloud, line), "established")
    first = a_channel(cloud, later, line, 100)
    second = a_channel(cloud, later, line, 100, state="reject")
    again = partial(lines.recommit_et_channel, line, local_ip="192.0.2.5/30", name="channel", remote_ip="192.0.2.6/30")
    more = {"networks": ["172.18.0.0/16"], "route_type": "static-route", "vlan_id": 102}
    assert refusal(again, et_channel_id=first, **more) == (409, "OperationDenied")
    again(et_channel_id=second, **more)
    cloud.eventually(partial(channel_status, cloud, line, second), "established")
    assert channel_of(cloud, line, second).vlan_id == 102


def test_what_a_channel_cannot_be(cloud: Cloud, line: str) -> None:
    lines = cloud.client(EtClient)
    right: dict[str, Any] = {
        "local_ip": "192.0.2.1/30",
        "name": "c",
        "remote_ip": "192.0.2.2/30",
        "route_type": "static-route",
        "vlan_id": 100,
        "networks": ["172.16.0.0/16"],
    }
    mistakes: list[dict[str, Any]] = [
        {"vlan_id": 1},
        {"vlan_id": 4010},
        {"route_type": "ospf"},
        {"route_type": "bgp"},
        *({"route_type": "bgp", "bgp_asn": "65010", "bgp_key": key} for key in ("two words", "k\n", "k" * 81)),
        *({"route_type": "bgp", "bgp_asn": asn} for asn in ("AS65010", "0", "4294967296", "-1", "65010 ")),
        {"local_ip": "192.0.2.1"},
        {"remote_ip": "192.0.3.2/30"},
        {"networks": ["elephant"]},
        {"networks": []},
    ]
    for wrong in mistakes:
        assert refusal(lines.create_et_channel, line, **{**right, **wrong})[0] == 400, wrong
    assert refusal(lines.create_et_channel, "dcphy-nothing", **right)[0] == 404


def test_bfd_of_a_channel(cloud: Cloud, later: ExitStack, line: str) -> None:
    lines, channel_id = cloud.client(EtClient), a_channel(cloud, later, line)
    assert refusal(lines.update_et_channel_bfd, line, channel_id, 3, 300, 300)[0] == 404
    for wrong in ((2, 300, 300), (11, 300, 300), (3, 199, 300), (3, 300, 1001)):
        assert refusal(lines.create_et_channel_bfd, line, channel_id, *wrong)[0] == 400
    lines.create_et_channel_bfd(line, channel_id, 3, 300, 300)
    assert refusal(lines.create_et_channel_bfd, line, channel_id, 3, 300, 300)[0] == 409
    lines.update_et_channel_bfd(line, channel_id, 4, 200, 1000)
    lines.delete_et_channel_bfd(line, channel_id)
    assert refusal(lines.delete_et_channel_bfd, line, channel_id)[0] == 404


def a_gateway(cloud: Cloud, later: ExitStack, vpc_id: str, state: str, **more: Any) -> str:
    """A gateway in this state, that is deleted after the test."""
    gateways = cloud.client(EtGatewayClient)
    gateway_id: str = gateways.create_et_gateway("gateway", vpc_id, 100, **more).et_gateway_id
    later.callback(delete, cloud, gateways.delete_et_gateway, gateways.get_et_gateway, gateway_id)
    cloud.eventually(partial(gateway_status, cloud, gateway_id), state)
    return gateway_id


def test_a_gateway_from_its_making_to_its_end(cloud: Cloud, later: ExitStack, line: str) -> None:
    gateways, vpc_id = cloud.client(EtGatewayClient), a_vpc(cloud, later)
    channel_id = a_channel(cloud, later, line)
    more = {"et_id": line, "channel_id": channel_id, "local_cidrs": ["10.0.0.0/16"]}
    gateway_id = a_gateway(cloud, later, vpc_id, "running", **more)
    gateway = gateways.get_et_gateway(gateway_id)
    assert (gateway.et_gateway_id, gateway.name, gateway.vpc_id, gateway.speed) == (gateway_id, "gateway", vpc_id, 100)
    assert (gateway.et_id, gateway.channel_id, gateway.local_cidrs) == (line, channel_id, ["10.0.0.0/16"])
    assert [one.et_gateway_id for one in gateways.list_et_gateway(vpc_id).et_gateways] == [gateway_id]
    gateways.update_et_gateway(gateway_id, name="renamed", speed=100_000, local_cidrs=["10.0.0.0/16", "10.1.0.0/16"])
    gateway = gateways.get_et_gateway(gateway_id)
    assert (gateway.name, gateway.speed, gateway.local_cidrs) == ("renamed", 100_000, ["10.0.0.0/16", "10.1.0.0/16"])
    assert refusal(cloud.client(EtClient).delete_et_channel, line, channel_id)[0] == 409
    assert refusal(cloud.client(VpcClient).delete_vpc, vpc_id)[0] == 409
    gateways.unbind_et(gateway_id)
    cloud.eventually(lambda: gateways.get_et_gateway(gateway_id).channel_id in (None, ""), True)
    cloud.eventually(partial(gateway_status, cloud, gateway_id), "unconfigured")
    assert gateways.get_et_gateway(gateway_id).local_cidrs in (None, [])
    gateways.bind_et(line, gateway_id, channel_id, ["10.0.0.0/16"])
    cloud.eventually(partial(gateway_status, cloud, gateway_id), "running")
    assert gateways.get_et_gateway(gateway_id).channel_id == channel_id
    gateways.delete_et_gateway(gateway_id)
    cloud.eventually(lambda: is_gone(gateways.get_et_gateway, gateway_id), True)


def test_what_a_gateway_cannot_be(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, gateways = shared_emulator, shared_emulator.client(EtGatewayClient)
    line, vpc_id = a_line(cloud), a_vpc(cloud, later)
    cloud.eventually(partial(line_status, cloud, line), "established")
    channel_id = a_channel(cloud, later, line)
    make = partial(gateways.create_et_gateway, "gateway", vpc_id, 100)
    assert refusal(make, et_id=line, channel_id="dedicatedconn-nothing")[0] == 404
    assert refusal(make, et_id="dcphy-nothing", channel_id=channel_id)[0] == 404
    assert refusal(make, et_id=line) == (400, "InappropriateJSON")
    assert refusal(make, channel_id=channel_id) == (400, "InappropriateJSON")
    assert refusal(make, local_cidrs=["elephant"])[0] == 400
    for speed in (1, 100_001):
        assert refusal(gateways.create_et_gateway, "gateway", vpc_id, speed)[0] == 400
    a_gateway(cloud, later, vpc_id, "running", et_id=line, channel_id=channel_id)
    assert refusal(make, et_id=line, channel_id=channel_id) == (409, "OperationDenied")
    free = a_gateway(cloud, later, vpc_id, "unconfigured")
    assert refusal(gateways.update_et_gateway, free, local_cidrs=["10.0.0.0/16"]) == (409, "OperationDenied")
    assert refusal(gateways.unbind_et, free) == (409, "OperationDenied")
    assert refusal(gateways.create_health_check, free, 3, 3, 3) == (409, "OperationDenied")


def test_the_health_check_of_a_gateway(cloud: Cloud, later: ExitStack, line: str) -> None:
    gateways, routes, vpc_id = cloud.client(EtGatewayClient), cloud.client(RouteClient), a_vpc(cloud, later)
    channel_id = a_channel(cloud, later, line)
    gateway_id = a_gateway(cloud, later, vpc_id, "running", et_id=line, channel_id=channel_id)
    for wrong in ((0, 3, 3), (61, 3, 3), (3, 1, 3), (3, 3, 6)):
        assert refusal(gateways.create_health_check, gateway_id, *wrong)[0] == 400
    gateways.create_health_check(gateway_id, 3, 4, 5, auto_generate_route_rule=False)
    gateway = gateways.get_et_gateway(gateway_id)
    assert (gateway.health_check_interval, gateway.health_threshold, gateway.unhealth_threshold) == (3, 4, 5)
    assert (gateway.health_check_type, gateway.health_check_dest_ip) == ("ICMP", "192.0.2.2")

    def to_gateway() -> list[Any]:
        return [one for one in routes.get_route(vpc_id=vpc_id).route_rules if one.nexthop_id == gateway_id]

    assert to_gateway() == []
    gateways.create_health_check(gateway_id, 3, 4, 5)
    assert [rule.destination_address for rule in to_gateway()] == ["192.0.2.2/32"]


def test_route_rules_of_vpc_and_channel_through_a_gateway(cloud: Cloud, later: ExitStack, line: str) -> None:
    lines, routes, vpc_id = cloud.client(EtClient), cloud.client(RouteClient), a_vpc(cloud, later)
    channel_id = a_channel(cloud, later, line)
    gateway_id = a_gateway(cloud, later, vpc_id, "running", et_id=line, channel_id=channel_id)
    make = partial(lines.create_et_channel_route_rule, line, channel_id)
    rule_id = make("10.0.0.0/16", "etGateway", gateway_id, description="to the VPC").route_rule_id
    [rule] = lines.list_et_channel_route_rules(line, channel_id).route_rules
    assert (rule.route_rule_id, rule.dest_address, rule.nexthop_type) == (rule_id, "10.0.0.0/16", "etGateway")
    assert (rule.nexthop_id, rule.ip_version, rule.description) == (gateway_id, 4, "to the VPC")
    lines.update_et_channel_route_rule(line, channel_id, rule_id, "changed")
    assert lines.list_et_channel_route_rules(line, channel_id).route_rules[0].description == "changed"
    assert refusal(make, "10.0.0.0/16", "elephant", gateway_id)[0] == 400
    assert refusal(make, "10.9.0.0/16", "etGateway", "dcgw-nothing")[0] == 404
    table = routes.get_route(vpc_id=vpc_id).route_table_id
    route_id = routes.create_route(table, "0.0.0.0/0", "172.16.0.0/16", "dcGateway", "site", gateway_id).route_rule_id
    assert refusal(cloud.client(EtGatewayClient).delete_et_gateway, gateway_id)[0] == 409
    routes.delete_route(route_id)
    lines.delete_et_channel_route_rule(line, channel_id, rule_id)
    assert lines.list_et_channel_route_rules(line, channel_id).route_rules == []


def test_a_route_with_an_active_and_a_standby_gateway(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, routes, vpc_id = shared_emulator, shared_emulator.client(RouteClient), a_vpc(shared_emulator, later)
    first, second = (a_gateway(cloud, later, vpc_id, "unconfigured") for _ in range(2))
    table = routes.get_route(vpc_id=vpc_id).route_table_id
    make = partial(routes.create_route, table, "0.0.0.0/0", "172.16.0.0/16")
    wrong = [NextHop(first, "dcGateway", "ha:active"), NextHop(second, "dcGateway", "ecmp")]
    assert refusal(make, next_hops=wrong) == (400, "InappropriateJSON")
    hops = [NextHop(first, "dcGateway", "ha:active"), NextHop(second, "dcGateway", "ha:standby")]
    made = make(next_hops=hops).route_rule_ids
    later.callback(lambda: [routes.delete_route(rule_id) for rule_id in made])

    def paths() -> dict[str, str]:
        return {rule.nexthop_id: rule.path_type for rule in routes.get_route_rule(routeTableId=table).route_rules}

    assert paths() == {first: "ha:active", second: "ha:standby"}
    routes.switch_route(made[0])
    assert paths() == {first: "ha:standby", second: "ha:active"}
    assert refusal(routes.update_route, made[0], description="x") == (409, "OperationDenied")


def test_lines_that_are_there_already(start: Any) -> None:
    emulator = start("--physical-line", "hkg=dcphy-lab", "--physical-line", "dcphy-home")
    for region, line_id in (("hkg", "dcphy-lab"), ("bj", "dcphy-home")):
        assert [line.id for line in emulator.client(EtClient, region).list_et_dcphy().ets] == [line_id]
        assert emulator.client(EtClient, region).list_et_dcphy_detail(line_id).status == "established"
    emulator.stop()
    emulator.start()
    assert len(emulator.client(EtClient).list_et_dcphy().ets) == 1
