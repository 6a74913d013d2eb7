"""Ways to the Internet: NAT gateways with their rules, and elastic addresses of instances and load balancers.

The Internet of a region is one node, ``internet-REGION``, which knows where each elastic address is and nothing else:
no packet leaves the machine. A NAT gateway is a node between it and its VPC's router; for the elastic addresses of
instances and load balancers a VPC has one more, where each address is exchanged for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from lanecast_lab.cloud.api.nat import DNAT, KIND, SNAT
from lanecast_lab.cloud.api.nat_addresses import BINDINGS
from lanecast_lab.cloud.api.nat_ports import ports_of
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.draft import NEXT_ROUTER, TO_VPC, Draft
from lanecast_lab.cloud.data_plane.model import WITHOUT_IPV6, Hop, Interface, Node, Route, hardware_address, port_name
from lanecast_lab.cloud.data_plane.snapshot import Snapshot

TO_INTERNET = "internet"
HOSTS = "hosts"
SOMEBODY = "203.0.113.1/24"
"""Somebody in the Internet, to whom the network of RFC 5737 belongs here; more addresses of it can be added there."""

EVERYWHERE = "0.0.0.0/0"
SYSCTLS = (
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
    *WITHOUT_IPV6,
)
BOUND = ("binded", "updating")
TABLE = "ip translation"
HASH_SEED = 1
"""A source keeps its address also after a restart."""


@dataclass(slots=True)
class _Internet:
    """The Internet of a region so far."""

    region: str
    interfaces: list[Interface] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"internet-{self.region}"

    def join(self, draft: Draft, node: str, addresses: Iterable[str], up: bool) -> Interface:
        """Link a node to it, behind which these elastic addresses are; returns the interface for the node."""
        outside, inside = hardware_address(node, TO_INTERNET, "far"), hardware_address(node, TO_INTERNET)
        port = Interface(port_name("w", node), mac=outside, up=up, neighbors=((NEXT_ROUTER, inside),))
        self.interfaces.append(port)
        if up:
            self.routes += [Route(f"{one}/32", (Hop(port.name, NEXT_ROUTER),)) for one in addresses]
        draft.link(f"{node}:{TO_INTERNET}", (self.key, port.name), (node, TO_INTERNET))
        return Interface(TO_INTERNET, mac=inside, up=up, neighbors=((NEXT_ROUTER, outside),))

    def node(self) -> Node:
        hosts = Interface(HOSTS, (SOMEBODY,), bridge=True)
        return Node(
            key=self.key,
            kind="internet",
            name=self.key,
            region=self.region,
            interfaces=(hosts, *self.interfaces),
            sysctls=SYSCTLS,
            routes=tuple(self.routes),
        )


def describe(draft: Draft) -> None:
    """The Internet of every region that has elastic addresses, and what stands between it and VPCs."""
    snapshot = draft.snapshot
    internets = {region: _Internet(region) for region in sorted({one.region for one in snapshot.of("eip")})}
    for nat in snapshot.of(KIND):
        if nat.body["vpcId"] in draft.vpcs and snapshot.state(nat) not in ("building", "deleting"):
            _gateway(draft, internets.setdefault(nat.region, _Internet(nat.region)), nat)
    for vpc_id, bound in _bound(snapshot).items():
        if vpc_id in draft.vpcs:
            _exchange(draft, internets[draft.vpcs[vpc_id].resource.region], vpc_id, bound)
    for internet in internets.values():
        draft.add(internet.node())


def _gateway(draft: Draft, internet: _Internet, nat: Resource) -> None:
    """A NAT gateway; a fault unplugs it on both sides."""
    snapshot, vpc_id = draft.snapshot, nat.body["vpcId"]
    up = not snapshot.is_down(nat.key)
    router, inside = draft.join_router(vpc_id, nat.key, "n", up)
    addresses = [one for name in BINDINGS for one in nat.body[name] if _is_usable(snapshot, one)]
    outside = internet.join(draft, nat.key, addresses, up)
    if up:
        draft.vpcs[vpc_id].next_hops[nat.key] = Hop(router.name, NEXT_ROUTER)
    rules = _GatewayRules(snapshot, nat)
    draft.add(
        Node(
            key=nat.key,
            kind=KIND,
            name=nat.body["name"],
            region=nat.region,
            interfaces=(inside, outside),
            sysctls=SYSCTLS,
            routes=(*_back(draft, vpc_id), Route(EVERYWHERE, (Hop(TO_INTERNET, NEXT_ROUTER),))),
            tables={TABLE: rules.table()},
            flow_marks=frozenset(rules.marks),
        )
    )


def _is_usable(snapshot: Snapshot, address: str) -> bool:
    found = snapshot.get("eip", address)
    return found is not None and snapshot.state(found) in BOUND


def _back(draft: Draft, vpc_id: str) -> list[Route]:
    """What is on the VPC's side."""
    vpc = draft.vpcs[vpc_id].resource
    return [Route(one, (Hop(TO_VPC, NEXT_ROUTER),)) for one in (vpc.body["cidr"], *vpc.body["secondaryCidr"])]


def flow_mark(*words: object) -> int:
    """What flows of a rule are marked with: another one as soon as the rule says something else."""
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:4]) | 1  # never 0, which is no mark


def _length(snat_rule: Resource) -> int:
    return IPv4Network(snat_rule.body["sourceCIDR"]).prefixlen


@dataclass(slots=True)
class _GatewayRules:
    """The rules of a NAT gateway in nftables' words."""

    snapshot: Snapshot
    nat: Resource
    marks: list[int] = field(default_factory=list)

    def table(self) -> str:
        """What may pass is what a rule translates. Flows of rules that stay go on when others change."""
        going_out = sorted(self.snapshot.parts(self.nat.key, SNAT), key=_length, reverse=True)
        return "\n".join(
            [
                "chain arriving {",
                "type nat hook prerouting priority dstnat; policy accept;",
                *self._dnat(),
                "}",
                "chain passing {",
                "type filter hook forward priority filter; policy drop;",
                "ct state established,related accept",
                f'iifname "{TO_INTERNET}" ct status dnat accept',
                *(f'oifname "{TO_INTERNET}" ip saddr {rule.body["sourceCIDR"]} accept' for rule in going_out),
                "}",
                "chain leaving {",
                "type nat hook postrouting priority srcnat; policy accept;",
                *(self._snat(rule) for rule in going_out),
                "}",
            ]
        )

    def _mark(self, *words: object) -> int:
        self.marks.append(flow_mark(*words))
        return self.marks[-1]

    def _snat(self, rule: Resource) -> str:
        """With several addresses, a source keeps to one of them."""
        source, addresses = rule.body["sourceCIDR"], sorted(rule.body["publicIpsAddress"])
        mark = self._mark("snat", source, addresses)
        chosen = addresses[0]
        if len(addresses) > 1:
            numbered = ", ".join(f"{index} : {one}" for index, one in enumerate(addresses))
            chosen = f"jhash ip saddr mod {len(addresses)} seed {HASH_SEED:#x} map {{ {numbered} }}"
        return f'oifname "{TO_INTERNET}" ip saddr {source} ct mark set {mark} counter snat to {chosen}'

    def _dnat(self) -> Iterator[str]:
        """No two rules are about the same packet: the API sees to that."""
        for rule in self.snapshot.parts(self.nat.key, DNAT):
            public, private = rule.body["publicIpAddress"], rule.body["privateIpAddress"]
            arriving = f'iifname "{TO_INTERNET}" ip daddr {public}'
            if rule.body["protocol"] == "all":
                yield f"{arriving} ct mark set {self._mark('dnat', public, private)} counter dnat to {private}"
                continue
            protocol = rule.body["protocol"].lower()
            (first, last), (there, _) = ports_of(rule.body, "public"), ports_of(rule.body, "private")
            mark = self._mark("dnat", public, protocol, first, last, private, there)
            arriving += f" {protocol} dport {first}-{last} ct mark set {mark} counter"
            if there == first:
                yield f"{arriving} dnat to {private}"
            elif first == last:
                yield f"{arriving} dnat to {private}:{there}"
            else:
                ports = range(first, last + 1)
                pairs = ", ".join(f"{port} : {private} . {there + port - first}" for port in ports)
                yield f"{arriving} dnat ip to {protocol} dport map {{ {pairs} }}"


@dataclass(frozen=True, slots=True)
class _Bound:
    """An elastic address, and the address in the VPC that it stands for."""

    public: str
    private: str


HOLDERS = (("instance", "internalIp"), ("blb", "address"), ("app-blb", "address"), ("havip", "privateIpAddress"))
"""What an elastic address can stand for itself, and the field with the address that is meant."""


def _bound(snapshot: Snapshot) -> dict[str, list[_Bound]]:
    """The elastic addresses of instances, load balancers and shared addresses, by VPC."""
    found: dict[str, list[_Bound]] = {}
    for eip in snapshot.of("eip"):
        if snapshot.state(eip) not in BOUND:
            continue
        for kind, address in HOLDERS:
            if (holder := snapshot.get(kind, eip.body["instanceId"])) is not None:
                found.setdefault(holder.body["vpcId"], []).append(_Bound(eip.key, holder.body[address]))
    return found


def _exchange(draft: Draft, internet: _Internet, vpc_id: str, bound: list[_Bound]) -> None:
    """Where elastic addresses are exchanged for those in a VPC, every packet of them."""
    key = f"internet-{vpc_id}"
    router, inside = draft.join_router(vpc_id, key, "e")
    outside = internet.join(draft, key, [one.public for one in bound], up=True)
    hop = Hop(router.name, NEXT_ROUTER)
    vpc = draft.vpcs[vpc_id]
    vpc.next_hops["defaultGateway"] = hop
    for one in bound:
        vpc.own_ways_out[one.private] = hop
    draft.add(
        Node(
            key=key,
            kind="internet-gateway",
            name=key,
            region=internet.region,
            interfaces=(inside, outside),
            sysctls=SYSCTLS,
            routes=(*_back(draft, vpc_id), Route(EVERYWHERE, (Hop(TO_INTERNET, NEXT_ROUTER),))),
            tables={TABLE: _exchange_table(bound)},
            flow_marks=frozenset(flow_mark("eip", one.public, one.private) for one in bound),
        )
    )


def _exchange_table(bound: list[_Bound]) -> str:
    marks = {one: flow_mark("eip", one.public, one.private) for one in bound}

    def table(pairs: Iterable[tuple[object, object]]) -> str:
        return "{ " + ", ".join(f"{key} : {value}" for key, value in pairs) + " }"

    return "\n".join(
        [
            "chain arriving {",
            "type nat hook prerouting priority dstnat; policy accept;",
            f'iifname "{TO_INTERNET}" ct mark set ip daddr map {table((o.public, m) for o, m in marks.items())}',
            f'iifname "{TO_INTERNET}" dnat to ip daddr map {table((o.public, o.private) for o in bound)}',
            "}",
            "chain passing {",
            "type filter hook forward priority filter; policy drop;",
            "ct state established,related accept",
            f'iifname "{TO_INTERNET}" ct status dnat accept',
            f'oifname "{TO_INTERNET}" ip saddr {{ {", ".join(one.private for one in bound)} }} accept',
            "}",
            "chain leaving {",
            "type nat hook postrouting priority srcnat; policy accept;",
            f'oifname "{TO_INTERNET}" ct mark set ip saddr map {table((o.private, m) for o, m in marks.items())}',
            f'oifname "{TO_INTERNET}" snat to ip saddr map {table((o.private, o.public) for o in bound)}',
            "}",
        ]
    )
