"""Who reaches whom: subnets, routes, peerings."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from data_plane_under_test import DataPlane

pytestmark = pytest.mark.lab


def test_instances_in_one_subnet_and_in_two(plane: DataPlane) -> None:
    vpc = plane.a_vpc("10.0.0.0/16")
    first, second = plane.a_subnet(vpc, "10.0.1.0/24"), plane.a_subnet(vpc, "10.0.2.0/24", "b")
    for subnet, name in ((first, "one"), (first, "two"), (second, "three")):
        plane.an_instance(subnet, name)
    plane.settle()
    assert plane.pings("one", plane.address("two"))
    assert plane.pings("one", plane.address("three"))
    assert plane.pings("three", plane.address("one"))
    assert plane.pings("one", "10.0.1.1"), "the router answers pings"
    assert plane.run("one", "cat", "/sys/class/net/eth0/mtu") == "1500\n"


def test_another_vpc_is_out_of_reach_even_with_the_same_addresses(plane: DataPlane) -> None:
    for region in ("bj", "hkg"):
        vpc = plane.a_vpc("10.0.0.0/16", region=region)
        subnet = plane.a_subnet(vpc, "10.0.1.0/24", region=region)
        plane.an_instance(subnet, f"one-{region}", region=region)
    plane.an_instance(subnet, "two-hkg", region="hkg")
    plane.settle()
    assert plane.address("one-bj") == plane.address("one-hkg") == "10.0.1.2"
    assert plane.pings("one-hkg", "10.0.1.3")
    assert not plane.pings("one-bj", "10.0.1.3")


def test_an_instance_that_gets_a_released_address_is_found_at_once(plane: DataPlane) -> None:
    vpc = plane.a_vpc("10.0.0.0/16")
    subnet = plane.a_subnet(vpc, "10.0.1.0/24")
    plane.an_instance(subnet, "one")
    for name in ("two", "two again"):
        made = plane.an_instance(subnet, name)
        plane.settle()
        assert plane.pings("one", "10.0.1.3"), name
        plane.client(BccClient).release_instance(made)
        plane.settle()
        assert not plane.has(made)
        assert not plane.pings("one", "10.0.1.3")


def _chain(plane: DataPlane) -> dict[str, str]:
    """Three VPCs in a row, in two regions, each with an instance, and every route that one could want."""
    made: dict[str, str] = {}
    for index, (name, region) in enumerate((("a", "bj"), ("b", "hkg"), ("c", "bj"))):
        made[name] = plane.a_vpc(f"10.{index}.0.0/16", name, region)
        made[f"{name}-subnet"] = plane.a_subnet(made[name], f"10.{index}.1.0/24", region=region)
        made[f"in-{name}"] = plane.an_instance(made[f"{name}-subnet"], f"in-{name}", region)
    made["ab"] = plane.a_peering(made["a"], made["b"], "a-b", ("bj", "hkg"))
    made["bc"] = plane.a_peering(made["b"], made["c"], "b-c", ("hkg", "bj"))
    for name, region, destination, peering in (
        ("a", "bj", "10.1.0.0/16", "ab"),
        ("a", "bj", "10.2.0.0/16", "ab"),
        ("b", "hkg", "10.0.0.0/16", "ab"),
        ("b", "hkg", "10.2.0.0/16", "bc"),
        ("c", "bj", "10.1.0.0/16", "bc"),
        ("c", "bj", "10.0.0.0/16", "bc"),
    ):
        side = plane.client(PeerConnClient, region).get_peerconn(made[peering])
        made[f"{name}>{destination}"] = plane.a_route(made[name], destination, "peerConn", side.local_if_id, region)
    return made


def test_peerings_carry_and_are_not_transitive_unless_the_vpc_is_a_relay(plane: DataPlane) -> None:
    made = _chain(plane)
    plane.settle()
    assert plane.pings("in-a", "10.1.1.2")
    assert plane.pings("in-c", "10.1.1.2")
    assert not plane.pings("in-a", "10.2.1.2")
    vpcs = plane.client(VpcClient, "hkg")
    vpcs.open_relay(made["b"])
    plane.settle()
    assert plane.pings("in-a", "10.2.1.2")
    assert plane.pings("in-c", "10.0.1.2")
    vpcs.shutdown_relay(made["b"])
    plane.settle()
    assert not plane.pings("in-a", "10.2.1.2")
    assert plane.pings("in-a", "10.1.1.2")


def test_a_deleted_route_rule_breaks_that_path_alone_and_adding_one_disturbs_nothing(plane: DataPlane) -> None:
    made = _chain(plane)
    plane.settle()
    routes = plane.client(RouteClient)
    before = {node["id"]: node["pid"] for node in plane.registry()["nodes"]}
    with plane.probe("in-c", "echo", "7000"):
        command = [*plane.inside("in-b"), "ping", "-n", "-q", "-i", "0.01", "-c", "120", "10.2.1.2"]
        pinging = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        routes.delete_route(made["a>10.1.0.0/16"])
        plane.settle()
        assert not plane.pings("in-a", "10.1.1.2")
        plane.a_route(made["a"], "10.1.0.0/16", "peerConn", made["ab"])
        plane.settle()
        assert plane.pings("in-a", "10.1.1.2")
        out, _ = pinging.communicate()
        assert " 0% packet loss" in out, out
    assert {node["id"]: node["pid"] for node in plane.registry()["nodes"]} == before


def test_only_an_active_peering_carries(start: Callable[..., DataPlane]) -> None:
    plane = start(async_delay="1")
    a, b = plane.a_vpc("10.0.0.0/16"), plane.a_vpc("10.1.0.0/16")
    for index, vpc in enumerate((a, b)):
        plane.an_instance(plane.a_subnet(vpc, f"10.{index}.1.0/24"), f"in-{'ab'[index]}")
    peering = plane.a_peering(a, b)
    begun = time.time()
    plane.a_route(a, "10.1.0.0/16", "peerConn", peering)
    plane.a_route(b, "10.0.0.0/16", "peerConn", peering)
    plane.settle()
    assert time.time() < begun + 1
    assert "p-" not in plane.run(a, "ip", "-o", "link")
    while not plane.pings("in-a", "10.1.1.2"):
        assert time.time() < begun + 2.5, plane.registry()
    assert time.time() > begun + 0.9
    status = plane.client(PeerConnClient).get_peerconn(peering).status
    assert status == "active"


def test_routes_by_source_by_instance_and_by_nothing(plane: DataPlane) -> None:
    vpc = plane.a_vpc("10.0.0.0/16")
    first, second = plane.a_subnet(vpc, "10.0.1.0/24"), plane.a_subnet(vpc, "10.0.2.0/24")
    hop = plane.an_instance(first, "hop")
    plane.an_instance(second, "asks")
    plane.an_instance(first, "asks too")
    made = plane.a_route(vpc, "192.168.7.0/24", "custom", hop, source="10.0.2.0/24")
    plane.settle()
    plane.run("hop", "ip", "address", "add", "192.168.7.1/32", "dev", "lo")
    assert plane.pings("asks", "192.168.7.1")
    assert not plane.pings("asks too", "192.168.7.1"), "the rule is of the other subnet"
    plane.client(RouteClient).delete_route(made)
    plane.settle()
    assert not plane.pings("asks", "192.168.7.1")


def test_a_peering_has_the_delay_that_is_asked_for(start: Callable[..., DataPlane]) -> None:
    plane = start("--peering-delay", "slow=20ms")
    a, b = plane.a_vpc("10.0.0.0/16"), plane.a_vpc("10.1.0.0/16")
    for index, vpc in enumerate((a, b)):
        plane.an_instance(plane.a_subnet(vpc, f"10.{index}.1.0/24"), f"in-{'ab'[index]}")
    peering = plane.a_peering(a, b, "slow")
    plane.a_route(a, "10.1.0.0/16", "peerConn", peering)
    plane.a_route(b, "10.0.0.0/16", "peerConn", peering)
    plane.settle()
    times = [
        float(line.partition("time=")[2].split()[0])
        for line in plane.run("in-a", "ping", "-n", "-c", "5", "-i", "0.1", "10.1.1.2").splitlines()
        if "time=" in line
    ]
    assert 40 <= min(times) <= 45, times
    assert plane.node(peering)["kind"] == "peering"
