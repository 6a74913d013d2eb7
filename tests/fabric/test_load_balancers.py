"""Load balancers before what subscribers' applications answer."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lanecast.cloud_state import CloudListener, CloudLoadBalancer
from lanecast.compiler import compile_network
from lanecast.plan.loader import load_plan
from lanecast.plan.model import Plan

EXAMPLE = Path(__file__).parent.parent.parent / "examples/three-regions.yaml"
SUBSCRIBER = "quotes-bj: {subnet: bj.core.apps, count: 2, feeds: [cme-310], from: [hk1-relay-1, hk1-relay-2]"


def plan(folder: Path, balancer: str) -> Plan:
    path = folder / EXAMPLE.name
    text = EXAMPLE.read_text()
    assert SUBSCRIBER in text
    path.write_text(text.replace(SUBSCRIBER, f"{SUBSCRIBER}, load-balancer: {balancer}"))
    return load_plan(path).plan


def test_connections_are_spread_over_every_instance_and_feeds_are_not(tmp_path: Path) -> None:
    without = compile_network(load_plan(EXAMPLE).plan, "p")
    asked = plan(tmp_path, "{listeners: {api: {port: 443, backend-port: 8443, clients: [10.9.1.0/24, 10.10.0.0/16]}}}")
    fabric = compile_network(asked, "p", without.invented)
    clients = (IPv4Network("10.9.1.0/24"), IPv4Network("10.10.0.0/16"))
    [balancer] = fabric.cloud.load_balancers
    assert balancer == CloudLoadBalancer(
        name="quotes-bj-balancer",
        subnet="bj.core.apps",
        address=balancer.address,
        instances=("quotes-bj-1", "quotes-bj-2"),
        listeners=(CloudListener("api", 443, 8443, clients),),
    )
    assert balancer.address in IPv4Network("10.10.2.0/24")
    assert fabric.invented["address/load-balancers.quotes-bj"] == str(balancer.address)
    assert (fabric.deliveries, fabric.hosts) == (without.deliveries, without.hosts)
    assert replace(fabric.cloud, load_balancers=()) == without.cloud, "nothing else moves"


def test_its_address_may_be_the_plans_and_is_nobody_elses(tmp_path: Path) -> None:
    free = compile_network(load_plan(EXAMPLE).plan, "p")
    [taken] = [one.address.ip for one in free.cloud.instances if one.name == "quotes-bj-1"]
    fabric = compile_network(
        plan(tmp_path, f"{{address: {taken}, listeners: {{a: {{port: 1, clients: [{taken}/32]}}}}}}"), "p"
    )
    [balancer] = fabric.cloud.load_balancers
    assert (balancer.address, balancer.listeners[0].backend_port) == (IPv4Address(taken), 1)
    assert taken not in {one.address.ip for one in fabric.cloud.instances}
