"""From what the store holds to what has to be there, and from one description to the next. Without root."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

from lanecast_lab.cloud.api.states import passing, settled
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane import commands, expected
from lanecast_lab.cloud.data_plane.description import describe
from lanecast_lab.cloud.data_plane.model import Description, Hop, Interface, Route, port_name
from lanecast_lab.cloud.data_plane.snapshot import Snapshot, Surroundings
from lanecast_lab.cloud.data_plane.vpcs import FROM_ANYWHERE
from lanecast_lab.loading import load_fabric

NOW = 1000.0


def _resource(kind: str, key: str, parent: str | None = None, **body: Any) -> Resource:
    return Resource(key, kind, "account", "bj", parent, body)


def _vpc(key: str, cidr: str, relay: bool = False) -> list[Resource]:
    """A VPC with one subnet."""
    subnet_cidr = cidr.replace("0.0/16", "1.0/24")
    return [
        _resource("vpc", key, name=key, cidr=cidr, relay=relay, secondaryCidr=[]),
        _resource("route-table", f"rt-{key}", key),
        _resource("subnet", f"sbn-{key}", key, name="subnet", cidr=subnet_cidr, zoneName="cn-bj-a"),
    ]


def _instance(key: str, vpc: str, address: str, *groups: str, **more: Any) -> Resource:
    body = {
        "name": key,
        "internalIp": address,
        "zoneName": "cn-bj-a",
        "status": settled("Running"),
        "_groups": list(groups),
        "_userData": "",
    }
    return _resource("instance", key, f"sbn-{vpc}", **{**body, **more})


def _peering(key: str, first: str, second: str, **more: Any) -> list[Resource]:
    sides = (("initiator", first, second), ("acceptor", second, first))
    return [
        _resource(
            "peering",
            f"{key}:{role}",
            own,
            **{
                "peerConnId": key,
                "role": role,
                "status": settled("active"),
                "localVpcId": own,
                "peerVpcId": other,
                "localIfName": "",
                "description": "",
                **more,
            },
        )
        for role, own, other in sides
    ]


def _rule(key: str, vpc: str, destination: str, kind: str, hop: str, **more: Any) -> Resource:
    body = {
        "sourceAddress": "0.0.0.0/0",
        "destinationAddress": destination,
        "nexthopType": kind,
        "nexthopId": hop,
        "ipVersion": "4",
        "_group": key,
    }
    return _resource("route-rule", key, f"rt-{vpc}", **{**body, **more})


def _describe(*resources: Resource | list[Resource], now: float = NOW, **more: Any) -> Description:
    flat = [one for each in resources for one in (each if isinstance(each, list) else [each])]
    return describe(Snapshot(flat, now, Surroundings(**more)))


def _routes(described: Description, node: str, table: int = FROM_ANYWHERE) -> dict[str, tuple[Hop, ...]]:
    """Where packets go: the kernel takes the route with the lowest metric."""
    routes = sorted(described.nodes[node].routes, key=lambda route: -route.metric)
    return {route.destination: route.hops for route in routes if route.table == table}


def test_the_same_store_gives_the_same_description() -> None:
    store = [*_vpc("vpc-a", "10.0.0.0/16"), _instance("i-one", "vpc-a", "10.0.1.2")]
    assert _describe(store) == _describe(store)
    assert set(_describe(store).nodes) == {"vpc-a", "sbn-vpc-a", "i-one"}


def test_a_state_that_ends_is_looked_for_and_makes_the_difference() -> None:
    store = [*_vpc("vpc-a", "10.0.0.0/16"), _instance("i-one", "vpc-a", "10.0.1.2")]
    store[-1].body["status"] = passing(NOW, 5, "Starting", "Running")
    assert Snapshot(store, NOW).next_end() == NOW + 5
    assert Snapshot(store, NOW + 5).next_end() is None
    ports = [
        next(each for each in _describe(store, now=now).nodes["sbn-vpc-a"].interfaces if each.name == "i-one")
        for now in (NOW, NOW + 5)
    ]
    assert [port.up for port in ports] == [False, True]
    assert [_describe(store, now=now).nodes["i-one"].booted for now in (NOW, NOW + 5)] == [False, True]


def test_user_data_may_be_plain_text_of_any_language() -> None:
    for text in ("#!/bin/sh\n# \u4f60\u597d\n", "#cloud-config\n"):
        for sent in (text, base64.b64encode(text.encode()).decode()):
            store = [*_vpc("vpc-a", "10.0.0.0/16"), _instance("i-one", "vpc-a", "10.0.1.2", _userData=sent)]
            assert _describe(store).nodes["i-one"].user_data == text


def test_what_is_deleted_is_not_there() -> None:
    store = [*_vpc("vpc-a", "10.0.0.0/16"), _instance("i-one", "vpc-a", "10.0.1.2")]
    store[-1].gone_at = NOW + 1
    assert "i-one" in _describe(store).nodes
    assert "i-one" not in _describe(store, now=NOW + 1).nodes


def _three(relay: bool) -> Description:
    return _describe(
        _vpc("vpc-a", "10.0.0.0/16"),
        _vpc("vpc-b", "10.1.0.0/16", relay),
        _vpc("vpc-c", "10.2.0.0/16"),
        _peering("peerconn-ab", "vpc-a", "vpc-b"),
        _peering("peerconn-bc", "vpc-b", "vpc-c"),
        _rule("rr-1", "vpc-b", "10.0.0.0/16", "peerConn", "peerconn-ab"),
        _rule("rr-2", "vpc-b", "10.2.0.0/16", "peerConn", "peerconn-bc"),
    )


def test_what_comes_by_a_peering_leaves_by_one_only_from_a_relay() -> None:
    closed, relay = _three(False).nodes["vpc-b"], _three(True).nodes["vpc-b"]
    selectors = {rule.selector: rule.table for rule in closed.rules}
    assert {selector for selector in selectors if selector} == {"iif p-ab", "iif p-bc"}
    assert _routes(_three(False), "vpc-b", selectors["iif p-ab"]) == {"0.0.0.0/0": ()}
    assert not [rule for rule in relay.rules if rule.selector]
    ways = {hop.interface for route in relay.routes for hop in route.hops}
    assert ways == {"p-ab", "p-bc"}


def test_a_route_whose_peering_is_down_or_not_there_yet_is_a_black_hole() -> None:
    def hops(status: Any, outages: frozenset[str] = frozenset()) -> tuple[Hop, ...]:
        described = _describe(
            _vpc("vpc-a", "10.0.0.0/16"),
            _vpc("vpc-b", "10.1.0.0/16"),
            _peering("peerconn-ab", "vpc-a", "vpc-b", status=status),
            _rule("rr-1", "vpc-a", "10.1.0.0/16", "peerConn", "peerconn-ab"),
            outages=outages,
        )
        return _routes(described, "vpc-a")["10.1.0.0/16"]

    assert [hop.interface for hop in hops(settled("active"))] == ["p-ab"]
    assert hops(settled("creating")) == ()
    assert hops(settled("consulting")) == ()
    assert hops(settled("active"), frozenset({"peerconn-ab"})) == ()


def test_the_longest_destination_decides_then_the_longest_source() -> None:
    described = _describe(
        _vpc("vpc-a", "10.0.0.0/16"),
        *(_instance(f"i-{number}", "vpc-a", f"10.0.1.{number}") for number in range(2, 5)),
        _rule("rr-1", "vpc-a", "172.16.0.0/12", "custom", "i-2"),
        _rule("rr-2", "vpc-a", "172.16.0.0/12", "custom", "i-3", sourceAddress="10.0.1.0/24"),
        _rule("rr-3", "vpc-a", "172.16.5.0/24", "custom", "i-4"),
    )
    tables = {rule.selector: rule.table for rule in described.nodes["vpc-a"].rules}
    own = _routes(described, "vpc-a", tables["from 10.0.1.0/24"])
    assert {destination: hops[0].via for destination, hops in own.items()} == {
        "172.16.0.0/12": "10.0.1.3",
        "172.16.5.0/24": "10.0.1.4",
    }


def test_active_and_standby_and_equal_next_hops() -> None:
    def ways(*paths: str, running: tuple[str, ...] = ("Running", "Running")) -> list[str]:
        described = _describe(
            _vpc("vpc-a", "10.0.0.0/16"),
            *(
                _instance(f"i-{number}", "vpc-a", f"10.0.1.{number + 2}", status=settled(state))
                for number, state in enumerate(running)
            ),
            *(
                _rule(f"rr-{number}", "vpc-a", "172.16.0.0/12", "custom", f"i-{number}", pathType=path)
                for number, path in enumerate(paths)
            ),
        )
        return [hop.via for hop in _routes(described, "vpc-a")["172.16.0.0/12"]]

    assert ways("ecmp", "ecmp") == ["10.0.1.2", "10.0.1.3"]
    assert ways("ha:active", "ha:standby") == ["10.0.1.2"]
    assert ways("ha:standby", "ha:active") == ["10.0.1.3"]
    assert ways("ha:active", "ha:standby", running=("Stopped", "Running")) == ["10.0.1.3"]


def _group_rule(key: str, group: str, **more: str) -> Resource:
    names = ("protocol", "portRange", "sourceIp", "sourceGroupId", "destIp", "destGroupId")
    body = {"direction": "ingress", "ethertype": "IPv4", **dict.fromkeys(names, ""), **more}
    return _resource("security-group-rule", key, group, **body)


def test_security_group_rules_in_the_words_of_nftables() -> None:
    rules = [
        _group_rule("r-1", "g-1", protocol="udp", portRange="80-90", sourceIp="10.9.0.0/16"),
        _group_rule("r-2", "g-1", portRange="53"),
        _group_rule("r-3", "g-1", sourceGroupId="g-2"),
        _group_rule("r-4", "g-1", sourceGroupId="g-3"),
        _group_rule("r-5", "g-1", ethertype="IPv6"),
        _group_rule("r-6", "g-1", direction="egress", protocol="icmp", destIp="10.9.0.1"),
    ]
    described = _describe(
        _vpc("vpc-a", "10.0.0.0/16"),
        _instance("i-one", "vpc-a", "10.0.1.2", "g-1"),
        _instance("i-two", "vpc-a", "10.0.1.3", "g-2"),
        rules,
    )
    text = described.nodes["sbn-vpc-a"].tables["ip groups"]
    chains = {chain.partition(" {\n")[0]: chain.partition(" {\n")[2] for chain in text.split("chain ")[1:]}
    assert chains["in-g-1"].splitlines()[:-1] == [
        "ip saddr 10.9.0.0/16 meta l4proto udp th dport 80-90 goto received",
        "meta l4proto { tcp, udp } th dport 53 goto received",
        "ip saddr { 10.0.1.3/32 } goto received",
    ]
    assert chains["out-g-1"].splitlines()[:-1] == ["ip daddr 10.9.0.1 meta l4proto icmp goto sent"]


def test_user_data_is_what_was_encoded() -> None:
    for sent, kept in ((base64.b64encode(b"#!/bin/sh\n").decode(), "#!/bin/sh\n"), ("#!/bin/sh\n", "#!/bin/sh\n")):
        described = _describe(_vpc("vpc-a", "10.0.0.0/16"), _instance("i-one", "vpc-a", "10.0.1.2", _userData=sent))
        assert described.nodes["i-one"].user_data == kept


def test_a_delayed_peering_is_carried_by_a_node_of_its_own() -> None:
    described = _describe(
        _vpc("vpc-a", "10.0.0.0/16"),
        _vpc("vpc-b", "10.1.0.0/16"),
        _peering("peerconn-ab", "vpc-a", "vpc-b", description="slow"),
        peering_delays_ns={"slow": 5_000_000},
    )
    (program,) = described.nodes["peerconn-ab"].programs
    assert program.command[-1].endswith(",5000000")
    assert len([link for link in described.links.values() if "peerconn-ab" in (link.first.node, link.second.node)]) == 2


def test_interface_names_fit_and_stay() -> None:
    assert port_name("i", "i-abcdefghijkl") == "i-abcdefghijkl"
    assert port_name("s", "sbn-abcdefghijkl") == "s-abcdefghijkl"
    long = port_name("l", "dcphy-a-name-that-somebody-has-chosen")
    assert len(long) <= 15
    assert long != port_name("l", "dcphy-another-name-that-somebody-has-chosen")


def test_what_the_compiler_expects_has_the_same_parts() -> None:
    fabric, _ = load_fabric(str(Path(__file__).parents[2] / "examples/three-regions.yaml"))
    described = expected.describe(fabric.cloud)
    kinds = {key: node.kind for key, node in described.nodes.items()}
    assert {key for key, kind in kinds.items() if kind == "vpc"} == {"bj.core", "gz.core", "hk.hub"}
    assert {key for key, kind in kinds.items() if kind == "gateway"} == {one.name for one in fabric.cloud.gateways}
    assert kinds["hub-gz"] == "peering", "it has a delay"
    assert {rule.selector for rule in described.nodes["gz.core"].rules if rule.selector} == {
        f"iif {port_name('p', name)}" for name in ("hub-gz", "gz-bj")
    }
    (shared, *_) = fabric.cloud.shared_addresses
    guard = described.nodes[shared.subnet].tables["bridge ports"]
    assert guard.count(str(shared.address)) == 2 * len(shared.instances), "by IP and by ARP, from each that may hold it"
    ways = {route.destination: route.hops for route in described.nodes["hk.hub"].routes if route.hops}
    for route in next(vpc.routes for vpc in fabric.cloud.vpcs if vpc.name == "hk.hub"):
        assert str(route.prefix) in ways


def _lines(before: list[Interface], after: list[Interface]) -> list[str]:
    return list(commands.interface_lines({each.name: each for each in before}, {each.name: each for each in after}))


def test_only_what_differs_is_done() -> None:
    port = Interface("p", ("10.0.0.1/24",), "fa:16:00:00:00:01", neighbors=(("169.254.0.1", "fa:16:00:00:00:02"),))
    assert _lines([port], [port]) == []
    assert _lines([port], [replace(port, addresses=("10.0.0.1/24", "10.0.0.2/32"))]) == [
        "address replace 10.0.0.2/32 dev p"
    ]
    assert _lines([port], [replace(port, up=False)]) == ["link set dev p down"]
    assert _lines([replace(port, up=False)], [port]) == [
        "link set dev p up",
        "neigh replace 169.254.0.1 lladdr fa:16:00:00:00:02 dev p nud permanent",
    ], "it has forgotten its neighbours"


def test_routes_are_added_before_others_go_and_none_is_touched_without_need() -> None:
    one, two = Route("10.1.0.0/16", (Hop("a", "169.254.0.1"),)), Route("10.2.0.0/16", (Hop("b", "169.254.0.1"),))
    assert list(commands.route_lines([one], [one, two], set())) == [
        "route replace 10.2.0.0/16 via 169.254.0.1 dev b onlink"
    ]
    assert list(commands.route_lines([one], [two], set())) == [
        "route replace 10.2.0.0/16 via 169.254.0.1 dev b onlink",
        "route delete 10.1.0.0/16",
    ]
    assert list(commands.route_lines([one], [Route("10.1.0.0/16")], set())) == ["route replace blackhole 10.1.0.0/16"]
    assert list(commands.route_lines([one, two], [one], {"a"})) == [
        "route replace 10.1.0.0/16 via 169.254.0.1 dev a onlink",
        "route delete 10.2.0.0/16",
    ], "the kernel has forgotten what went by a"
    assert list(commands.route_lines([one], [], {"a"})) == [
        "route replace blackhole 10.1.0.0/16",
        "route delete 10.1.0.0/16",
    ], "whether it is there nobody knows"


def test_filters_change_in_one_transaction() -> None:
    text = commands.table_text({"ip a": "x", "ip b": "y", "ip c": "z"}, {"ip a": "x", "ip b": "new"})
    assert text == "table ip b\ndelete table ip b\ntable ip b {\nnew\n}\ndelete table ip c\n"
    assert commands.table_text({"ip a": "x"}, {"ip a": "x"}) == ""


def test_where_bridges_have_no_hooks_none_has_to_be_switched_off() -> None:
    off, on = ("net.bridge.bridge-nf-call-iptables", "0"), ("net.bridge.bridge-nf-call-iptables", "1")
    other = ("net.ipv4.ip_forward", "0")
    assert commands.settable((off, other), bridge_hooks=True) == [off, other]
    assert commands.settable((off, other), bridge_hooks=False) == [other]
    assert commands.settable((on,), bridge_hooks=False) == [on], (
        "who needs the hooks has to be told that they are missing"
    )
