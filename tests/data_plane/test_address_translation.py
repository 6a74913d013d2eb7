"""Packets to and from the Internet: NAT gateways, and elastic addresses of instances."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.havip.havip_client import HavipClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.vpc.nat_client import NatClient
from data_plane_under_test import DataPlane
from edges import BUILT_WITHIN_S, INTERNET, NOTHING, SOMEBODY, ask, flow, serve, until

pytestmark = pytest.mark.lab


class Place:
    """A VPC with two subnets, an instance in each, and a NAT gateway that the default route leads to."""

    def __init__(self, plane: DataPlane, later: ExitStack) -> None:
        self.plane, self.nats, self.eips = plane, plane.client(NatClient), plane.client(EipClient)
        self.vpc = plane.a_vpc("10.0.0.0/16")
        self.subnet = plane.a_subnet(self.vpc, "10.0.1.0/24")
        self.one = plane.an_instance(self.subnet, "one")
        self.two = plane.an_instance(plane.a_subnet(self.vpc, "10.0.2.0/24"), "two")
        self.three = plane.an_instance(self.subnet, "three")
        self.out, self.into, self.free = (self.eips.create_eip(1).eip for _ in range(3))
        self.nat = self.nats.create_nat("nat", self.vpc, spec="small", eips=[self.out], dnat_eips=[self.into]).nat_id
        self.route = a_route(plane, self.vpc, "0.0.0.0/0", "nat", self.nat)
        plane.settle(BUILT_WITHIN_S)
        for name in ("one", "two", "three"):
            serve(plane, later, name, 8080)
        serve(plane, later, INTERNET, 53, "somebody")

    def snat(self, source: str) -> str:
        """A rule by which a range gets out."""
        made: str = self.nats.create_snat_rule(self.nat, "rule", source, [self.out]).rule_id
        self.plane.settle()
        return made

    def dnat(self, target: str, protocol: str = "TCP", **ports: Any) -> str:
        """A rule by which something gets in."""
        made: str = self.nats.create_dnat_rule(self.nat, self.into, target, protocol, rule_name="rule", **ports).rule_id
        self.plane.settle()
        return made

    def get_out(self, name: str, protocol: str = "udp") -> str:
        """What somebody in the Internet answers to an instance."""
        return ask(self.plane, name, protocol, SOMEBODY, 53)[0]

    def get_in(self, protocol: str, port: int, address: str = "") -> str:
        """Who answers to somebody in the Internet."""
        return ask(self.plane, INTERNET, protocol, address or self.into, port)[0]


def a_route(plane: DataPlane, vpc: str, destination: str, kind: str, hop: str) -> str:
    routes = plane.client(RouteClient)
    table = routes.get_route(vpc_id=vpc).route_table_id
    made: str = routes.create_route(table, "0.0.0.0/0", destination, kind, "", hop).route_rule_id
    return made


@pytest.fixture
def place(plane: DataPlane, later: ExitStack) -> Place:
    return Place(plane, later)


def test_out_goes_what_a_rule_names_by_its_address(place: Place) -> None:
    seen = heard(place.plane)
    assert place.get_out("one") == NOTHING, "no rule yet"
    assert heard(place.plane) == seen, "nor did it get out under its own address"
    rule = place.snat("10.0.1.0/24")
    assert [place.get_out("one", protocol) for protocol in ("udp", "tcp")] == [f"somebody {place.out}"] * 2
    assert place.get_out("two") == NOTHING, "another range"
    assert place.plane.pings("one", SOMEBODY)
    place.nats.delete_snat_rule(place.nat, rule)
    place.plane.settle()
    assert place.get_out("one") == NOTHING


def heard(plane: DataPlane) -> int:
    """How many datagrams have come to somebody in the Internet."""
    lines = [line.split() for line in plane.run(INTERNET, "cat", "/proc/net/snmp").splitlines() if line[:4] == "Udp:"]
    return int(dict(zip(*lines, strict=True))["InDatagrams"])


def test_sources_are_shared_out_over_several_addresses(plane: DataPlane, later: ExitStack) -> None:
    vpc = plane.a_vpc("10.0.0.0/16")
    subnet = plane.a_subnet(vpc, "10.0.1.0/24")
    names = [f"host-{number}" for number in range(6)]
    for name in names:
        plane.an_instance(subnet, name)
    addresses = [plane.client(EipClient).create_eip(1).eip for _ in range(2)]
    nats = plane.client(NatClient)
    nat = nats.create_nat("nat", vpc, cu_num=1, bind_eips=addresses).nat_id
    nats.create_snat_rule(nat, "rule", "10.0.1.0/24", addresses)
    a_route(plane, vpc, "0.0.0.0/0", "nat", nat)
    plane.settle(BUILT_WITHIN_S)
    serve(plane, later, INTERNET, 53, "somebody")
    answers = {name: set(ask(plane, name, "udp", SOMEBODY, 53, 3)) for name in names}
    assert all(len(said) == 1 for said in answers.values()), "a source keeps its address"
    assert {next(iter(said)) for said in answers.values()} == {f"somebody {address}" for address in addresses}


def test_without_the_route_nothing_gets_out(place: Place) -> None:
    place.snat("10.0.0.0/16")
    assert place.get_out("two") == f"somebody {place.out}"
    place.plane.client(RouteClient).delete_route(place.route)
    place.plane.settle()
    assert place.get_out("two") == NOTHING


def test_in_comes_what_a_rule_names(place: Place) -> None:
    assert place.get_in("tcp", 80) == NOTHING
    place.dnat(place.plane.address("one"), public_port=80, private_port=8080)
    assert place.get_in("tcp", 80) == f"one {SOMEBODY}"
    assert place.get_in("udp", 80) == NOTHING, "another protocol"
    assert place.get_in("tcp", 81) == NOTHING, "another port"
    place.dnat(place.plane.address("two"), "UDP", public_port_range="8000-8090", private_port_range="8000-8090")
    assert place.get_in("udp", 8080) == f"two {SOMEBODY}", "a range, port by port"
    place.dnat(place.plane.address("two"), "UDP", public_port_range="90-95", private_port_range="8077-8082")
    assert [place.get_in("udp", port) for port in (92, 93, 94)] == [NOTHING, f"two {SOMEBODY}", NOTHING]


def test_everything_comes_in_by_a_rule_for_everything(place: Place) -> None:
    assert not place.plane.pings(INTERNET, place.into)
    place.dnat(place.plane.address("one"), "all")
    assert [place.get_in(protocol, 8080) for protocol in ("tcp", "udp")] == [f"one {SOMEBODY}"] * 2
    assert place.plane.pings(INTERNET, place.into)


def test_other_rules_leave_a_flow_alone_and_its_own_ends_it(place: Place) -> None:
    one, two = place.plane.address("one"), place.plane.address("two")
    rule = place.dnat(one, "UDP", public_port=80, private_port=8080)
    place.snat("10.0.1.0/24")
    with (
        flow(place.plane, INTERNET, "udp", place.into, 80) as come_in,
        flow(place.plane, "one", "udp", SOMEBODY, 53) as go_out,
    ):
        assert (come_in(), go_out()) == (f"one {SOMEBODY}", f"somebody {place.out}")
        place.dnat(two, "UDP", public_port=81, private_port=8080)
        place.snat("10.0.2.0/24")
        assert (come_in(), go_out()) == (f"one {SOMEBODY}", f"somebody {place.out}")
        rules = place.plane.run(place.nat, "nft", "list", "table", "ip", "translation").splitlines()
        old = [line for line in rules if "udp dport 80" in line or "ip saddr 10.0.1.0/24 ct mark" in line]
        assert ["counter packets 0 " in line for line in old] == [True, True], "the new table has seen no new flow"
        place.nats.update_dnat_rule(place.nat, rule, private_ip_address=two)
        place.plane.settle()
        assert (come_in(), go_out()) == (f"two {SOMEBODY}", f"somebody {place.out}"), "pointed elsewhere"
        place.nats.delete_dnat_rule(place.nat, rule)
        place.plane.settle()
        assert (come_in(), go_out()) == (NOTHING, f"somebody {place.out}"), "gone"


def test_a_gateway_that_is_down_lets_nothing_through(place: Place) -> None:
    place.snat("10.0.0.0/16")
    place.dnat(place.plane.address("one"), public_port=80, private_port=8080)
    place.plane.admin("PUT", settings={"down": [place.nat]})
    place.plane.settle()
    assert (place.get_out("one"), place.get_in("tcp", 80)) == (NOTHING, NOTHING)
    place.plane.admin("DELETE")
    place.plane.settle()
    assert (place.get_out("one"), place.get_in("tcp", 80)) == (f"somebody {place.out}", f"one {SOMEBODY}")


def test_an_instance_with_an_address_of_its_own(place: Place) -> None:
    place.snat("10.0.0.0/16")
    assert place.get_in("tcp", 8080, place.free) == NOTHING
    place.eips.bind_eip(place.free, "BCC", place.one)
    place.plane.settle()
    assert place.get_in("tcp", 8080, place.free) == f"one {SOMEBODY}"
    assert place.get_out("one") == f"somebody {place.free}", "it goes before the NAT gateway"
    assert place.get_out("two") == f"somebody {place.out}"
    assert place.plane.pings("one", place.plane.address("two"))
    another = place.eips.create_eip(1).eip
    place.eips.bind_eip(another, "BCC", place.two)
    place.plane.settle()
    with (
        flow(place.plane, INTERNET, "udp", place.free, 8080) as come_in,
        flow(place.plane, INTERNET, "udp", another, 8080) as come_in_there,
    ):
        assert (come_in(), come_in_there()) == (f"one {SOMEBODY}", f"two {SOMEBODY}")
        place.eips.unbind_eip(place.free)
        place.plane.settle()
        assert (come_in(), come_in_there()) == (NOTHING, f"two {SOMEBODY}")
        place.eips.bind_eip(place.free, "BCC", place.three)
        place.plane.settle()
        assert come_in() == f"three {SOMEBODY}", "who has it now"
    assert place.get_out("one") == f"somebody {place.out}"


def test_a_shared_address_with_an_elastic_one(place: Place) -> None:
    havips = place.plane.client(HavipClient)
    havip = havips.create_havip("shared", place.subnet, "10.0.1.200").ha_vip_id
    havips.havip_attach_instance([place.one], "SERVER", havip)
    havips.havip_bind_public_ip(havip, place.free)
    place.plane.run("one", "ip", "address", "add", "10.0.1.200/24", "dev", "eth0")
    place.plane.settle()
    assert place.get_in("tcp", 8080, place.free) == f"one {SOMEBODY}"


def test_the_master_of_a_shared_address_is_who_announced_it_last_and_runs(place: Place) -> None:
    havips, instances = place.plane.client(HavipClient), place.plane.client(BccClient)
    havip = havips.create_havip("shared", place.subnet, "10.0.1.200").ha_vip_id
    havips.havip_attach_instance([place.one, place.three], "SERVER", havip)
    place.plane.settle()

    def masters() -> list[str]:
        bound = havips.get_havip_detail(havip).binded_instances
        return [one.instance_id for one in bound if one.master]

    def is_master(instance: str) -> bool:
        return masters() == [instance]

    assert masters() == []
    for name, instance in (("one", place.one), ("three", place.three), ("one", place.one)):
        with place.plane.probe(name, "announce", "eth0", "10.0.1.200") as ended:
            ended()
        until(f"{name} is the master", BUILT_WITHIN_S, partial(is_master, instance))
    instances.stop_instance(place.one)
    until("nobody is the master", BUILT_WITHIN_S, lambda: masters() == [])


def test_elastic_addresses_reach_each_other(place: Place) -> None:
    place.eips.bind_eip(place.free, "BCC", place.two)
    place.snat("10.0.1.0/24")
    place.plane.settle()
    assert ask(place.plane, "one", "tcp", place.free, 8080) == [f"two {place.out}"]
