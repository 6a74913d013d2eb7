"""What is not let through: false addresses, multicast, what security groups and access lists refuse."""

from __future__ import annotations

import subprocess

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.havip.havip_client import HavipClient
from baidubce.services.vpc.acl_client import AclClient
from data_plane_under_test import ANYTHING_OUT, DataPlane, rule

pytestmark = pytest.mark.lab

LISTENS_S = "1"


def _answer(
    plane: DataPlane, node: str, address: str, port: str = "7000", own_port: str = "0", tries: str = "40"
) -> str:
    """What a datagram to ``echo`` is answered; empty when it is not."""
    with plane.probe(node, "ask", address, port, own_port, tries) as asking:
        return asking().strip()


def _refuses(plane: DataPlane, node: str, address: str, port: str = "7000", own_port: str = "0") -> bool:
    """Whether none of some datagrams is answered."""
    return not _answer(plane, node, address, port, own_port, tries="6")


def _heard(plane: DataPlane, listener: tuple[str, ...], *sending: tuple[str, ...]) -> set[str]:
    """Whom a listening node hears while others send."""
    with plane.probe(listener[0], "listen", *listener[1:]) as listening:
        for node, *arguments in sending:
            with plane.probe(node, *arguments) as sender:
                sender()
        return set(listening().split())


def _two_subnets(plane: DataPlane) -> dict[str, str]:
    """``one`` and ``two`` in a subnet, ``three`` in another one."""
    made = {"vpc": plane.a_vpc("10.0.0.0/16")}
    made["first"], made["second"] = (plane.a_subnet(made["vpc"], f"10.0.{index}.0/24") for index in (1, 2))
    for name, subnet in (("one", "first"), ("two", "first"), ("three", "second")):
        made[name] = plane.an_instance(made[subnet], name)
    return made


def test_false_addresses_do_not_leave_their_instance(plane: DataPlane) -> None:
    _two_subnets(plane)
    plane.settle()
    two, three = plane.address("two"), plane.address("three")
    own = plane.address("one")
    for listener, target in (("two", two), ("three", three)):
        heard = _heard(
            plane,
            (listener, "7000", LISTENS_S),
            ("one", "spoof", own, target, "7000"),
            ("one", "spoof", "10.0.1.99", target, "7000"),
            ("one", "spoof", "8.8.8.8", target, "7000"),
        )
        assert heard == {own}, listener
    plane.run("one", "ip", "address", "add", "10.0.1.99/24", "dev", "eth0")
    assert not plane.pings("one", two, "-I", "10.0.1.99")
    assert not plane.pings("two", "10.0.1.99"), "nor does it answer for addresses of others"
    plane.run("one", "ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
    assert not plane.pings("one", two), "nor with another hardware address"


def test_the_next_hop_of_a_default_route_sends_from_outside_and_from_nobody_elses_address(plane: DataPlane) -> None:
    made = _two_subnets(plane)
    plane.a_route(made["vpc"], "0.0.0.0/0", "custom", made["one"])
    plane.settle()
    three = plane.address("three")
    heard = _heard(
        plane,
        ("three", "7000", LISTENS_S),
        *(("one", "spoof", source, three, "7000") for source in ("8.8.8.8", plane.address("two"), "10.0.9.9")),
        ("two", "spoof", "8.8.4.4", three, "7000"),
    )
    assert heard == {"8.8.8.8"}


def test_multicast_and_broadcast_are_not_forwarded(plane: DataPlane) -> None:
    _two_subnets(plane)
    plane.settle()
    heard = _heard(
        plane,
        ("two", "7000", LISTENS_S, "239.1.2.3"),
        ("one", "send", "239.1.2.3", "7000"),
        ("one", "send", "10.0.1.255", "7000"),
        ("one", "send", "255.255.255.255", "7000"),
    )
    assert not heard
    assert not _heard(plane, ("three", "7000", LISTENS_S, "239.1.2.3"), ("one", "send", "239.1.2.3", "7000"))
    assert _heard(plane, ("two", "7000", LISTENS_S), ("one", "send", plane.address("two"), "7000"))


def _announce(plane: DataPlane, node: str, address: str) -> None:
    plane.run(node, "ip", "address", "add", f"{address}/32", "dev", "eth0")
    with plane.probe(node, "announce", "eth0", address) as saying:
        saying()


def test_a_shared_address_moves_by_arp_among_the_instances_bound_to_it(plane: DataPlane) -> None:
    made = _two_subnets(plane)
    made["stranger"] = plane.an_instance(made["first"], "stranger")
    havips = plane.client(HavipClient)
    havip = havips.create_havip("shared", made["first"], "10.0.1.50", "").ha_vip_id
    plane.a_route(made["vpc"], "192.168.7.0/24", "havip", havip)
    havips.havip_attach_instance([made["one"], made["two"]], "SERVER", havip)
    plane.settle()
    for node in ("one", "two", "one"):
        _announce(plane, node, "10.0.1.50")
        for asking in ("three", "stranger"):
            with plane.probe(node, "listen", "7000", LISTENS_S) as holder:
                with plane.probe(asking, "send", "10.0.1.50", "7000") as sender:
                    sender()
                assert set(holder().split()) == {plane.address(asking)}, (node, asking)
            assert plane.pings(asking, "10.0.1.50")
        plane.run(node, "ip", "address", "add", "192.168.7.1/32", "dev", "lo")
        assert plane.pings("three", "192.168.7.1"), "a route rule can name it"
        for address, interface in (("192.168.7.1", "lo"), ("10.0.1.50", "eth0")):
            plane.run(node, "ip", "address", "delete", f"{address}/32", "dev", interface)
    _announce(plane, "one", "10.0.1.50")
    assert plane.pings("three", "10.0.1.50")
    _announce(plane, "stranger", "10.0.1.50")
    assert plane.pings("three", "10.0.1.50"), "who is not bound cannot take it"
    with plane.probe("stranger", "listen", "7000", LISTENS_S) as listening:
        with plane.probe("three", "send", "10.0.1.50", "7000") as sender:
            sender()
        assert not listening()
    havips.havip_detach_instance([made["one"]], "SERVER", havip)
    plane.settle()
    assert not plane.pings("three", "10.0.1.50")


def test_vrrp_passes_between_instances_whose_groups_allow_it(plane: DataPlane) -> None:
    made = _two_subnets(plane)
    for protocol in ("udp", ""):
        group = plane.a_group(made["vpc"], rule("ingress", protocol, source="10.0.1.0/24"))
        name = f"listens-{protocol or 'all'}"
        plane.an_instance(made["first"], name, security_group_id=group)
        plane.settle()
        with plane.probe(name, "raw-listen", "112", LISTENS_S) as listening:
            with plane.probe("one", "raw-send", "112", plane.address(name)) as sender:
                sender()
            heard = set(listening().split())
        assert heard == (set() if protocol else {plane.address("one")})


@pytest.mark.parametrize("place", ["first", "second"])
def test_security_groups_refuse_what_no_rule_allows_and_let_answers_through(plane: DataPlane, place: str) -> None:
    """In the same subnet (bridged) and in another one (routed)."""
    made = _two_subnets(plane)
    bcc = plane.client(BccClient)
    closed = plane.a_group(made["vpc"], rule("ingress", "udp", "7000", "10.0.1.0/24"))
    plane.an_instance(made[place], "server", security_group_id=closed)
    plane.settle()
    address = plane.address("server")
    assert not plane.pings("one", address), "no rule allows it"
    with plane.probe("server", "echo", "7000"), plane.probe("server", "echo", "7001"):
        assert _answer(plane, "one", address) == f"hello from {plane.address('one')}", "the answer needs no rule"
        assert _refuses(plane, "one", address, "7001")
        assert _refuses(plane, "three", address), "the rule is of the other subnet"
        with plane.probe("one", "echo", "7000"):
            assert _refuses(plane, "server", plane.address("one")), "it may begin nothing"
            bcc.authorize_security_group_rule(closed, ANYTHING_OUT)
            plane.settle()
            assert _answer(plane, "server", plane.address("one"))
        bcc.authorize_security_group_rule(closed, rule("ingress", "icmp"))
        plane.settle()
        assert plane.pings("one", address)
        bcc.revoke_security_group_rule(closed, rule("ingress", "udp", "7000", "10.0.1.0/24"))
        plane.settle()
        assert _refuses(plane, "one", address), "a rule that is taken away"


def test_a_flow_whose_rule_is_taken_away_ends(plane: DataPlane) -> None:
    made = _two_subnets(plane)
    group = plane.a_group(made["vpc"], rule("ingress", "udp", "7000"))
    plane.an_instance(made["first"], "server", security_group_id=group)
    plane.settle()
    with plane.probe("server", "echo", "7000"):
        assert _answer(plane, "one", plane.address("server"), own_port="6000")
        plane.client(BccClient).revoke_security_group_rule(group, rule("ingress", "udp", "7000"))
        plane.settle()
        assert _refuses(plane, "one", plane.address("server"), own_port="6000")


def test_a_rule_can_name_a_group_and_an_instance_can_change_groups(plane: DataPlane) -> None:
    made = _two_subnets(plane)
    bcc = plane.client(BccClient)
    friends = plane.a_group(made["vpc"], ANYTHING_OUT)
    guarded = plane.a_group(made["vpc"], rule("ingress", group=friends))
    server = plane.an_instance(made["first"], "server", security_group_id=guarded)
    plane.settle()
    assert not plane.pings("three", plane.address("server"))
    bcc.bind_instance_to_security_group(made["three"], friends)
    plane.settle()
    assert plane.pings("three", plane.address("server"))
    assert not plane.pings("one", plane.address("server"))
    open_group = plane.a_group(made["vpc"], rule("ingress"))
    bcc.bind_instance_to_security_group(server, open_group)
    plane.settle()
    assert plane.pings("one", plane.address("server"))
    bcc.unbind_instance_from_security_group(server, open_group)
    plane.settle()
    assert not plane.pings("one", plane.address("server"))


def _acl(subnet: str, position: int, direction: str, action: str, **more: str) -> dict[str, object]:
    everything = {"protocol": "all", "sourceIpAddress": "all", "destinationIpAddress": "all"}
    ports = {"sourcePort": "all", "destinationPort": "all"}
    place = {"subnetId": subnet, "position": position, "direction": direction, "action": action}
    return {**place, **everything, **ports, **more}


def test_access_lists_keep_no_state_and_leave_the_subnet_itself_alone(plane: DataPlane) -> None:
    made = _two_subnets(plane)
    acls = plane.client(AclClient)
    plane.settle()
    three = plane.address("three")
    with plane.probe("three", "echo", "7000"), plane.probe("two", "echo", "7000"):
        assert _answer(plane, "one", three), "without rules, everything is allowed"
        acls.create_acl(
            [
                _acl(made["first"], 10, "ingress", "allow", protocol="udp", sourcePort="7000"),
                _acl(made["first"], 20, "ingress", "deny"),
            ]
        )
        plane.settle()
        assert _answer(plane, "one", three)
        assert not plane.pings("one", three), "the answer is refused, though the question went out"
        assert plane.pings("one", plane.address("two"))
        rules = {entry.position: entry.id for entry in acls.list_subnet_acl(made["first"]).acl_rules}
        acls.delete_acl(rules[10])
        plane.settle()
        assert _refuses(plane, "one", three), "the answer would need a rule"
        acls.delete_acl(rules[20])
        acls.create_acl([_acl(made["second"], 1, "egress", "deny", protocol="icmp")])
        plane.settle()
        assert _answer(plane, "one", three)
        assert not plane.pings("one", three)


def test_an_instance_cannot_switch_its_own_guard_off(plane: DataPlane) -> None:
    made = _two_subnets(plane)
    closed = plane.a_group(made["vpc"], ANYTHING_OUT)
    plane.an_instance(made["first"], "server", security_group_id=closed)
    plane.settle()
    plane.run("server", "nft", "flush", "ruleset")
    assert not plane.pings("one", plane.address("server"))
    refused = subprocess.run([*plane.inside("server"), "nft", "list", "ruleset"], capture_output=True, text=True)
    assert refused.stdout == ""
