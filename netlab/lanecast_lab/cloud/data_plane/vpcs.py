"""VPCs: a router each, whose routes are the rules of its route table, with the access lists of its subnets."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane import filters
from lanecast_lab.cloud.data_plane.draft import Draft, VpcDraft, subnet_port
from lanecast_lab.cloud.data_plane.model import MAIN_TABLE, WITHOUT_IPV6, Hop, Node, PolicyRule, Route
from lanecast_lab.cloud.data_plane.snapshot import Snapshot

SYSCTLS = (
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
    # a shared address is where it was announced last, also when nothing was sent to it yet
    ("net.ipv4.conf.all.arp_accept", "1"),
    # a gateway that has lost its site has its cable pulled: routes over it count no longer
    ("net.ipv4.conf.all.ignore_routes_with_linkdown", "1"),
    ("net.ipv4.conf.default.ignore_routes_with_linkdown", "1"),
    # each flow keeps to one of several equal ways
    ("net.ipv4.fib_multipath_hash_policy", "1"),
    *WITHOUT_IPV6,
)
EVERYWHERE = IPv4Network("0.0.0.0/0")
CONNECTED_PRIORITY, PEERING_PRIORITY, SOURCE_PRIORITY, LAST_PRIORITY = 100, 200, 1000, 2000
FROM_PEERINGS = 100
FROM_ANYWHERE = 101
FIRST_SOURCE_TABLE = 1000
ACTIVE, STANDBY, NOWHERE = 10, 20, 30
"""Metrics: what is active, what stands by for it, and the black hole behind both."""


def describe(draft: Draft) -> None:
    """A router for each VPC."""
    for vpc in draft.vpcs.values():
        draft.add(_router(draft.snapshot, vpc))


def _router(snapshot: Snapshot, vpc: VpcDraft) -> Node:
    routes, rules = _routing(snapshot, vpc)
    return Node(
        key=vpc.resource.key,
        kind="vpc",
        name=vpc.resource.body["name"],
        region=vpc.resource.region,
        interfaces=tuple(vpc.interfaces),
        sysctls=SYSCTLS,
        routes=(*vpc.routes, *routes),
        rules=(*vpc.rules, *rules),
        tables={"inet access": _access_table(snapshot, vpc), **vpc.tables},
    )


def _routing(snapshot: Snapshot, vpc: VpcDraft) -> tuple[list[Route], list[PolicyRule]]:
    """A table for each source that rules name.

    [assumed] The longest destination decides, then the longest source: so a source's table has what is said of wider
    ones as well.
    """
    wanted = [
        rule for table in snapshot.parts(vpc.resource.key, "route-table") for rule in _live_rules(snapshot, table)
    ]
    routes = _routes(vpc, wanted, EVERYWHERE, FROM_ANYWHERE)
    rules = [
        PolicyRule(CONNECTED_PRIORITY, "", MAIN_TABLE),
        PolicyRule(LAST_PRIORITY, "", FROM_ANYWHERE),
    ]
    if vpc.peering_ports and not vpc.resource.body["relay"]:
        routes += _from_peerings(vpc, wanted)
        rules += [
            PolicyRule(PEERING_PRIORITY + index, f"iif {port}", FROM_PEERINGS)
            for index, port in enumerate(sorted(vpc.peering_ports))
        ]
    sources = {IPv4Network(rule.body["sourceAddress"]) for rule in wanted} - {EVERYWHERE}
    sources |= {IPv4Network(address) for address in vpc.own_ways_out}
    for index, source in enumerate(sorted(sources, key=lambda network: (-network.prefixlen, network))):
        table = FIRST_SOURCE_TABLE + index
        rules.append(PolicyRule(SOURCE_PRIORITY + index, f"from {source}", table))
        routes += _routes(vpc, wanted, source, table)
    return routes, rules


def _routes(vpc: VpcDraft, wanted: list[Resource], source: IPv4Network, table: int) -> list[Route]:
    """The routes for packets from ``source``. [docs] An elastic address goes before the rules for everywhere."""
    chosen = _chosen(wanted, source)
    own = vpc.own_ways_out.get(str(source.network_address)) if source.prefixlen == source.max_prefixlen else None
    routes = [Route(str(EVERYWHERE), (own,), table, ACTIVE)] if own is not None else []
    if own is not None:
        chosen.pop(str(EVERYWHERE), None)
    for destination, rules in chosen.items():
        ways = {
            ACTIVE: [rule for rule in rules if rule.body.get("pathType") != "ha:standby"],
            STANDBY: [rule for rule in rules if rule.body.get("pathType") == "ha:standby"],
        }
        for metric, alike in ways.items():
            if hops := _hops(vpc, alike):
                routes.append(Route(destination, hops, table, metric))
        routes.append(Route(destination, (), table, NOWHERE))
    return routes


def _from_peerings(vpc: VpcDraft, wanted: list[Resource]) -> list[Route]:
    """What comes by a peering leaves by none. [docs]"""
    others = [rule for rule in wanted if rule.body["nexthopType"] != "peerConn"]
    routes = _routes(vpc, others, EVERYWHERE, FROM_PEERINGS)
    if not any(route.destination == str(EVERYWHERE) for route in routes):
        routes.append(Route(str(EVERYWHERE), (), FROM_PEERINGS, NOWHERE))
    return routes


def _live_rules(snapshot: Snapshot, table: Resource) -> Iterable[Resource]:
    return (rule for rule in snapshot.parts(table.key, "route-rule") if rule.body.get("ipVersion") in ("4", 4, None))


def _chosen(wanted: list[Resource], source: IPv4Network) -> dict[str, list[Resource]]:
    """For each destination the rules with the longest source around ``source``."""
    best: dict[str, tuple[int, list[Resource]]] = {}
    for rule in wanted:
        origin = IPv4Network(rule.body["sourceAddress"])
        if not source.subnet_of(origin):
            continue
        destination = rule.body["destinationAddress"]
        length, rules = best.get(destination, (-1, []))
        if origin.prefixlen > length:
            best[destination] = (origin.prefixlen, [rule])
        elif origin.prefixlen == length:
            rules.append(rule)
    return {destination: rules for destination, (_, rules) in best.items()}


def _hops(vpc: VpcDraft, rules: list[Resource]) -> tuple[Hop, ...]:
    """Where rules lead, of those whose next hop is there."""
    targets = (rule.body.get("_hop") or rule.body["nexthopId"] or rule.body["nexthopType"] for rule in rules)
    return tuple(vpc.next_hops[target] for target in targets if target in vpc.next_hops)


def _access_table(snapshot: Snapshot, vpc: VpcDraft) -> str:
    """The subnets' access lists, without state. [docs] What no rule names is allowed, and so is the subnet itself."""
    subnets = {subnet.resource.key: subnet_port(subnet.resource.key) for subnet in vpc.subnets}
    rules = {key: snapshot.parts(key, "acl-rule") for key in subnets}
    with_rules = {
        direction: [key for key in subnets if any(rule.body["direction"] == direction for rule in rules[key])]
        for direction in ("egress", "ingress")
    }
    text = [
        "chain forward {",
        "type filter hook forward priority 0;",
        "ip daddr 224.0.0.0/4 drop",
        *filters.dispatch("iifname", {f'"{subnets[key]}"': f"jump out-{key}" for key in with_rules["egress"]}),
        *filters.dispatch("oifname", {f'"{subnets[key]}"': f"jump in-{key}" for key in with_rules["ingress"]}),
        "}",
        # the router answers pings and nothing else
        "chain input {",
        "type filter hook input priority 0; policy drop;",
        "meta l4proto icmp accept",
        "}",
    ]
    for direction, word in (("egress", "out"), ("ingress", "in")):
        for key in with_rules[direction]:
            text += [f"chain {word}-{key} {{", *_entries(rules[key], direction), "}"]
    return "\n".join(text)


def _entries(rules: list[Resource], direction: str) -> Iterable[str]:
    verdicts = {"allow": "return", "deny": "drop"}
    own = (rule for rule in rules if rule.body["direction"] == direction)
    for rule in sorted(own, key=lambda rule: int(rule.body["position"])):
        body = rule.body
        words = [
            f"ip {side} {body[name]}"
            for side, name in (("saddr", "sourceIpAddress"), ("daddr", "destinationIpAddress"))
            if body[name] not in filters.EVERYWHERE
        ]
        words += filters.protocol(body["protocol"], body["sourcePort"], body["destinationPort"])
        yield " ".join([*words, verdicts[body["action"]]])
