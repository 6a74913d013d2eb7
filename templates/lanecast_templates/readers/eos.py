"""Reads Arista EOS configurations back (see ``facts``).

From Arista's user manual alone: this module shares nothing with the view and the templates that write such texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import product
from typing import TypeVar

from lanecast_templates.readers import eos_bgp, eos_lists, eos_management
from lanecast_templates.readers.eos_lines import ADDRESS, PREFIX, VRF, Commands, Line, address, lines
from lanecast_templates.readers.facts import (
    AccessFacts,
    Facts,
    IgmpFacts,
    MsdpFacts,
    NeighborFacts,
    PimFacts,
    RendezvousFacts,
    VlanFacts,
)

T = TypeVar("T")

ANYWHERE = IPv4Network("0.0.0.0/0")
EVERYTHING = AccessFacts(True, "ip", ANYWHERE, ANYWHERE, None, None)
SSH_PORT = 22
SSH_ELSEWHERE = AccessFacts(True, "tcp", ANYWHERE, ANYWHERE, None, SSH_PORT)
"""Behind denials of SSH to every address of the text: what is left is of others, such as Management1."""
NOTHING_ELSE = AccessFacts(False, "ip", ANYWHERE, ANYWHERE, None, None)
UNBOUNDED = 0
"""The rate of what reaches the control plane and is in no class."""


@dataclass(slots=True)
class Interface:
    """What an interface's block says; the figures are EOS's own where it says nothing."""

    line: Line
    name: str
    vrf: str | None = None
    tag: int | None = None
    routed: bool = False
    access_vlan: int | None = None
    shut: bool = False
    addresses: list[IPv4Interface] = field(default_factory=list)
    reverse_path: str | None = None
    access_list: str | None = None
    boundary: str | None = None
    boundary_is_outward: bool = False
    bfd: tuple[int, int] | None = None
    directed_broadcast: bool = False
    sparse: bool = False
    hello_s: int = 30
    dr_priority: int | None = None
    neighbor_list: str | None = None
    pim_bfd: bool = False
    igmp: bool = False
    igmp_version: int = 3
    query_interval_s: int = 125
    max_response_ds: int = 100
    joins: set[tuple[IPv4Address, IPv4Address]] = field(default_factory=set)
    ptp: bool = False

    @property
    def is_port(self) -> bool:
        """Whether it is a port, which switches unless it is told to route."""
        return self.name.startswith(("Ethernet", "Port-Channel")) and "." not in self.name


@dataclass(slots=True)
class MsdpPeer:
    """What a peer's block says."""

    line: Line
    vrf: str | None
    address: IPv4Address
    local_interface: str | None = None
    accepted: str | None = None
    told: str | None = None
    limit: int | None = None


@dataclass(slots=True)
class Pim:
    """What ``router pim sparse-mode`` says of one VRF."""

    line: Line
    ssm_list: str | None = None
    points: list[tuple[Line, IPv4Address, str]] = field(default_factory=list)


@dataclass(slots=True)
class Text:
    """Everything that a text says, as it says it."""

    hostname: str | None = None
    interfaces: dict[str, Interface] = field(default_factory=dict)
    vlans: set[int] = field(default_factory=set)
    not_snooped: set[int] = field(default_factory=set)
    vrfs: set[str] = field(default_factory=set)
    routing: set[str | None] = field(default_factory=set)
    multicast: set[str | None] = field(default_factory=set)
    redirects: bool = True
    routes: list[tuple[Line, str | None, IPv4Network, IPv4Address]] = field(default_factory=list)
    pim: dict[str | None, Pim] = field(default_factory=dict)
    msdp: list[MsdpPeer] = field(default_factory=list)
    control_plane_list: tuple[Line, str | None, str] | None = None
    lists: eos_lists.Lists = field(default_factory=eos_lists.Lists)
    bgp: eos_bgp.Bgp | None = None
    management: eos_management.Management = field(default_factory=eos_management.Management)


def read(text: str) -> Facts:
    """Return what an EOS configuration says. Raises :class:`ValueError`, with the line, for what it cannot read."""
    held = Text()
    _TOP.read(held, lines(text))
    return _Reading(held).facts()


_TOP = Commands("the configuration")
_INTERFACE = Commands("an interface block")
_PIM_BLOCK = Commands("PIM's block")
_PIM_IPV4 = Commands("PIM's IPv4 block")
_MSDP_PEER = Commands("an MSDP peer's block")

_TOP.sets(r"hostname (\S+)", "hostname", str)
_TOP.sets(r"no ip icmp redirect", "redirects", False)
_TOP.silent(
    r"end",
    r"no aaa root",
    r"service routing protocols model multi-agent",
    r"spanning-tree mode \S+",
)


@_TOP.says(r"vlan (\d+)", opens=True)
def _vlan(held: Text, line: Line, groups: tuple[str, ...]) -> None:
    held.vlans.add(int(groups[0]))
    _NAMED.read(held, line.block)


_NAMED = Commands("a VLAN's block")
_NAMED.silent(r"name \S+")


@_TOP.says(r"(no )?ip igmp snooping vlan (\d+)")
def _snooping(held: Text, line: Line, groups: tuple[str | None, ...]) -> None:
    if groups[0] is not None:
        held.not_snooped.add(int(groups[1] or 0))


@_TOP.says(r"vrf instance (\S+)")
def _vrf(held: Text, line: Line, groups: tuple[str, ...]) -> None:
    held.vrfs.add(groups[0])


@_TOP.says(rf"ip routing{VRF}")
def _routing(held: Text, line: Line, groups: tuple[str | None, ...]) -> None:
    held.routing.add(groups[0])


@_TOP.says(rf"ip route{VRF} ({PREFIX}) \S+ ({ADDRESS})(?: \d+)?")
def _route(held: Text, line: Line, groups: tuple[str, ...]) -> None:
    held.routes.append((line, groups[0], IPv4Network(groups[1]), IPv4Address(groups[2])))


@_TOP.says(r"interface (\S+)", opens=True)
def _interface(held: Text, line: Line, groups: tuple[str, ...]) -> None:
    interface = held.interfaces.setdefault(groups[0], Interface(line, groups[0]))
    _INTERFACE.read(interface, line.block)


for _pattern, _name, _kind in (
    (r"vrf (\S+)", "vrf", str),
    (r"encapsulation dot1q vlan (\d+)", "tag", int),
    (r"no switchport", "routed", True),
    (r"switchport access vlan (\d+)", "access_vlan", int),
    (r"shutdown", "shut", True),
    (r"ip access-group (\S+) in", "access_list", str),
    (r"ip directed-broadcast", "directed_broadcast", True),
    (r"pim ipv4 sparse-mode", "sparse", True),
    (r"pim ipv4 hello interval (\d+)", "hello_s", int),
    (r"pim ipv4 dr-priority (\d+)", "dr_priority", int),
    (r"pim ipv4 neighbor filter (\S+)", "neighbor_list", str),
    (r"pim ipv4 bfd", "pim_bfd", True),
    (r"ip igmp", "igmp", True),
    (r"ip igmp version (\d)", "igmp_version", int),
    (r"ip igmp query-interval (\d+)", "query_interval_s", int),
    (r"ip igmp query-max-response-time (\d+)", "max_response_ds", int),
    (r"ptp enable", "ptp", True),
    (r"ip verify unicast source reachable-via (any|rx)", "reverse_path", {"any": "loose", "rx": "strict"}.__getitem__),
):
    _INTERFACE.sets(_pattern, _name, _kind)

_INTERFACE.silent(
    r"description .+",
    r"no shutdown",
    r"no lldp (transmit|receive)",
    r"switchport( mode access)?",
    r"spanning-tree (portfast|bpduguard enable)",
    r"ptp transport ipv4",
)


@_INTERFACE.says(rf"ip address ({PREFIX})(?: secondary)?")
def _address(held: Interface, line: Line, groups: tuple[str, ...]) -> None:
    held.addresses.append(IPv4Interface(groups[0]))


@_INTERFACE.says(r"multicast ipv4 boundary (\S+)( out)?")
def _boundary(held: Interface, line: Line, groups: tuple[str, ...]) -> None:
    held.boundary, held.boundary_is_outward = groups[0], groups[1] is not None


@_INTERFACE.says(r"bfd interval (\d+) min-rx (\d+) multiplier (\d+)")
def _bfd(held: Interface, line: Line, groups: tuple[str, ...]) -> None:
    sent, received, multiplier = map(int, groups)
    if sent != received:
        raise line.wrong("it sends at another interval than it listens at")
    held.bfd = sent, multiplier


@_INTERFACE.says(rf"ip igmp static-group ({ADDRESS}) ({ADDRESS})")
def _join(held: Interface, line: Line, groups: tuple[str, ...]) -> None:
    held.joins.add((IPv4Address(groups[0]), IPv4Address(groups[1])))


@_TOP.says(r"system control-plane", opens=True)
def _control_plane(held: Text, line: Line, groups: tuple[str, ...]) -> None:
    _CONTROL_PLANE.read(held, line.block)


_CONTROL_PLANE = Commands("the control plane's block")


@_CONTROL_PLANE.says(rf"ip access-group (\S+){VRF} in")
def _control_plane_list(held: Text, line: Line, groups: tuple[str, ...]) -> None:
    held.control_plane_list = line, groups[1], groups[0]


@_TOP.says(r"router multicast", opens=True)
def _multicast(held: Text, line: Line, groups: tuple[str, ...]) -> None:
    _MULTICAST.read((held, None), line.block)


_MULTICAST = Commands("the multicast block")


@_MULTICAST.says(r"vrf (\S+)", opens=True)
def _multicast_vrf(held: tuple[Text, str | None], line: Line, groups: tuple[str, ...]) -> None:
    _MULTICAST.read((held[0], groups[0]), line.block)


@_MULTICAST.says(r"ipv4", opens=True)
def _multicast_ipv4(held: tuple[Text, str | None], line: Line, groups: tuple[str, ...]) -> None:
    _MULTICAST_IPV4.read(held, line.block)


_MULTICAST_IPV4 = Commands("multicast's IPv4 block")


@_MULTICAST_IPV4.says(r"routing")
def _multicast_routing(held: tuple[Text, str | None], line: Line, groups: tuple[str, ...]) -> None:
    held[0].multicast.add(held[1])


@_TOP.says(r"router pim sparse-mode", opens=True)
def _pim(held: Text, line: Line, groups: tuple[str, ...]) -> None:
    _PIM_BLOCK.read((held, None), line.block)


@_PIM_BLOCK.says(r"vrf (\S+)", opens=True)
def _pim_vrf(held: tuple[Text, str | None], line: Line, groups: tuple[str, ...]) -> None:
    _PIM_BLOCK.read((held[0], groups[0]), line.block)


@_PIM_BLOCK.says(r"ipv4", opens=True)
def _pim_ipv4(held: tuple[Text, str | None], line: Line, groups: tuple[str, ...]) -> None:
    _PIM_IPV4.read(held[0].pim.setdefault(held[1], Pim(line)), line.block)


_PIM_IPV4.sets(r"ssm range (\S+)", "ssm_list", str)


@_PIM_IPV4.says(rf"rp address ({ADDRESS}) access-list (\S+)")
def _point(held: Pim, line: Line, groups: tuple[str, ...]) -> None:
    held.points.append((line, IPv4Address(groups[0]), groups[1]))


@_TOP.says(r"router msdp", opens=True)
def _msdp(held: Text, line: Line, groups: tuple[str, ...]) -> None:
    _MSDP.read((held, None), line.block)


_MSDP = Commands("MSDP's block")
_MSDP.silent(r"originator-id local-interface \S+")


@_MSDP.says(r"vrf (\S+)", opens=True)
def _msdp_vrf(held: tuple[Text, str | None], line: Line, groups: tuple[str, ...]) -> None:
    _MSDP.read((held[0], groups[0]), line.block)


@_MSDP.says(rf"peer ({ADDRESS})", opens=True)
def _peer(held: tuple[Text, str | None], line: Line, groups: tuple[str, ...]) -> None:
    peer = MsdpPeer(line, held[1], address(groups[0]))
    held[0].msdp.append(peer)
    _MSDP_PEER.read(peer, line.block)


_MSDP_PEER.silent(r"description .+")
_MSDP_PEER.sets(r"local-interface (\S+)", "local_interface", str)
_MSDP_PEER.sets(r"sa-filter in list (\S+)", "accepted", str)
_MSDP_PEER.sets(r"sa-filter out list (\S+)", "told", str)
_MSDP_PEER.sets(r"sa-limit (\d+)", "limit", int)

eos_lists.register(_TOP)
eos_bgp.register(_TOP)
eos_management.register(_TOP)


class _Reading:
    """Makes facts of what the text says: follows its names, and holds it against its one VRF."""

    def __init__(self, held: Text) -> None:
        self._held = held
        self._lists = held.lists
        self._addressed = [each for each in held.interfaces.values() if each.addresses]
        self._vrf = self._one_vrf()
        self._check_interfaces()
        if self._vrf not in held.routing:
            raise ValueError(f"line 1: nothing is routed in {self._vrf or 'the global table'}")
        self._pim = self._of_vrf(held.pim, "PIM")

    def _one_vrf(self) -> str | None:
        found = {each.vrf for each in self._addressed}
        if len(found) > 1:
            line = next(each.line for each in self._addressed if each.vrf != self._addressed[0].vrf)
            raise line.wrong("it is in another VRF than the interfaces above")
        [vrf] = found or {None}
        if vrf is not None and vrf not in self._held.vrfs:
            raise ValueError(f"line 1: there is no VRF {vrf}")
        return vrf

    def _check_interfaces(self) -> None:
        for each in self._held.interfaces.values():
            parent, _, unit = each.name.partition(".")
            if each.is_port and each.addresses and not each.routed:
                raise each.line.wrong("it has an address, and is a switch port")
            if unit and (parent not in self._held.interfaces or not self._held.interfaces[parent].routed):
                raise each.line.wrong(f"{parent} is no routed port")
            if each.access_vlan is not None and (each.routed or each.access_vlan not in self._held.vlans):
                raise each.line.wrong(f"it is in VLAN {each.access_vlan}, which there is not or it cannot be in")

    def _of_vrf(self, held: Mapping[str | None, T], what: str) -> T | None:
        """What is said of the text's VRF; of another nothing may be said."""
        others = set(held) - {self._vrf}
        if others:
            raise ValueError(f"line 1: {what} is told of VRF {others.pop()}, in which no interface is")
        return held.get(self._vrf)

    def _here(self, line: Line, vrf: str | None) -> None:
        if vrf != self._vrf:
            raise line.wrong(f"it is in {vrf or 'the global table'}, the interfaces in {self._vrf or 'that'}")

    def facts(self) -> Facts:
        held, interfaces = self._held, self._held.interfaces.values()
        if held.hostname is None:
            raise ValueError("line 1: no hostname")
        bgp = eos_bgp.facts(held.bgp, self._vrf, self._lists)
        return Facts(
            name=held.hostname,
            addresses=frozenset((each.name, address) for each in interfaces for address in each.addresses),
            tags=frozenset((each.name, each.tag) for each in interfaces if each.tag is not None),
            vlans=frozenset(self._vlans()),
            vrf_of=frozenset((each.name, each.vrf) for each in interfaces if each.vrf is not None),
            shut=frozenset(each.name for each in interfaces if each.shut),
            routes=frozenset(self._routes()),
            asn=bgp.asn,
            router_id=bgp.router_id,
            networks=bgp.networks,
            neighbors=self._authenticated(bgp.neighbors),
            bfd=frozenset((each.name, *each.bfd) for each in interfaces if each.bfd is not None),
            ssm_ranges=self._ssm_ranges(),
            pim=frozenset(self._pim_interfaces()),
            igmp=frozenset(self._igmp_interfaces()),
            boundaries=frozenset(
                (each.name, self._lists.permitted(each.line, each.boundary)) for each in interfaces if each.boundary
            ),
            rendezvous_points=frozenset(self._points()),
            msdp=frozenset(self._msdp_peers()),
            access={
                each.name: self._lists.extended_list(each.line, each.access_list)
                for each in interfaces
                if each.access_list is not None
            },
            control_plane=frozenset(self._control_plane()),
            reverse_path=frozenset((each.name, each.reverse_path) for each in interfaces if each.reverse_path),
            no_redirects=frozenset(self._without_redirects()),
            management=eos_management.facts(
                held.management,
                self._vrf,
                self._lists,
                synchronized=any(each.ptp for each in interfaces),
                reached_by_ssh=self._reached_by_ssh(),
            ),
        )

    def _vlans(self) -> Iterator[VlanFacts]:
        for vlan in self._held.vlans:
            ports = {each.name for each in self._held.interfaces.values() if each.access_vlan == vlan}
            interface = f"Vlan{vlan}" if f"Vlan{vlan}" in self._held.interfaces else ""
            yield VlanFacts(vlan, interface, frozenset(ports), vlan not in self._held.not_snooped)

    def _routes(self) -> Iterator[tuple[IPv4Network, IPv4Address]]:
        for line, vrf, prefix, via in self._held.routes:
            self._here(line, vrf)
            yield prefix, via

    def _authenticated(self, neighbors: Iterable[eos_bgp.Found]) -> frozenset[NeighborFacts]:
        profiles = self._held.management.shared_secrets
        for each in neighbors:
            if each.profile is not None and each.profile not in profiles:
                raise each.line.wrong(f"there is no shared secret {each.profile}")
        return frozenset(each.facts for each in neighbors)

    def _ssm_ranges(self) -> frozenset[IPv4Network]:
        if self._pim is None or self._pim.ssm_list is None:
            return frozenset()
        return self._lists.permitted(self._pim.line, self._pim.ssm_list)

    def _multicast_interfaces(self) -> list[Interface]:
        others = self._held.multicast - {self._vrf}
        if others:
            raise ValueError(f"line 1: multicast is routed in VRF {others.pop()}, in which no interface is")
        return self._addressed if self._held.multicast else []

    def _pim_interfaces(self) -> Iterator[PimFacts]:
        for each in self._multicast_interfaces():
            if each.sparse:
                named = each.neighbor_list
                listed = None if named is None else self._hosts(each.line, named)
                if each.boundary is not None and not each.boundary_is_outward and listed != frozenset():
                    raise each.line.wrong("its boundary keeps out what a neighbour sends as well")
                yield PimFacts(each.name, False, each.hello_s, listed, each.dr_priority, each.pim_bfd)

    def _hosts(self, line: Line, name: str) -> frozenset[IPv4Address]:
        networks = self._lists.permitted(line, name)
        if any(each.prefixlen != each.max_prefixlen for each in networks):
            raise line.wrong(f"{name} permits more than single neighbours")
        return frozenset(each.network_address for each in networks)

    def _igmp_interfaces(self) -> Iterator[IgmpFacts]:
        for each in self._multicast_interfaces():
            if each.igmp:
                yield IgmpFacts(
                    interface=each.name,
                    version=each.igmp_version,
                    query_interval_s=each.query_interval_s,
                    max_response_ds=each.max_response_ds,
                    groups=None,
                    maximum_groups=None,
                    static_joins=frozenset(each.joins),
                )

    def _points(self) -> Iterator[RendezvousFacts]:
        for line, point, name in self._pim.points if self._pim is not None else ():
            yield RendezvousFacts(point, self._lists.permitted(line, name), None)

    def _msdp_peers(self) -> Iterator[MsdpFacts]:
        for each in self._held.msdp:
            self._here(each.line, each.vrf)
            if each.told is None or any(rule.permit for rule in self._lists.extended_list(each.line, each.told)):
                raise each.line.wrong("it is told of sources")
            if each.local_interface is None:
                raise each.line.wrong("its session is from no interface")
            sources, groups = self._pairs(each)
            yield MsdpFacts(each.address, each.local_interface, sources, groups, each.limit, False)

    def _pairs(self, peer: MsdpPeer) -> tuple[frozenset[IPv4Network] | None, frozenset[IPv4Network] | None]:
        """The sources and groups that a peer may tell of: every source with every group."""
        if peer.accepted is None:
            return None, None
        rules = [rule for rule in self._lists.extended_list(peer.line, peer.accepted) if rule.permit]
        pairs = {(rule.source, rule.destination) for rule in rules if rule.protocol == "ip"}
        sources, groups = frozenset(each for each, _ in pairs), frozenset(each for _, each in pairs)
        if pairs != set(product(sources, groups)) or len(pairs) != len(rules):
            raise peer.line.wrong(f"{peer.accepted} does not permit every source with every group")
        return sources, groups

    def _control_plane(self) -> Iterator[tuple[frozenset[AccessFacts], int]]:
        """Each class with what the control plane's list lets through of it; what it lets through besides, unbounded."""
        let_through = self._let_through()
        for rules, rate in self._lists.control_classes():
            yield frozenset(rules & let_through), rate
            let_through -= rules
        if let_through:
            yield frozenset(let_through), UNBOUNDED

    def _let_through(self) -> set[AccessFacts]:
        """What the list lets through to the addresses that the text gives the router."""
        if self._held.control_plane_list is None:
            return {EVERYTHING}
        line, vrf, name = self._held.control_plane_list
        self._here(line, vrf)
        rules = self._lists.extended_list(line, name)
        elsewhere = {SSH_ELSEWHERE} & set(rules)
        wanted = {AccessFacts(False, "pim", ANYWHERE, own, None, None) for own in self._own_points()}
        if elsewhere:
            before = rules[: rules.index(SSH_ELSEWHERE)]
            own_ssh = {AccessFacts(False, "tcp", ANYWHERE, own, None, SSH_PORT) for own in self._own_addresses()}
            wanted |= own_ssh if own_ssh <= set(before) else {SSH_ELSEWHERE}
        if {rule for rule in rules[:-1] if not rule.permit} != wanted:
            raise line.wrong(f"{name} denies other things than it has to: registers, and SSH that it lets elsewhere")
        if rules[-1:] != (NOTHING_ELSE,):
            raise line.wrong(f"{name} does not deny everything else")
        return {each for each in rules if each.permit} - elsewhere

    def _own_addresses(self) -> set[IPv4Network]:
        return {IPv4Network(address.ip) for each in self._addressed for address in each.addresses}

    def _reached_by_ssh(self) -> frozenset[IPv4Network]:
        """From where, by the control plane's list."""
        for_ssh = (rule for rule in self._let_through() if rule.protocol in ("tcp", "ip") and rule.source_port is None)
        return frozenset(rule.source for rule in for_ssh if rule.destination_port in (SSH_PORT, None))

    def _own_points(self) -> Iterator[IPv4Network]:
        own = self._own_addresses()
        for _, point, _ in self._pim.points if self._pim is not None else ():
            if IPv4Network(point) in own:
                yield IPv4Network(point)

    def _without_redirects(self) -> Iterator[str]:
        for each in self._addressed:
            if not self._held.redirects and not each.directed_broadcast and not each.name.startswith("Loopback"):
                yield each.name
