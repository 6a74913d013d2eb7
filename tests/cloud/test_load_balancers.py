"""Load balancers, listeners and backends through the official SDK."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.blb.blb_client import BlbClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.subnet.subnet_client import SubnetClient
from cloud_helpers import a_subnet, a_vpc, an_eip, delete, eip_status, instances, is_gone, passes
from cloud_under_test import Cloud, refusal


def status(cloud: Cloud, blb_id: str) -> str:
    found: str = cloud.client(BlbClient).describe_loadbalancer_detail(blb_id).status
    return found


def settle(cloud: Cloud, blb_id: str) -> None:
    """Wait until the balancer takes the next write."""
    cloud.eventually(partial(status, cloud, blb_id), "available")


def a_balancer(cloud: Cloud, later: ExitStack, vpc_id: str, subnet_id: str, **more: Any) -> str:
    """A balancer, available, that is deleted after the test."""
    blbs = cloud.client(BlbClient)
    blb_id: str = blbs.create_loadbalancer(vpc_id, subnet_id, name="for a test", **more).blb_id
    later.callback(take_away, cloud, blb_id)
    settle(cloud, blb_id)
    return blb_id


def take_away(cloud: Cloud, blb_id: str) -> None:
    blbs = cloud.client(BlbClient)
    if not is_gone(blbs.describe_loadbalancer_detail, blb_id):
        settle(cloud, blb_id)
        delete(cloud, blbs.delete_loadbalancer, blbs.describe_loadbalancer_detail, blb_id)


@pytest.fixture
def place(cloud: Cloud, later: ExitStack) -> tuple[str, str]:
    """A VPC and a subnet of it."""
    vpc_id = a_vpc(cloud, later)
    return vpc_id, a_subnet(cloud, later, vpc_id)


def test_a_balancer_from_its_making_to_its_end(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    blbs, (vpc_id, subnet_id) = cloud.client(BlbClient), place
    made = blbs.create_loadbalancer(vpc_id, subnet_id, name="quotes", desc="of the lab", address="10.0.1.5")
    later.callback(take_away, cloud, made.blb_id)
    assert (made.name, made.address) == ("quotes", "10.0.1.5")
    assert passes(cloud.eventually(partial(status, cloud, made.blb_id), "available"), "creating", "available")
    [blb] = blbs.describe_loadbalancers(blb_id=made.blb_id).blb_list
    assert (blb.name, blb.desc, blb.address) == ("quotes", "of the lab", "10.0.1.5")
    assert (blb.vpc_id, blb.subnet_id) == (vpc_id, subnet_id)
    assert [one.blb_id for one in blbs.describe_loadbalancers(name="quot", exactly_match=False).blb_list] == [
        made.blb_id
    ]
    assert blbs.describe_loadbalancers(name="quot", exactly_match=True).blb_list == []
    blbs.update_loadbalancer(made.blb_id, name="renamed", desc="still")
    settle(cloud, made.blb_id)
    detail = blbs.describe_loadbalancer_detail(made.blb_id)
    assert (detail.name, detail.desc, detail.listener) == ("renamed", "still", [])
    assert refusal(cloud.client(SubnetClient).delete_subnet, subnet_id)[0] == 409
    blbs.delete_loadbalancer(made.blb_id)
    cloud.eventually(lambda: is_gone(blbs.describe_loadbalancer_detail, made.blb_id), True)
    assert blbs.describe_loadbalancers(blb_id=made.blb_id).blb_list == []


def test_listeners_come_and_go(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    blbs, blb_id = cloud.client(BlbClient), a_balancer(cloud, later, *place)
    blbs.create_tcp_listener(blb_id, 80, 8080, "RoundRobin", health_check_interval=5, unhealthy_threshold=4)
    settle(cloud, blb_id)
    blbs.create_udp_listener(blb_id, 80, 8081, "Hash", health_check_string="ping")
    settle(cloud, blb_id)
    blbs.create_http_listener(blb_id, 8000, 8082, "LeastConnection", health_check_uri="/health")
    settle(cloud, blb_id)
    [tcp] = blbs.describe_tcp_listener(blb_id).listener_list
    assert (tcp.listener_port, tcp.backend_port, tcp.scheduler) == (80, 8080, "RoundRobin")
    assert (tcp.health_check_interval, tcp.unhealthy_threshold, tcp.healthy_threshold) == (5, 4, 3)
    [udp] = blbs.describe_udp_listener(blb_id, listener_port=80).listener_list
    assert (udp.backend_port, udp.scheduler, udp.health_check_string) == (8081, "Hash", "ping")
    [http] = blbs.describe_http_listener(blb_id).listener_list
    assert (http.listener_port, http.scheduler) == (8000, "LeastConnection")
    listeners = {(str(one.port), one.type) for one in blbs.describe_loadbalancer_detail(blb_id).listener}
    assert listeners == {("80", "TCP"), ("80", "UDP"), ("8000", "HTTP")}
    every = blbs.describe_all_listeners(blb_id).listener_list
    assert {(str(one.listener_port), one.listener_type) for one in every} == listeners
    assert [one.backend_port for one in blbs.describe_all_listeners(blb_id, listener_port=8000).listener_list] == [8082]
    blbs.update_tcp_listener(blb_id, 80, backend_port=9090, scheduler="Hash", unhealth_threshold=5, health_threshold=2)
    settle(cloud, blb_id)
    [tcp] = blbs.describe_tcp_listener(blb_id, listener_port=80).listener_list
    assert (tcp.backend_port, tcp.scheduler, tcp.unhealthy_threshold, tcp.healthy_threshold) == (9090, "Hash", 5, 2)
    blbs.update_udp_listener(blb_id, 80, backend_port=9091)
    settle(cloud, blb_id)
    blbs.update_http_listener(blb_id, 8000, backend_port=9092)
    settle(cloud, blb_id)
    blbs.delete_listeners(blb_id, port_type_list=[{"port": 80, "type": "UDP"}])
    settle(cloud, blb_id)
    assert blbs.describe_udp_listener(blb_id).listener_list == []
    blbs.delete_listeners(blb_id, port_list=[80, 8000])
    settle(cloud, blb_id)
    assert blbs.describe_loadbalancer_detail(blb_id).listener == []


def test_what_a_listener_cannot_be(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    blbs, blb_id = cloud.client(BlbClient), a_balancer(cloud, later, *place)
    make = partial(blbs.create_tcp_listener, blb_id)
    assert refusal(make, 0, 80, "RoundRobin")[0] == 400
    assert refusal(make, 80, 65536, "RoundRobin")[0] == 400
    assert refusal(make, 80, 80, "Random")[0] == 400
    assert refusal(make, 80, 80, "Hash", health_check_interval=0)[0] == 400
    assert refusal(make, 80, 80, "Hash", tcp_session_timeout=9)[0] == 400
    assert refusal(make, 80, 80, "Hash", tcp_session_timeout=4001)[0] == 400
    assert refusal(blbs.create_udp_listener, blb_id, 80, 80, "Hash", "ping", health_check_port=65536)[0] == 400
    assert status(cloud, blb_id) == "available"
    make(80, 80, "Hash")
    settle(cloud, blb_id)
    assert refusal(make, 80, 81, "Hash") == (400, "ListenerAlreadyExist")
    assert refusal(blbs.create_http_listener, blb_id, 80, 81, "Hash") == (400, "ListenerAlreadyExist")
    assert refusal(blbs.update_tcp_listener, blb_id, 81, backend_port=1)[0] == 404
    assert refusal(blbs.delete_listeners, blb_id, port_list=[80, 81])[0] == 404
    assert len(blbs.describe_tcp_listener(blb_id).listener_list) == 1


def test_backends_come_and_go(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    blbs, blb_id = cloud.client(BlbClient), a_balancer(cloud, later, *place)
    first, second = instances(cloud, later, place[1], purchase_count=2)
    servers = [{"instanceId": first, "weight": 50}, {"instanceId": second, "weight": 100}]
    blbs.add_backend_servers(blb_id, servers)
    settle(cloud, blb_id)

    def weights() -> dict[str, int]:
        return {one.instance_id: one.weight for one in blbs.describe_backend_servers(blb_id).backend_server_list}

    assert weights() == {first: 50, second: 100}
    assert refusal(cloud.client(BccClient).release_instance, first)[0] == 409
    blbs.create_tcp_listener(blb_id, 80, 8080, "RoundRobin")
    settle(cloud, blb_id)
    health = blbs.describe_health_status(blb_id, 80)
    assert (health.type, health.backend_port) == ("TCP", 8080)
    assert {one.instance_id for one in health.backend_server_list} == {first, second}
    assert all(one.status for one in health.backend_server_list)
    assert refusal(blbs.describe_health_status, blb_id, 81)[0] == 404
    blbs.update_backend_servers(blb_id, [{"instanceId": first, "weight": 0}])
    settle(cloud, blb_id)
    assert weights() == {first: 0, second: 100}
    assert refusal(blbs.add_backend_servers, blb_id, [{"instanceId": first, "weight": 1}])[0] == 409
    assert refusal(blbs.add_backend_servers, blb_id, [{"instanceId": "i-nothing", "weight": 1}])[0] == 404
    assert refusal(blbs.update_backend_servers, blb_id, [{"instanceId": first, "weight": 101}])[0] == 400
    blbs.remove_backend_servers(blb_id, [first])
    settle(cloud, blb_id)
    assert weights() == {second: 100}
    assert refusal(blbs.remove_backend_servers, blb_id, [first])[0] == 404
    assert [one.blb_id for one in blbs.describe_loadbalancers(bcc_id=second).blb_list] == [blb_id]
    blbs.remove_backend_servers(blb_id, [second])
    settle(cloud, blb_id)


def test_what_a_balancer_cannot_be(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, blbs = shared_emulator, shared_emulator.client(BlbClient)
    vpc_id, other = a_vpc(cloud, later), a_vpc(cloud, later, "10.9.0.0/16")
    subnet_id = a_subnet(cloud, later, vpc_id)
    assert refusal(blbs.create_loadbalancer, other, subnet_id)[0] == 400
    assert refusal(blbs.create_loadbalancer, "vpc-nothing", subnet_id)[0] == 404
    assert refusal(blbs.create_loadbalancer, vpc_id, subnet_id, address="10.0.9.1")[0] == 400
    a_balancer(cloud, later, vpc_id, subnet_id, address="10.0.1.9")
    assert refusal(blbs.create_loadbalancer, vpc_id, subnet_id, address="10.0.1.9")[0] == 409


def test_an_elastic_address_of_a_balancer(cloud: Cloud, later: ExitStack, place: tuple[str, str]) -> None:
    eips, blbs, address = cloud.client(EipClient), cloud.client(BlbClient), an_eip(cloud, later)
    blb_id = a_balancer(cloud, later, *place)
    eips.bind_eip(address, "BLB", blb_id)
    cloud.eventually(partial(eip_status, cloud, address), "binded")
    assert blbs.describe_loadbalancer_detail(blb_id).public_ip == address
    eips.unbind_eip(address)
    cloud.eventually(partial(eip_status, cloud, address), "available")
