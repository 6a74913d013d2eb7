"""Packets through load balancers: shared out by weight, away from backends that do not answer."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from baidubce.services.blb.app_blb_client import AppBlbClient
from baidubce.services.blb.blb_client import BlbClient
from baidubce.services.eip.eip_client import EipClient
from data_plane_under_test import ANYTHING_OUT, DataPlane, rule
from edges import BUILT_WITHIN_S, INTERNET, NOTHING, SOMEBODY, ask, flow, serve, talking, until

pytestmark = pytest.mark.lab

ADDRESS = "10.0.1.100"
INTERVAL_S, UNHEALTHY, HEALTHY = 1, 2, 2
CHECKS = {
    "health_check_interval": INTERVAL_S,
    "health_check_timeout_in_second": 1,
    "unhealthy_threshold": UNHEALTHY,
    "healthy_threshold": HEALTHY,
}
SLACK_S = 1.5
"""For what a check and the machine take beside the interval."""


class Place:
    """A balancer with a backend in its own subnet and one in another, a client in each, and nothing that listens."""

    def __init__(self, plane: DataPlane, later: ExitStack) -> None:
        self.plane, self.later, self.blbs = plane, later, plane.client(BlbClient)
        self.serving: set[str] = set()
        vpc = plane.a_vpc("10.0.0.0/16")
        self.subnets = [plane.a_subnet(vpc, f"10.0.{number}.0/24") for number in (1, 2)]
        for subnet, names in zip(self.subnets, (("near", "client"), ("far", "stranger")), strict=True):
            for name in names:
                setattr(self, name, plane.an_instance(subnet, name))
        self.blb = self.blbs.create_loadbalancer(vpc, self.subnets[0], name="blb", address=ADDRESS).blb_id
        plane.settle(BUILT_WITHIN_S)

    def listen(self, kind: str, port: int, scheduler: str = "RoundRobin", **more: Any) -> None:
        """A listener that passes on to port 8080."""
        make = getattr(self.blbs, f"create_{kind}_listener")
        make(self.blb, port, 8080, scheduler, **CHECKS, **more)

    def back(self, **weights: int) -> None:
        """Backends with these weights."""
        servers = [{"instanceId": getattr(self, name), "weight": weight} for name, weight in weights.items()]
        self.blbs.add_backend_servers(self.blb, servers)

    def serve(self, *names: str) -> None:
        """Servers in these instances, and wait until every listener has found them and the earlier ones."""
        for name in names:
            serve(self.plane, self.later, name, 8080)
        self.serving |= set(names)
        self.found(*self.serving)

    def healthy(self, port: int | None = None) -> set[str]:
        """Names of the backends that the API says to be alive."""
        read = partial(self.blbs.describe_health_status, self.blb, port) if port else self.described
        names = {getattr(self, name): name for name in ("near", "far")}
        return {names[one.instance_id] for one in read().backend_server_list if one.status == "Alive"}

    def described(self) -> Any:
        return self.blbs.describe_backend_servers(self.blb)

    def found(self, *names: str, within_s: float = HEALTHY * INTERVAL_S + SLACK_S) -> float:
        """Wait until these backends alone are alive."""
        return until(f"alive: {names}", within_s, lambda: self.healthy() == set(names))

    def ask(self, protocol: str, port: int, count: int = 1, key: str = "client") -> list[str]:
        """Who answers."""
        return ask(self.plane, key, protocol, ADDRESS, port, count)


@pytest.fixture
def place(plane: DataPlane, later: ExitStack) -> Place:
    return Place(plane, later)


def test_flows_are_shared_out_by_weight_and_see_their_clients(place: Place) -> None:
    place.listen("tcp", 80)
    place.listen("udp", 80, health_check_string="hello")
    place.back(near=100, far=50)
    place.serve("near", "far")
    for key in ("client", "stranger"):
        client = place.plane.address(key)
        for protocol in ("tcp", "udp"):
            assert Counter(place.ask(protocol, 80, 12, key)) == {f"near {client}": 8, f"far {client}": 4}, protocol
    assert place.plane.pings("client", ADDRESS), "the balancer answers pings itself"
    place.blbs.update_backend_servers(place.blb, [{"instanceId": place.near, "weight": 0}])  # type: ignore[attr-defined]
    place.plane.settle()
    until("far alone", SLACK_S, lambda: {one.split()[0] for one in place.ask("tcp", 80, 4)} == {"far"})


def test_a_flow_keeps_to_its_backend(place: Place) -> None:
    place.listen("udp", 80, health_check_string="hello")
    place.back(near=1, far=1)
    place.serve("near", "far")
    with flow(place.plane, "client", "udp", ADDRESS, 80) as again:
        assert len({again() for _ in range(5)}) == 1
    with flow(place.plane, "client", "udp", ADDRESS, 80) as one, flow(place.plane, "client", "udp", ADDRESS, 80) as two:
        assert one().split()[0] != two().split()[0]


def test_a_connection_is_remembered_as_long_as_its_listener_says(place: Place) -> None:
    place.listen("tcp", 80, tcp_session_timeout=300)
    place.back(near=1)
    place.serve("near")
    with flow(place.plane, "client", "tcp", ADDRESS, 80) as again:
        assert again().startswith("near")
        known = place.plane.run(place.blb, "cat", "/proc/net/nf_conntrack").splitlines()
        [seconds] = [int(line.split()[4]) for line in known if "ESTABLISHED" in line and "dport=80 " in line]
        assert 290 < seconds <= 300


def test_who_has_the_fewest_connections_gets_the_next(place: Place) -> None:
    place.listen("tcp", 80, "LeastConnection")
    place.back(near=1, far=1)
    place.serve("near", "far")
    opened = [ExitStack() for _ in range(8)]
    for one in opened:
        place.later.push(one)
    said = [one.enter_context(flow(place.plane, "client", "tcp", ADDRESS, 80))().split()[0] for one in opened]
    assert Counter(said) == {"near": 4, "far": 4}
    for one, name in zip(opened, said, strict=True):
        if name == "near":
            one.close()

    def next_four() -> set[str]:
        with ExitStack() as four:
            flows = [four.enter_context(flow(place.plane, "client", "tcp", ADDRESS, 80)) for _ in range(4)]
            return {again().split()[0] for again in flows}

    until("near makes up for it", SLACK_S + 2, lambda: next_four() == {"near"})


def test_flows_that_are_no_connections_count_too(place: Place) -> None:
    place.listen("udp", 80, "LeastConnection", health_check_string="hello")
    place.back(near=1)
    place.serve("near")
    with ExitStack() as lasting:
        flows = [lasting.enter_context(flow(place.plane, "client", "udp", ADDRESS, 80)) for _ in range(8)]
        assert {again().split()[0] for again in flows} == {"near"}
        place.back(far=1)
        place.serve("far")
        assert {answer.split()[0] for answer in place.ask("udp", 80, 4)} == {"far"}


def test_sources_keep_to_a_backend_where_they_are_hashed(place: Place) -> None:
    place.listen("tcp", 80, "Hash")
    place.back(near=1, far=2)
    place.serve("near", "far")
    for key in ("client", "stranger"):
        assert len(set(place.ask("tcp", 80, 8, key))) == 1, "weights mean nothing, and nobody takes turns"


def test_a_backend_that_stops_answering_is_left_and_comes_back(place: Place, later: ExitStack) -> None:
    place.listen("tcp", 80)
    place.listen("udp", 90, health_check_string="hello")
    place.back(near=1, far=1)
    place.serve("near")
    with talking(place.plane, "far", "serve", "8080", "far"):
        place.found("near", "far")
        flows = [later.enter_context(flow(place.plane, "client", "udp", ADDRESS, 90)) for _ in range(2)]
        others = [later.enter_context(flow(place.plane, "client", "tcp", ADDRESS, 80)) for _ in range(2)]
        assert {again().split()[0] for again in flows} == {again().split()[0] for again in others} == {"near", "far"}
    took = place.found("near", within_s=UNHEALTHY * INTERVAL_S + SLACK_S)
    assert took > INTERVAL_S * (UNHEALTHY - 1) - 0.5, "one failure is not enough"
    until("both listeners know", INTERVAL_S + SLACK_S, lambda: place.healthy(80) == place.healthy(90) == {"near"})
    assert {again().split()[0] for again in flows} == {"near"}, "running flows have moved"
    assert {one.split()[0] for one in place.ask("tcp", 80, 4)} == {"near"}
    place.serve("far")
    until("shared again", SLACK_S, lambda: {one.split()[0] for one in place.ask("tcp", 80, 4)} == {"near", "far"})


def test_an_instance_that_is_unplugged_is_left(place: Place) -> None:
    place.listen("tcp", 80)
    place.back(near=1, far=1)
    place.serve("near", "far")
    place.plane.run("far", "ip", "link", "set", "eth0", "down")
    place.found("near", within_s=UNHEALTHY * (INTERVAL_S + 1) + SLACK_S)
    assert {one.split()[0] for one in place.ask("tcp", 80, 4)} == {"near"}


def test_nobody_answers_when_nobody_is_healthy(place: Place) -> None:
    place.listen("tcp", 80)
    place.back(near=1)
    place.plane.settle()
    assert place.ask("tcp", 80) == [NOTHING]
    assert place.healthy() == set()
    place.serve("near")
    assert place.ask("tcp", 80) == [f"near {place.plane.address('client')}"]


def test_listeners_and_backends_that_change(place: Place) -> None:
    place.listen("udp", 80, health_check_string="hello")
    place.back(near=1)
    place.serve("near")
    with flow(place.plane, "client", "udp", ADDRESS, 80) as again:
        assert again().startswith("near")
        before = place.plane.run(place.blb, "cat", "/proc/net/nf_conntrack")
        place.back(far=1)
        place.serve("far")
        assert again().startswith("near"), "another backend changes no running flow"
        assert place.plane.run(place.blb, "cat", "/proc/net/nf_conntrack").count("dport=80 ") >= before.count(
            "dport=80 "
        )
        place.blbs.remove_backend_servers(place.blb, [place.near])  # type: ignore[attr-defined]
        place.plane.settle()
        until("far has it", SLACK_S, lambda: again().startswith("far"))
    place.blbs.delete_listeners(place.blb, port_list=[80])
    place.plane.settle()
    until("nobody has it", SLACK_S, lambda: place.ask("udp", 80) == [NOTHING])


def test_security_groups_of_backends_hold_for_clients_and_for_checks(place: Place) -> None:
    plane = place.plane
    vpc = plane.client(BlbClient).describe_loadbalancer_detail(place.blb).vpc_id
    checks = rule("ingress", "tcp", "8080", "100.64.0.0/10")
    client = rule("ingress", "tcp", "8080", plane.address("client"))
    group = plane.a_group(vpc, ANYTHING_OUT, checks, client)
    place.far = plane.an_instance(place.subnets[0], "guarded", security_group_id=group)  # type: ignore[attr-defined]
    place.listen("tcp", 80)
    place.back(far=1)
    plane.settle()
    serve(plane, place.later, "guarded", 8080)
    place.found("far")
    assert place.ask("tcp", 80) == [f"guarded {plane.address('client')}"]
    assert place.ask("tcp", 80, key="stranger") == [NOTHING]


def test_from_the_internet(place: Place) -> None:
    eips = place.plane.client(EipClient)
    address = eips.create_eip(1).eip
    place.listen("tcp", 80)
    place.back(near=1, far=1)
    place.serve("near", "far")
    eips.bind_eip(address, "BLB", place.blb)
    place.plane.settle()
    assert set(ask(place.plane, INTERNET, "tcp", address, 80, 4)) == {f"near {SOMEBODY}", f"far {SOMEBODY}"}


def test_a_backend_may_be_a_client(place: Place) -> None:
    place.listen("tcp", 80)
    place.back(near=1, far=1)
    place.serve("near", "far")
    assert set(place.ask("tcp", 80, 4, "near")) == {f"near {ADDRESS}", f"far {place.plane.address('near')}"}


EVERYTHING = [{"key": "*", "value": "*"}]


def test_an_application_balancer(plane: DataPlane, later: ExitStack) -> None:
    blbs, vpc = plane.client(AppBlbClient), plane.a_vpc("10.0.0.0/16")
    near, far = plane.a_subnet(vpc, "10.0.1.0/24"), plane.a_subnet(vpc, "10.0.2.0/24")
    ids = {name: plane.an_instance(subnet, name) for name, subnet in (("a", near), ("b", far), ("client", near))}
    blb = blbs.create_app_loadbalancer(vpc, near, name="app", address=ADDRESS).blb_id
    servers = [{"instanceId": ids["a"], "weight": 50}, {"instanceId": ids["b"], "weight": 50}]
    group = blbs.create_app_server_group(blb, name="servers", backend_server_list=servers).id
    checked = {"health_check_interval_insecond": 1, "health_check_down_retry": 2, "health_check_up_retry": 2}
    blbs.create_app_server_group_port(blb, group, 8080, "TCP", **checked)
    blbs.create_app_server_group_port(blb, group, 8081, "UDP", enable_health_check=False)
    policy = {"appServerGroupId": group, "priority": 1, "ruleList": EVERYTHING}
    blbs.create_app_tcp_listener(blb, 80, "RoundRobin")
    blbs.create_policys(blb, 80, [{**policy, "backendPort": 8080}])
    blbs.create_app_udp_listener(blb, 90, "RoundRobin")
    blbs.create_policys(blb, 90, [{**policy, "backendPort": 8081}])
    plane.settle(BUILT_WITHIN_S)

    def alive(kind: str) -> set[str]:
        found = blbs.describe_app_blb_rs(blb, group).backend_server_list
        pairs = [(one.instance_id, port) for one in found for port in one.port_list if port.port_type == kind]
        return {name for name in "ab" for key, port in pairs if key == ids[name] and port.status == "Alive"}

    for port in (8080, 8081):
        serve(plane, later, "a", port)
    until("a", SLACK_S + 2, lambda: alive("TCP") == {"a"})
    client = plane.address("client")
    assert ask(plane, "client", "tcp", ADDRESS, 80, 4) == [f"a {client}"] * 4
    assert alive("UDP") == {"a", "b"}, "nobody asks"
    assert Counter(ask(plane, "client", "udp", ADDRESS, 90, 4)) == {f"a {client}": 2, NOTHING: 2}
    serve(plane, later, "b", 8080)
    until("both", SLACK_S + 3, lambda: alive("TCP") == {"a", "b"})
    assert Counter(ask(plane, "client", "tcp", ADDRESS, 80, 4)) == {f"a {client}": 2, f"b {client}": 2}
