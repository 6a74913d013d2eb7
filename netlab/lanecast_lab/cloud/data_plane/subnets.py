"""Subnets: a switch each, a node with a bridge, between the VPC's router and what is in the subnet.

The switch is where a port's own rules hold, because everything that an instance sends or gets crosses it, also what
stays in the subnet: who may send what (no false addresses, no multicast), and security groups. Those are stateful, so
frames pass the kernel's connection tracking (br_netfilter); which port a packet came by and leaves by is told to it by
the packet's mark.
"""

from __future__ import annotations

from collections.abc import Iterable

from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane import filters
from lanecast_lab.cloud.data_plane.draft import Draft, SubnetDraft, SubnetPort, gateway_of, subnet_port
from lanecast_lab.cloud.data_plane.model import WITHOUT_IPV6, Interface, Node, hardware_address
from lanecast_lab.cloud.data_plane.snapshot import Snapshot

BRIDGE = "switch"
EVERYWHERE = "0.0.0.0/0"
ROUTER_PORT = "router"
SYSCTLS = (
    ("net.bridge.bridge-nf-call-ip6tables", "0"),
    ("net.bridge.bridge-nf-call-arptables", "0"),
    *WITHOUT_IPV6,
)
ALLOWED_OUT, ALLOWED_IN = 1, 2
"""Bits of a connection's mark: its first packets were allowed by the sender's groups, by the receiver's."""


def describe(draft: Draft) -> None:
    """A switch for each subnet, and the VPC router's interface towards it."""
    for subnet in draft.subnets.values():
        _describe(draft, subnet)


def _describe(draft: Draft, subnet: SubnetDraft) -> None:
    resource = subnet.resource
    key, vpc_id = resource.key, resource.parent or ""
    router_mac = hardware_address(key, ROUTER_PORT)
    length = resource.body["cidr"].partition("/")[2]
    draft.vpcs[vpc_id].interfaces.append(
        Interface(subnet_port(key), (f"{gateway_of(resource)}/{length}",), mac=router_mac)
    )
    draft.link(key, (vpc_id, subnet_port(key)), (key, ROUTER_PORT))
    ports = [Interface(ROUTER_PORT, master=BRIDGE, stations=(router_mac,))]
    ports += [Interface(port.name, up=port.up, master=BRIDGE, stations=(port.mac,)) for port in subnet.ports]
    vpc = draft.vpcs[vpc_id].resource
    ranges = [vpc.body["cidr"], *vpc.body["secondaryCidr"]]
    numbered = {number: port for number, port in enumerate(subnet.ports, start=1) if port.groups is not None}
    draft.add(
        Node(
            key=key,
            kind="subnet",
            name=resource.body["name"],
            region=resource.region,
            interfaces=(Interface(BRIDGE, bridge=True), *ports),
            sysctls=(*SYSCTLS, ("net.bridge.bridge-nf-call-iptables", "1" if numbered else "0")),
            tables={
                "bridge ports": _ports_table(subnet.ports, ranges),
                **({"ip groups": _groups_table(draft.snapshot, numbered)} if numbered else {}),
                **subnet.tables,
            },
        )
    )


def _ports_table(ports: list[SubnetPort], ranges: list[str]) -> str:
    """Who may send what, and the mark that tells of the ports: the sender's number below, the receiver's above."""
    text = [
        "chain arrived {",
        "type filter hook prerouting priority -300; policy drop;",
        "ether type != { ip, arp } drop",
        # neither multicast nor broadcast, save for ARP
        "ether type ip ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 drop",
        f'iifname "{ROUTER_PORT}" accept',
        *filters.dispatch("iifname", {f'"{port.name}"': f"goto from-{port.name}" for port in ports}),
        "}",
        "chain leaving {",
        "type filter hook forward priority -300;",
        *filters.dispatch(
            "oifname",
            {f'"{port.name}"': f"goto to-{port.name}" for port in ports if port.groups is not None},
        ),
        "}",
    ]
    for number, port in enumerate(ports, start=1):
        guarded = port.groups is not None
        text += [
            f"chain from-{port.name} {{",
            f"ether saddr != {port.mac} drop",
            f"ether type arp arp saddr ether != {port.mac} drop",
            *_sources(port, ranges),
            *([f"meta mark set {number}"] if guarded else []),
            "accept",
            "}",
        ]
        if guarded:
            text += [f"chain to-{port.name} {{", f"meta mark set meta mark or {number << 16:#x}", "}"]
    return "\n".join(text)


def _sources(port: SubnetPort, ranges: list[str]) -> list[str]:
    """From where it may send. ``ranges``: the VPC's.

    What has everything behind it, as the next hop of a default route, still sends from no other address of the VPC. The
    cloud's own parts pass on what others sent.
    """
    own = [source for source in port.sources if source != EVERYWHERE]
    anywhere = len(own) < len(port.sources)
    if anywhere and port.groups is None:
        return []
    inside = f"ip saddr {filters.one_of(ranges)} " if anywhere else ""
    return [
        f"ether type arp arp saddr ip != {filters.one_of(['0.0.0.0/32', *own])} drop",
        f"ether type ip {inside}ip saddr != {filters.one_of(own)} drop",
    ]


def _groups_table(snapshot: Snapshot, ports: dict[int, SubnetPort]) -> str:
    """Security groups: a new flow needs a rule at the sender and at the receiver, its answers need none.

    Packets in a flow's own direction are held against the rules each time, so a rule that is taken away ends the flow.
    """
    groups = sorted({group for port in ports.values() for group in port.groups or ()})
    text = [
        "chain forward {",
        "type filter hook forward priority 0; policy drop;",
        "meta mark and 0xffff == 0 goto receiving",
        f"ct direction reply ct mark and {ALLOWED_IN} == {ALLOWED_IN} goto receiving",
        f"ct state related ct mark and {ALLOWED_OUT} == {ALLOWED_OUT} goto receiving",
        *filters.dispatch(
            "meta mark and 0xffff", {str(number): f"goto out-{port.name}" for number, port in ports.items()}
        ),
        "}",
        "chain sent {",
        f"ct direction original ct mark set ct mark or {ALLOWED_OUT}",
        "goto receiving",
        "}",
        "chain receiving {",
        "meta mark and 0xffff0000 == 0 accept",
        f"ct direction reply ct mark and {ALLOWED_OUT} == {ALLOWED_OUT} accept",
        f"ct state related ct mark and {ALLOWED_IN} == {ALLOWED_IN} accept",
        *filters.dispatch(
            "meta mark and 0xffff0000",
            {f"{number << 16:#x}": f"goto in-{port.name}" for number, port in ports.items()},
        ),
        "drop",
        "}",
        "chain received {",
        f"ct direction original ct mark set ct mark or {ALLOWED_IN}",
        "accept",
        "}",
    ]
    # what is named has to come first
    chains = []
    for group in groups:
        chains += [f"chain out-{group} {{", *_rules(snapshot, group, "egress", "goto sent"), "}"]
        chains += [f"chain in-{group} {{", *_rules(snapshot, group, "ingress", "goto received"), "}"]
    for port in ports.values():
        for way, bit in (("out", ALLOWED_OUT), ("in", ALLOWED_IN)):
            chains += [
                f"chain {way}-{port.name} {{",
                *(f"jump {way}-{group}" for group in port.groups or ()),
                f"ct direction original ct mark set ct mark and {0xFFFFFFFF ^ bit:#x}",
                "drop",
                "}",
            ]
    return "\n".join([*text, *chains])


def _rules(snapshot: Snapshot, group: str, direction: str, verdict: str) -> Iterable[str]:
    """The rules of a group in one direction. [docs] All of them allow; what no rule allows is refused."""
    for rule in snapshot.parts(group, "security-group-rule"):
        if rule.body["direction"] == direction and rule.body["ethertype"] == "IPv4":
            matches = _matches(snapshot, rule)
            if matches is not None:
                yield f"{matches} {verdict}".strip()


def _matches(snapshot: Snapshot, rule: Resource) -> str | None:
    """What a rule asks of a packet; None when nothing can match."""
    words = []
    for side, address, group in (("saddr", "sourceIp", "sourceGroupId"), ("daddr", "destIp", "destGroupId")):
        if (network := rule.body[address]) not in filters.EVERYWHERE:
            words.append(f"ip {side} {network}")
        if named := rule.body[group]:
            members = [instance.body["internalIp"] for instance in snapshot.having("instance", "_groups", named)]
            if not members:
                return None
            words.append(f"ip {side} {filters.one_of(sorted(members))}")
    return " ".join([*words, *filters.protocol(rule.body["protocol"], "", rule.body["portRange"])])
