"""Every row of the hardening table holds in what is rendered for FRR routers and relay hosts.

What must stand in the text is read from the plan's network, the text by a reader of its own. The other platforms, and the
document, are test_hardening_everywhere.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from lanecast.compiler import compile_plan
from lanecast.fabric import (
    Fabric,
    Host,
    HostRole,
)
from lanecast.plan.loader import load_plan
from lanecast.router import (
    InterfaceRole,
    Router,
    RouterRole,
)
from lanecast_templates.renderer import SecretResolver, render_fabric

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ("two-sites", "itch-recovery", "cme-replay")
DOCUMENT = ROOT / "docs/hardening.md"


class Status(StrEnum):
    """What becomes of a row on a platform."""

    PRESENT = "present"
    NOT_APPLICABLE = "not applicable"
    REFUSED = "not supported, refused"


@dataclass(frozen=True)
class Box:
    """A node of a plan and its files by name."""

    fabric: Fabric
    node: Router | Host
    files: dict[str, str]

    def __str__(self) -> str:
        return f"{self.fabric.name}-{self.node.name}"

    @property
    def frr(self) -> str:
        return self.files["frr.conf"]

    @property
    def filter(self) -> list[str]:
        """The lines of the packet filter."""
        return [line.strip() for line in self.files["nftables.conf"].splitlines()]

    @property
    def settings(self) -> dict[str, str]:
        """Kernel settings by name."""
        lines = self.files["60-lanecast.conf"].splitlines()
        return dict(line.split(" = ") for line in lines if line and not line.startswith("#"))

    def interface(self, name: str) -> list[str]:
        """The lines of an interface of frr.conf."""
        found = re.search(rf"^interface {re.escape(name)}\n(.*?)^exit$", self.frr, re.MULTILINE | re.DOTALL)
        return [line.strip() for line in found[1].splitlines()] if found else []

    def names(self, *roles: InterfaceRole) -> list[str]:
        """The node's interfaces of these roles."""
        return [interface.name for interface in self.node.interfaces if interface.role in roles]

    def neighbor(self, address: str) -> list[str]:
        """What frr.conf says of a BGP neighbour."""
        start = f"neighbor {address} "
        return [line.strip().removeprefix(start) for line in self.frr.splitlines() if line.strip().startswith(start)]


Check = Callable[[Box], Iterator[str]]


def pim_only_where_needed(box: Box) -> Iterator[str]:
    active, passive = box.names(InterfaceRole.CIRCUIT), box.names(InterfaceRole.MULTICAST)
    for interface in box.node.interfaces:
        lines = [line for line in box.interface(interface.name) if line.startswith("ip pim")]
        expected = {*(["ip pim"] if interface.name in active + passive else [])}
        expected |= {"ip pim passive"} if interface.name in passive else set()
        if set(lines) - {"ip pim hello 1"} != expected:
            yield f"{interface.name} has {lines}"


def only_the_neighbour_speaks_pim(box: Box) -> Iterator[str]:
    for link in box.fabric.links:
        for (node, port), (other, other_port) in (link.ends, link.ends[::-1]):
            if node != box.node.name or port not in box.names(InterfaceRole.CIRCUIT):
                continue
            far = next(i for i in box.fabric.router(other).interfaces if i.name == other_port).address.ip
            accepted = [line for line in box.filter if f'"{port}" ip protocol 103' in line and "accept" in line]
            if [f"ip saddr {{ {far}/32 }}" in line for line in accepted] != [True]:
                yield f"{port} takes PIM by {accepted}"
    for port in set(box.names(*InterfaceRole)) - set(box.names(InterfaceRole.CIRCUIT)):
        if any(f'"{port}" ip protocol 103' in line for line in box.filter):
            yield f"{port} takes PIM"


def source_specific(box: Box) -> Iterator[str]:
    if "ip pim ssm prefix-list ssm-ranges" not in box.frr.splitlines():
        yield "no list of source-specific ranges"
    listed = re.findall(r"^ip prefix-list ssm-ranges seq \d+ permit (\S+) le 32$", box.frr, re.MULTILINE)
    assert isinstance(box.node, Router)
    assert box.node.multicast is not None
    if listed != [str(each) for each in box.node.multicast.ssm_ranges]:
        yield f"ranges are {listed}"
    if re.search(r"^\s*ip pim (rp|register)", box.frr, re.MULTILINE):
        yield "has a rendezvous point"


def boundaries(box: Box) -> Iterator[str]:
    carried = {str(e.address) for f in box.fabric.feeds for line in f.lines for e in line.groups.values()}
    for name in box.names(InterfaceRole.CIRCUIT, InterfaceRole.MULTICAST):
        lists = [line.split()[-1] for line in box.interface(name) if line.startswith("ip multicast boundary oil ")]
        if len(lists) != 1:
            yield f"{name} has boundaries {lists}"
            continue
        permitted = re.findall(rf"^ip prefix-list {lists[0]} seq \d+ permit (\S+)/32$", box.frr, re.MULTILINE)
        denied = f"ip prefix-list {lists[0]} seq 5 deny any" in box.frr
        outward = name in box.names(InterfaceRole.CIRCUIT)
        if outward and (permitted or not denied):
            yield f"groups leave by {name}: {permitted}"
        if not outward and not (permitted and set(permitted) <= carried):
            yield f"{name} may be asked for {permitted}"


def igmp_is_filtered(box: Box) -> Iterator[str]:
    for interface in box.node.interfaces:
        if interface.role is not InterfaceRole.MULTICAST:
            continue
        rules = [line for line in box.filter if f'"{interface.name}" ip protocol 2 ' in line]
        own = f"ip saddr {{ {interface.address.network} }}"
        if len(rules) != 2 or not all(own in rule for rule in rules) or "limit rate over" not in rules[0]:
            yield f"{interface.name} takes IGMP by {rules}"


def gtsm(box: Box) -> Iterator[str]:
    assert isinstance(box.node, Router)
    for neighbor in box.node.bgp.neighbors if box.node.bgp else ():
        if "ttl-security hops 1" not in box.neighbor(str(neighbor.address)):
            yield f"{neighbor.address} may be far away"


def bgp_policy(box: Box) -> Iterator[str]:
    assert isinstance(box.node, Router)
    if box.node.bgp is None:
        return
    if " bgp ebgp-requires-policy" not in box.frr.splitlines():
        yield "routes without a policy"
    for neighbor in box.node.bgp.neighbors:
        said = {line.split()[0]: line for line in box.neighbor(str(neighbor.address))}
        directions = {
            line.split()[-1] for line in box.neighbor(str(neighbor.address)) if line.startswith("prefix-list")
        }
        if directions != {"in", "out"} or not {"maximum-prefix", "filter-list", "enforce-first-as"} <= set(said):
            yield f"{neighbor.address} has {sorted(said)}"
        path = said.get("filter-list", "filter-list ? in").split()[1]
        wanted = f"bgp as-path access-list {path} seq 5 permit ^{neighbor.asn}(_{neighbor.asn})*$"
        if wanted not in box.frr.splitlines():
            yield f"{neighbor.address}: no {wanted}"


def control_plane(box: Box) -> Iterator[str]:
    if "counter name dropped drop" not in box.filter:
        yield "what nobody asked for is not dropped and counted"
    for line in box.filter:
        if "ip protocol" not in line or not line.endswith('"') or "oifname" in line or "above the rate" in line:
            continue
        # The feeds themselves come at their own rate; everything else that the node itself answers to is limited.
        limited = line.replace(" counter accept", "").partition(" comment")[0]
        feed = " ip protocol 17 " in line
        if not feed and not any(other.startswith(f"{limited} limit rate over ") for other in box.filter):
            yield f"not limited: {line}"
        if " ip protocol 1 " not in line and " ip saddr " not in line:
            yield f"from anywhere: {line}"


def reverse_path(box: Box) -> Iterator[str]:
    loose = (InterfaceRole.CIRCUIT, InterfaceRole.MULTICAST)
    for interface in box.node.interfaces:
        wanted = "2" if interface.role in loose else "1"
        found = box.settings.get(f"net/ipv4/conf/{interface.name}/rp_filter")
        if found != wanted:
            yield f"{interface.name}: rp_filter is {found}"
    if box.settings.get("net/ipv4/conf/all/rp_filter") != "0":
        yield "all/rp_filter overrules what the interfaces say"


def memberships(box: Box) -> Iterator[str]:
    if not box.settings.get("net/ipv4/igmp_max_memberships", "").isdigit():
        yield "igmp_max_memberships is left to chance"


def housekeeping(box: Box) -> Iterator[str]:
    for name in ("all", *box.names(*InterfaceRole)):
        for setting in ("send_redirects", "accept_redirects", "accept_source_route", "bc_forwarding"):
            if box.settings.get(f"net/ipv4/conf/{name}/{setting}") != "0":
                yield f"{name}: {setting}"


def no(pattern: str) -> Check:
    """Not applicable, because nothing of the kind is configured."""

    def check(box: Box) -> Iterator[str]:
        for name, text in box.files.items():
            for line in text.splitlines():
                if not line.lstrip().startswith(("!", "#")) and re.search(pattern, line):
                    yield f"{name} has {line.strip()}"

    return check


@dataclass(frozen=True)
class Row:
    """One row: what is asked, and for routers and relay hosts what is done and how it is looked for."""

    item: str
    source: str
    how: str
    router: tuple[Status, Check | None]
    host: tuple[Status, Check | None]


NONE = (Status.NOT_APPLICABLE, no(r"\b(pim|bgp|msdp|bfd)\b(?! from| above)"))
ROWS = (
    Row(
        "PIM only where needed",
        "DISA STIG AMLS-L3-000110",
        "`ip pim` on circuits, `ip pim passive` towards hosts, none elsewhere",
        (Status.PRESENT, pim_only_where_needed),
        NONE,
    ),
    Row(
        "allowed PIM neighbours",
        "STIG NET-MCAST-002; RFC 7761, 6",
        "FRR 8.4 has no list of neighbours: the packet filter takes PIM from the circuit's other address alone",
        (Status.PRESENT, only_the_neighbour_speaks_pim),
        NONE,
    ),
    Row(
        "SSM",
        "RFC 4607, RFC 4609",
        "`ip pim ssm prefix-list` with the plan's ranges; no rendezvous point, no register state",
        (Status.PRESENT, source_specific),
        NONE,
    ),
    Row(
        "register filter at a rendezvous point",
        "STIG CISC-RT-000820",
        "a router is never a rendezvous point itself: without MSDP it has no use for being one",
        (Status.REFUSED, no(r"\bpim (rp|register)")),
        NONE,
    ),
    Row(
        "join filter, boundary",
        "STIG AMLS-L3-000130",
        "`ip multicast boundary oil`: towards hosts the carried groups, over circuits none",
        (Status.PRESENT, boundaries),
        NONE,
    ),
    Row(
        "IGMP filter and limits",
        "RFC 3376; FRR's manual, PIM",
        "FRR 8.4 counts no groups: the boundary bounds them to the carried ones; the packet filter takes IGMP from the "
        "segment alone, and limits its rate",
        (Status.PRESENT, igmp_is_filtered),
        (Status.PRESENT, igmp_is_filtered),
    ),
    Row(
        "MSDP password, filter, limit",
        "FRR's manual, PIM",
        "FRR 8.4 has no password, filter or limit of MSDP, so a plan that asks for MSDP is refused",
        (Status.REFUSED, no(r"\bmsdp\b")),
        NONE,
    ),
    Row(
        "BGP authentication",
        "STIG CISC-RT-000480; RFC 2385",
        "a password for each neighbour where the plan names a secret",
        (Status.PRESENT, None),
        NONE,
    ),
    Row(
        "TCP-AO",
        "RFC 5925",
        "FRR and Linux have no TCP-AO for BGP, so a plan that asks for it is refused",
        (Status.REFUSED, no(r"\btcp-ao\b")),
        NONE,
    ),
    Row("GTSM", "RFC 5082", "`ttl-security hops 1` for each neighbour", (Status.PRESENT, gtsm), NONE),
    Row(
        "BGP policy",
        "RFC 8212, RFC 7454",
        "`ebgp-requires-policy`; prefix lists both ways, AS-path list, `maximum-prefix` and `enforce-first-as` for each "
        "neighbour",
        (Status.PRESENT, bgp_policy),
        NONE,
    ),
    Row(
        "BFD",
        "RFC 5881, RFC 5883",
        "where the plan asks: one session of a single hop for PIM, one over several hops for BGP, which FRR makes of a "
        "neighbour with GTSM, with TTL 254 at least; elsewhere none",
        (Status.PRESENT, no(r"\bbfd\b")),
        NONE,
    ),
    Row(
        "control plane",
        "STIG CISC-RT-000120",
        "each protocol from its peers alone and up to a rate; what is dropped is counted",
        (Status.PRESENT, control_plane),
        (Status.PRESENT, control_plane),
    ),
    Row(
        "reverse path",
        "RFC 3704",
        "`rp_filter` 2 where multicast arrives, else 1, set for each interface",
        (Status.PRESENT, reverse_path),
        (Status.PRESENT, reverse_path),
    ),
    Row(
        "memberships",
        "Linux, ip-sysctl",
        "`igmp_max_memberships` from the plan",
        (Status.PRESENT, memberships),
        (Status.PRESENT, memberships),
    ),
    Row(
        "housekeeping",
        "STIG CISC-RT-000060, -160, -190",
        "no redirects, no source routes, no directed broadcasts",
        (Status.PRESENT, housekeeping),
        (Status.PRESENT, housekeeping),
    ),
    Row(
        "unused interfaces shut",
        "STIG CISC-RT-000060",
        "interfaces of a Linux box that are outside the plan are not touched, so a plan that names some is refused",
        (Status.REFUSED, no(r"\bshutdown\b")),
        (Status.NOT_APPLICABLE, no(r"\bshutdown\b")),
    ),
    Row(
        "secrets",
        "",
        "from the environment or files; only a file that needs one holds it, at mode 0600 and saying so",
        (Status.PRESENT, None),
        (Status.PRESENT, None),
    ),
)
ELSEWHERE = {
    "BGP authentication": "test_a_password_stands_where_the_plan_names_one",
    "secrets": "test_rendering.py::test_a_secret_stands_only_in_files_for_their_owner",
}
"""Rows that need another plan, and where they are tested."""


@cache
def boxes() -> tuple[Box, ...]:
    found = []
    for example in EXAMPLES:
        fabric = compile_plan(load_plan(ROOT / f"examples/{example}.yaml"), {})
        files = render_fabric(fabric, SecretResolver({}))
        for node in fabric.nodes():
            if node.role in (RouterRole.SITE, HostRole.RELAY):
                mine = {file.path.name: file.text for file in files if file.path.parts[0] == node.name}
                found.append(Box(fabric, node, mine))
    return tuple(found)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.item)
def test_the_row_holds_on_every_box(row: Row) -> None:
    for box in boxes():
        _, check = row.router if isinstance(box.node, Router) else row.host
        if check is None:
            assert row.item in ELSEWHERE
            continue
        assert list(check(box)) == [], str(box)


@pytest.mark.parametrize(
    ("item", "file", "before", "after"),
    [
        ("PIM only where needed", "frr.conf", " ip pim passive\n", ""),
        ("PIM only where needed", "frr.conf", "interface lan\n", "interface lan\n ip pim\n"),
        ("allowed PIM neighbours", "nftables.conf", "{ 192.0.2.1/32 } counter accept", "{ 0.0.0.0/0 } counter accept"),
        ("SSM", "frr.conf", "ip pim ssm prefix-list ssm-ranges\n", ""),
        ("register filter at a rendezvous point", "frr.conf", "ip pim ssm", "ip pim rp 192.0.2.250\nip pim ssm"),
        ("join filter, boundary", "frr.conf", " ip multicast boundary oil out-hk1-a\n", ""),
        ("join filter, boundary", "frr.conf", "ip prefix-list out-hk1-a seq 5 deny any\n", ""),
        ("IGMP filter and limits", "nftables.conf", " ip saddr { 10.200.0.192/27 } counter accept", " counter accept"),
        ("MSDP password, filter, limit", "frr.conf", "ip pim ssm", "ip msdp timers 1 3\nip pim ssm"),
        ("GTSM", "frr.conf", " neighbor 192.0.2.129 ttl-security hops 1\n", ""),
        ("BGP policy", "frr.conf", "  neighbor 192.0.2.1 maximum-prefix 12\n", ""),
        ("BGP policy", "frr.conf", " bgp ebgp-requires-policy\n", ""),
        ("BGP policy", "frr.conf", "permit ^65010(_65010)*$", "permit .*"),
        ("BFD", "frr.conf", " ip pim passive\n", " ip pim passive\n ip pim bfd\n"),
        ("control plane", "nftables.conf", "counter name dropped drop", ""),
        ("control plane", "nftables.conf", "ip protocol 1 limit rate over", "ip protocol 1 limit rate"),
        ("reverse path", "60-lanecast.conf", "hk1-a.101/rp_filter = 2", "hk1-a.101/rp_filter = 0"),
        ("memberships", "60-lanecast.conf", "net/ipv4/igmp_max_memberships = 256", ""),
        ("housekeeping", "60-lanecast.conf", "conf/mc/send_redirects = 0", "conf/mc/send_redirects = 1"),
    ],
)
def test_a_row_that_is_broken_is_noticed(item: str, file: str, before: str, after: str) -> None:
    box = next(box for box in boxes() if box.node.name == "hk1-r1")
    assert before in box.files[file]
    broken = replace(box, files={**box.files, file: box.files[file].replace(before, after, 1)})
    [row] = [row for row in ROWS if row.item == item]
    check = row.router[1]
    assert check is not None
    assert list(check(broken)) != []


def test_there_are_boxes_of_both_kinds() -> None:
    assert {type(box.node) for box in boxes()} == {Router, Host}
    assert len(boxes()) >= 8


def test_a_password_stands_where_the_plan_names_one(tmp_path: Path) -> None:
    text = (ROOT / "examples/two-sites.yaml").read_text()
    text = text.replace("carries: [cme-310.A]}", "carries: [cme-310.A], password: {environment: A}}")
    text = text.replace("carries: [cme-310.B]}", "carries: [cme-310.B], password: {environment: B}}")
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    files = render_fabric(compile_plan(load_plan(plan), {}), SecretResolver({"A": "one-secret", "B": "other-secret"}))
    said = {str(file.path): re.findall(r"neighbor (\S+) password (\S+)", file.text) for file in files}
    assert said["hk1-r1/etc/frr/frr.conf"] == [("192.0.2.1", "one-secret")]
    assert said["hk1-r2/etc/frr/frr.conf"] == [("192.0.2.5", "other-secret")]
