"""Application load balancers through the official SDK."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.blb.app_blb_client import AppBlbClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.subnet.subnet_client import SubnetClient
from cloud_helpers import a_subnet, a_vpc, an_eip, delete, eip_status, instances, is_gone
from cloud_under_test import Cloud, Emulator, refusal

EVERYTHING = [{"key": "*", "value": "*"}]


def status(cloud: Cloud, blb_id: str) -> str:
    found: str = cloud.client(AppBlbClient).describe_app_loadbalancer_detail(blb_id).status
    return found


def settle(cloud: Cloud, blb_id: str) -> None:
    assert {*cloud.eventually(partial(status, cloud, blb_id), "available")} <= {"creating", "updating", "available"}


def a_balancer(cloud: Cloud, later: ExitStack, vpc_id: str, subnet_id: str) -> str:
    """A balancer, settled, that is deleted after the test."""
    blbs = cloud.client(AppBlbClient)
    blb_id: str = blbs.create_app_loadbalancer(vpc_id, subnet_id, name="for a test").blb_id
    later.callback(delete, cloud, blbs.delete_app_loadbalancer, blbs.describe_app_loadbalancer_detail, blb_id)
    later.callback(settle, cloud, blb_id)
    settle(cloud, blb_id)
    return blb_id


@pytest.fixture
def place(cloud: Cloud, later: ExitStack) -> tuple[str, str]:
    """A VPC and a subnet of it."""
    vpc_id = a_vpc(cloud, later)
    return vpc_id, a_subnet(cloud, later, vpc_id)


def test_a_balancer_from_its_making_to_its_end(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    blbs, (vpc_id, subnet_id), token = cloud.client(AppBlbClient), place, str(uuid4())
    make = partial(blbs.create_app_loadbalancer, vpc_id, subnet_id, name="quotes", desc="lab", client_token=token)
    made = make()
    assert make().blb_id == made.blb_id
    settle(cloud, made.blb_id)
    [found] = blbs.describe_app_loadbalancers(blb_id=made.blb_id).blb_list
    assert (found.name, found.desc, found.address) == ("quotes", "lab", made.address)
    blbs.update_app_loadbalancer(made.blb_id, name="renamed")
    settle(cloud, made.blb_id)
    detail = blbs.describe_app_loadbalancer_detail(made.blb_id)
    assert (detail.name, detail.desc, detail.listener) == ("renamed", "lab", [])
    assert refusal(cloud.client(SubnetClient).delete_subnet, subnet_id)[0] == 409
    blbs.delete_app_loadbalancer(made.blb_id)
    cloud.eventually(lambda: is_gone(blbs.describe_app_loadbalancer_detail, made.blb_id), True)


def test_listeners_come_and_go(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    blbs, blb_id = cloud.client(AppBlbClient), a_balancer(cloud, later, *place)
    blbs.create_app_tcp_listener(blb_id, 80, "RoundRobin", tcp_session_timeout=100)
    assert refusal(blbs.create_app_udp_listener, blb_id, 81, "Hash") == (409, "LastOperationNotFinished")
    settle(cloud, blb_id)
    blbs.create_app_udp_listener(blb_id, 80, "Hash")
    settle(cloud, blb_id)
    blbs.create_app_http_listener(blb_id, 8000, "LeastConnection", x_forwarded_for=True)
    settle(cloud, blb_id)
    assert refusal(blbs.create_app_http_listener, blb_id, 80, "Hash") == (400, "ListenerAlreadyExist")
    assert refusal(blbs.create_app_tcp_listener, blb_id, 0, "Hash")[0] == 400
    assert refusal(blbs.create_app_tcp_listener, blb_id, 90, "Random")[0] == 400
    assert refusal(blbs.create_app_tcp_listener, blb_id, 90, "Hash", tcp_session_timeout=-1)[0] == 400
    [tcp] = blbs.describe_app_tcp_listener(blb_id).listener_list
    assert (tcp.listener_port, tcp.scheduler, tcp.tcp_session_timeout) == (80, "RoundRobin", 100)
    [http] = blbs.describe_app_http_listener(blb_id, listener_port=8000).listener_list
    assert (http.scheduler, http.x_forwarded_for) == ("LeastConnection", True)
    every = blbs.describe_app_all_listener(blb_id).listener_list
    assert {(one.listener_port, one.listener_type) for one in every} == {(80, "TCP"), (80, "UDP"), (8000, "HTTP")}
    blbs.update_app_tcp_listener(blb_id, 80, scheduler="Hash")
    settle(cloud, blb_id)
    blbs.update_app_udp_listener(blb_id, 80, scheduler="RoundRobin")
    settle(cloud, blb_id)
    blbs.update_app_http_listener(blb_id, 8000, scheduler="RoundRobin")
    settle(cloud, blb_id)
    assert blbs.describe_app_tcp_listener(blb_id).listener_list[0].scheduler == "Hash"
    assert blbs.describe_app_udp_listener(blb_id).listener_list[0].scheduler == "RoundRobin"
    blbs.delete_app_listeners(blb_id, portList=[8000], port_type_list=[{"port": 80, "type": "UDP"}])
    settle(cloud, blb_id)
    assert [one.listener_type for one in blbs.describe_app_all_listener(blb_id).listener_list] == ["TCP"]


def a_group(cloud: Cloud, blb_id: str, *servers: dict[str, Any]) -> str:
    """A server group."""
    group_id: str = (
        cloud.client(AppBlbClient)
        .create_app_server_group(blb_id, name="relays", desc="lab", backend_server_list=list(servers) or None)
        .id
    )
    settle(cloud, blb_id)
    return group_id


def a_port(cloud: Cloud, blb_id: str, group_id: str, port: int = 8080, kind: str = "TCP") -> str:
    """A port of a server group."""
    port_id: str = cloud.client(AppBlbClient).create_app_server_group_port(blb_id, group_id, port, kind).id
    settle(cloud, blb_id)
    return port_id


def test_server_groups_and_their_ports(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    blbs, blb_id = cloud.client(AppBlbClient), a_balancer(cloud, later, *place)
    group_id = a_group(cloud, blb_id)
    port_id = a_port(cloud, blb_id, group_id)
    [group] = blbs.describe_app_server_group(blb_id).app_server_group_list
    assert (group.id, group.name, group.desc) == (group_id, "relays", "lab")
    [port] = group.port_list
    assert (port.id, port.port, port.type, port.health_check) == (port_id, 8080, "TCP", "TCP")
    assert blbs.describe_app_server_group(blb_id, name="rel").app_server_group_list[0].id == group_id
    assert blbs.describe_app_server_group(blb_id, name="rel", exactly_match=True).app_server_group_list == []
    assert refusal(blbs.create_app_server_group_port, blb_id, group_id, 8080, "TCP")[0] == 409
    assert refusal(blbs.create_app_server_group_port, blb_id, group_id, 0, "TCP")[0] == 400
    assert refusal(blbs.create_app_server_group_port, blb_id, group_id, 1, "ELEPHANT")[0] == 400
    assert refusal(blbs.create_app_server_group_port, blb_id, "sg-nothing", 1, "TCP")[0] == 404
    blbs.update_app_server_group_port(blb_id, group_id, port_id, health_check_interval_insecond=5)
    settle(cloud, blb_id)
    blbs.update_app_server_group(blb_id, group_id, name="renamed")
    settle(cloud, blb_id)
    [group] = blbs.describe_app_server_group(blb_id, name="renamed", exactly_match=True).app_server_group_list
    assert (group.desc, group.port_list[0].health_check_interval_in_second) == ("lab", 5)
    blbs.delete_app_server_group_port(blb_id, group_id, [port_id])
    settle(cloud, blb_id)
    assert blbs.describe_app_server_group(blb_id).app_server_group_list[0].port_list == []
    blbs.delete_app_server_group(blb_id, group_id)
    settle(cloud, blb_id)
    assert blbs.describe_app_server_group(blb_id).app_server_group_list == []
    assert refusal(blbs.delete_app_server_group, blb_id, group_id)[0] == 404


def test_policies_choose_a_group(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    blbs, blb_id = cloud.client(AppBlbClient), a_balancer(cloud, later, *place)
    group_id = a_group(cloud, blb_id)
    port_id = a_port(cloud, blb_id, group_id, 8080, "HTTP")
    blbs.create_app_http_listener(blb_id, 80, "RoundRobin")
    settle(cloud, blb_id)
    policy = {"appServerGroupId": group_id, "backendPort": 8080, "priority": 10, "ruleList": EVERYTHING, "desc": "lab"}
    make = partial(blbs.create_policys, blb_id, 80)
    for wrong, code in (
        ({"priority": 0}, 400),
        ({"ruleList": [{"key": "*"}]}, 400),
        ({"appServerGroupId": "sg-nothing"}, 404),
        ({"backendPort": 9}, 404),
        ({"backendPort": 10**30}, 400),
    ):
        assert refusal(make, [policy, {**policy, "priority": 11, **wrong}])[0] == code, wrong
    assert blbs.describe_policys(blb_id, 80).policy_list == []
    assert refusal(blbs.create_policys, blb_id, 81, [policy])[0] == 404
    assert refusal(make, [policy, policy])[0] == 409
    make([policy, {**policy, "priority": 20}])
    settle(cloud, blb_id)
    first, second = blbs.describe_policys(blb_id, 80, listener_type="HTTP").policy_list
    assert (first.priority, first.app_server_group_id, first.app_server_group_name) == (10, group_id, "relays")
    assert (first.backend_port, first.frontend_port, first.port_type, first.desc) == (8080, 80, "HTTP", "lab")
    assert (first.rule_list[0].key, first.rule_list[0].value) == ("*", "*")
    assert refusal(blbs.delete_app_server_group, blb_id, group_id)[0] == 409
    assert refusal(blbs.delete_app_server_group_port, blb_id, group_id, [port_id])[0] == 409
    assert refusal(blbs.update_policys, blb_id, 80, [{"policyId": second.id, "priority": 10}])[0] == 409
    blbs.update_policys(blb_id, 80, [{"policyId": second.id, "priority": 5, "desc": "first"}])
    settle(cloud, blb_id)
    found = {one.id: (one.priority, one.desc) for one in blbs.describe_policys(blb_id, 80).policy_list}
    assert found == {first.id: (10, "lab"), second.id: (5, "first")}
    blbs.delete_policys(blb_id, 80, [first.id])
    settle(cloud, blb_id)
    assert [one.id for one in blbs.describe_policys(blb_id, 80).policy_list] == [second.id]
    assert refusal(blbs.delete_policys, blb_id, 80, [first.id])[0] == 404
    blbs.delete_app_listeners(blb_id, portList=[80])
    settle(cloud, blb_id)
    blbs.delete_app_server_group(blb_id, group_id)


def test_a_policy_of_a_port_with_two_listeners(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, blbs = shared_emulator, shared_emulator.client(AppBlbClient)
    vpc_id = a_vpc(cloud, later)
    blb_id = a_balancer(cloud, later, vpc_id, a_subnet(cloud, later, vpc_id))
    group_id = a_group(cloud, blb_id)
    a_port(cloud, blb_id, group_id)
    for make in (blbs.create_app_tcp_listener, blbs.create_app_udp_listener):
        make(blb_id, 80, "RoundRobin")
        settle(cloud, blb_id)
    policy = {"appServerGroupId": group_id, "backendPort": 8080, "priority": 1, "ruleList": EVERYTHING}
    assert refusal(blbs.create_policys, blb_id, 80, [policy]) == (400, "InappropriateJSON")
    assert refusal(blbs.describe_policys, blb_id, 80) == (400, "InappropriateJSON")
    blbs.create_policys(blb_id, 80, [policy], listener_type="TCP")
    settle(cloud, blb_id)
    assert len(blbs.describe_policys(blb_id, 80, listener_type="TCP").policy_list) == 1
    assert blbs.describe_policys(blb_id, 80, listener_type="UDP").policy_list == []
    more = partial(blbs.create_policys, blb_id, 80, [{**policy, "priority": 2}], listener_type="TCP")
    assert refusal(more) == (409, "OperationDenied")


def test_servers_of_a_group(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    vpc_id, subnet_id = place
    first, second = instances(cloud, later, subnet_id, purchase_count=2)
    blbs, blb_id = cloud.client(AppBlbClient), a_balancer(cloud, later, vpc_id, subnet_id)
    group_id = a_group(cloud, blb_id, {"instanceId": first, "weight": 10})
    a_port(cloud, blb_id, group_id)
    blbs.create_app_tcp_listener(blb_id, 80, "RoundRobin")
    settle(cloud, blb_id)
    policy = {"appServerGroupId": group_id, "backendPort": 8080, "priority": 1, "ruleList": EVERYTHING}
    blbs.create_policys(blb_id, 80, [policy])
    settle(cloud, blb_id)
    [server] = blbs.describe_app_blb_rs(blb_id, group_id).backend_server_list
    assert (server.instance_id, server.weight, bool(server.private_ip)) == (first, 10, True)
    [port] = server.port_list
    assert (port.listener_port, port.backend_port, port.port_type, port.status) == (80, "8080", "TCP", "Alive")
    assert [one.instance_id for one in blbs.describe_rs_mount(blb_id, group_id).backend_server_list] == [first]
    assert [one.instance_id for one in blbs.describe_rs_unmount(blb_id, group_id).backend_server_list] == [second]
    assert refusal(blbs.create_app_blb_rs, blb_id, group_id, [{"instanceId": first, "weight": 1}])[0] == 409
    assert refusal(blbs.create_app_blb_rs, blb_id, group_id, [{"instanceId": second, "weight": 101}])[0] == 400
    assert refusal(blbs.create_app_blb_rs, blb_id, group_id, [{"instanceId": "i-nothing", "weight": 1}])[0] == 404
    assert refusal(cloud.client(BccClient).release_instance, first)[0] == 409
    blbs.create_app_blb_rs(blb_id, group_id, [{"instanceId": second, "weight": 1}])
    settle(cloud, blb_id)
    assert [one.blb_id for one in blbs.describe_app_loadbalancers(bcc_id=second).blb_list] == [blb_id]
    blbs.update_app_blb_rs(blb_id, group_id, [{"instanceId": first, "weight": 0}])
    settle(cloud, blb_id)
    found = {one.instance_id: one.weight for one in blbs.describe_app_blb_rs(blb_id, group_id).backend_server_list}
    assert found == {first: 0, second: 1}
    blbs.delete_app_blb_rs(blb_id, group_id, [first])
    settle(cloud, blb_id)
    assert refusal(blbs.delete_app_blb_rs, blb_id, group_id, [first])[0] == 404
    assert [one.instance_id for one in blbs.describe_rs_mount(blb_id, group_id).backend_server_list] == [second]


def test_an_elastic_address_of_a_balancer(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    blb_id, address = a_balancer(cloud, later, *place), an_eip(cloud, later)
    cloud.client(EipClient).bind_eip(address, "BLB", blb_id)
    cloud.eventually(partial(eip_status, cloud, address), "binded")
    assert cloud.client(AppBlbClient).describe_app_loadbalancer_detail(blb_id).public_ip == address
    cloud.client(EipClient).unbind_eip(address)


def test_the_quota_of_groups(start: Any) -> None:
    emulator: Emulator = start("--async-delay", "0", "--quota", "app-server-group=1")
    with ExitStack() as later:
        vpc_id = a_vpc(emulator, later)
        blb_id = a_balancer(emulator, later, vpc_id, a_subnet(emulator, later, vpc_id))
        a_group(emulator, blb_id)
        make = partial(emulator.client(AppBlbClient).create_app_server_group, blb_id)
        assert refusal(make) == (413, "LimitExceeded")


def test_a_server_in_a_zone_that_is_down_is_dead(start: Any) -> None:
    emulator = start("--async-delay", "0")
    blbs = emulator.client(AppBlbClient)
    with ExitStack() as later:
        vpc_id = a_vpc(emulator, later)
        subnet_id = a_subnet(emulator, later, vpc_id)
        [instance_id] = instances(emulator, later, subnet_id)
        blb_id = a_balancer(emulator, later, vpc_id, subnet_id)
        group_id = a_group(emulator, blb_id, {"instanceId": instance_id, "weight": 10})
        a_port(emulator, blb_id, group_id)
        blbs.create_app_tcp_listener(blb_id, 80, "RoundRobin")
        policy = {"appServerGroupId": group_id, "backendPort": 8080, "priority": 1, "ruleList": EVERYTHING}
        blbs.create_policys(blb_id, 80, [policy])

        def seen() -> list[str]:
            [server] = blbs.describe_app_blb_rs(blb_id, group_id).backend_server_list
            return [port.status for port in server.port_list]

        assert seen() == ["Alive"]
        emulator.admin("PUT", settings={"down": ["cn-bj-d"]})
        assert seen() == ["Dead"]
        emulator.admin("DELETE")
        assert seen() == ["Alive"]
