"""What each line of a Cisco NX-OS configuration says, block by block; :mod:`nx_os` makes facts of it.

Words, defaults and blocks are from Cisco's configuration guides for the Nexus 9000. A line that is not known is a
mistake.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from lanecast_templates.grammars.layouts import Statement, cut
from lanecast_templates.grammars.schema import Layout
from lanecast_templates.readers.facts import AccessFacts

LAYOUT = Layout(shape="indented", comment="!", indent=2, quotes="double", several_lines=("banner motd", "banner exec"))

DEFAULT_VRF = "default"
MANAGEMENT_VRF = "management"
EVERYWHERE = IPv4Network("0.0.0.0/0")

HELLO_MS = 30_000
QUERY_INTERVAL_S, MAX_RESPONSE_S = 125, 10
KEEPALIVE_S, HOLD_S = 60, 180
"""What the switch does where its configuration says nothing."""

SAYS_NOTHING = re.compile(
    r"(description|name|statistics|spanning-tree|mtu|speed|duplex|bandwidth|load-interval|(no )?negotiate|channel-group"
    r"|(no )?cdp|(no )?lldp|log-neighbor-changes|ip pim log-neighbor-changes|reconnect-interval|ip msdp description"
    r"|exec-timeout|session-limit|banner|version|clock timezone|(no )?ip (domain-name|domain-lookup|name-server)"
    r"|no ip source-route|(no )?logging (timestamp|level|logfile|console|monitor|origin-id)|ssh (login-attempts|key)"
    r"|no system urpf disable|no feature telnet|ip igmp enforce-router-alert|system (jumbomtu|default)"
    r"|hardware access-list tcam region)( .*)?|\d+ remark .+",
    re.DOTALL,  # a banner has several lines
)
"""Lines on which no fact depends."""


@dataclass(slots=True)
class Port:
    """An interface."""

    addresses: list[IPv4Interface] = field(default_factory=list)
    vrf: str = DEFAULT_VRF
    tag: int | None = None
    up: bool = False
    shut: bool = False
    routed: bool = False
    switched: bool = False
    access: bool = False
    access_vlan: int | None = None
    off: set[str] = field(default_factory=set)
    """What ``no ip`` turns off."""
    reverse_path: str | None = None
    access_list: str | None = None
    bfd: tuple[int, int, int] | None = None
    echo: bool = True
    sparse: bool = False
    passive: bool = False
    hello_ms: int = HELLO_MS
    neighbors: str | None = None
    joins: str | None = None
    dr_priority: int | None = None
    pim_bfd: bool = False
    igmp_version: int | None = None
    query_interval_s: int = QUERY_INTERVAL_S
    max_response_s: int = MAX_RESPONSE_S
    reports: str | None = None
    limit: int | None = None
    static_joins: set[tuple[IPv4Address, IPv4Address]] = field(default_factory=set)
    ptp: bool = False
    ptp_vlan: int | None = None


@dataclass(slots=True)
class Peer:
    """An MSDP peer."""

    interface: str
    password: bool = False
    policies: dict[str, str] = field(default_factory=dict)
    """Route maps, by direction."""
    limit: int | None = None


@dataclass(slots=True)
class Neighbor:
    """A BGP neighbour."""

    asn: int | None = None
    password: bool = False
    gtsm: bool = False
    bfd: bool = False
    family: bool = False
    lists: dict[str, str] = field(default_factory=dict)
    """``prefix-list in`` and the like."""
    maximum_prefixes: int | None = None


@dataclass(slots=True)
class Routing:
    """What a VRF routes by."""

    routes: set[tuple[IPv4Network, IPv4Address]] = field(default_factory=set)
    ssm: str | None = None
    points: dict[IPv4Address, str] = field(default_factory=dict)
    registers: str | None = None
    peers: dict[IPv4Address, Peer] = field(default_factory=dict)
    originator: str | None = None
    router_id: IPv4Address | None = None
    timers: tuple[int, int] = (KEEPALIVE_S, HOLD_S)
    networks: set[IPv4Network] = field(default_factory=set)
    neighbors: dict[IPv4Address, Neighbor] = field(default_factory=dict)


@dataclass(slots=True)
class RouteMapEntry:
    """An entry of a route map about multicast."""

    permit: bool
    group: IPv4Network | None = None
    source: IPv4Network | None = None


@dataclass(slots=True)
class ClassMap:
    """A class of the control plane."""

    access_lists: list[str] = field(default_factory=list)
    arp: bool = False


@dataclass(slots=True)
class ServerGroup:
    """AAA servers that are asked together."""

    protocol: str
    servers: list[IPv4Address] = field(default_factory=list)
    vrf: str = DEFAULT_VRF
    source: str | None = None


@dataclass(slots=True)
class Lines:
    """All that the lines say."""

    name: str = ""
    features: set[str] = field(default_factory=set)
    vrfs: set[str] = field(default_factory=set)
    ports: dict[str, Port] = field(default_factory=dict)
    vlans: set[int] = field(default_factory=set)
    snooping: dict[int, bool] = field(default_factory=dict)
    prefix_lists: dict[str, list[tuple[bool, IPv4Network, int]]] = field(default_factory=lambda: defaultdict(list))
    as_paths: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    route_maps: dict[str, list[RouteMapEntry]] = field(default_factory=lambda: defaultdict(list))
    access_lists: dict[str, list[AccessFacts]] = field(default_factory=lambda: defaultdict(list))
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    """The last number of a list, by its kind and name."""
    class_maps: dict[str, ClassMap] = field(default_factory=dict)
    policies: dict[str, dict[str, int | None]] = field(default_factory=lambda: defaultdict(dict))
    """Bits a second, by class."""
    control_plane: str | None = None
    routing: dict[str, Routing] = field(default_factory=lambda: defaultdict(Routing))
    """By VRF."""
    asn: int | None = None
    first_as: bool = False
    roles: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    """Users that have one."""
    aaa_keys: dict[str, set[IPv4Address]] = field(default_factory=lambda: defaultdict(set))
    """Servers whose key is known, by protocol."""
    groups: dict[str, ServerGroup] = field(default_factory=dict)
    login: str | None = None
    fallback: bool = False
    ntp: dict[IPv4Address, tuple[int | None, str]] = field(default_factory=dict)
    """(key, VRF) by server."""
    ntp_keys: set[int] = field(default_factory=set)
    ntp_trusted: set[int] = field(default_factory=set)
    ntp_authenticate: bool = False
    syslog: dict[IPv4Address, str] = field(default_factory=dict)
    """VRF by server."""
    sources: dict[str, str] = field(default_factory=dict)
    """Whose address requests come from, by ``ntp`` and ``logging``."""
    ptp_domain: int | None = None
    ptp_source: tuple[IPv4Address, str] | None = None
    ptp_last: bool = False
    ptp_never_first: bool = False
    ptp_sets_clock: bool = False
    terminal_list: str | None = None


Said = tuple[str, Any] | None
"""The block that a line opens, and what the lines in it speak of."""
Says = Callable[..., Said]
RULES: dict[str, list[tuple[re.Pattern[str], Says]]] = defaultdict(list)
"""By block; the first that fits counts."""


def says(block: str, pattern: str) -> Callable[[Says], Says]:
    """The function is what a line of ``block`` says that has ``pattern``; it is given its groups."""

    def known(function: Says) -> Says:
        RULES[block].append((re.compile(pattern), function))
        return function

    return known


def sets(block: str, pattern: str, attribute: str, value: Callable[..., object] = lambda: True) -> None:
    """A line of ``block`` sets one thing of what the block speaks of: to what ``value`` makes of the groups."""

    @says(block, pattern)
    def said(lines: Lines, here: object, *found: str) -> Said:
        setattr(here, attribute, value(*found))
        return None


def read_lines(text: str) -> Lines:
    """What the lines say. Raises :class:`ValueError` with the line that cannot be read."""
    pieces = cut(text, LAYOUT)
    if pieces.findings:
        raise ValueError(f"line {pieces.findings[0].line}: {pieces.findings[0].message}")
    lines = Lines()
    for statement in pieces.statements:
        _read(statement, "top", lines, lines)
    return lines


def _read(statement: Statement, block: str, lines: Lines, here: Any) -> None:
    line = " ".join(word.text for word in statement.words)
    opened = None
    if not SAYS_NOTHING.fullmatch(line):
        try:
            opened = _apply(line, block, lines, here)
        except ValueError as error:
            raise ValueError(f"line {statement.line}: {error}") from None
    for child in statement.children:
        if opened is None:
            raise ValueError(f"line {child.line}: no block is open")
        _read(child, opened[0], lines, opened[1])


def _apply(line: str, block: str, lines: Lines, here: Any) -> Said:
    for pattern, function in RULES[block]:
        found = pattern.fullmatch(line)
        if found:
            return function(lines, here, *found.groups())
    # Never the line itself: it may hold a secret.
    raise ValueError(f"a command that is not known here ({block}): {line.split()[0]} …")


# ---------------------------------------------------------------- the whole switch


sets("top", r"hostname (\S+)", "name", str)


@says("top", r"feature (\S+)")
def _feature(lines: Lines, here: Lines, name: str) -> Said:
    lines.features.add(name)
    return None


@says("top", r"vrf context (\S+)")
def _vrf(lines: Lines, here: Lines, name: str) -> Said:
    lines.vrfs.add(name)
    return "routing", lines.routing[name]


@says("top", r"interface mgmt0")
def _management_port(lines: Lines, here: Lines) -> Said:
    """No plan speaks of the switch's own management port and its VRF."""
    return "outside", None


says("outside", r".*")(lambda lines, here: None)


@says("top", r"interface (\S+)")
def _interface(lines: Lines, here: Lines, name: str) -> Said:
    return "interface", lines.ports.setdefault(name, Port())


@says("top", r"vlan (\d+)")
def _vlan(lines: Lines, here: Lines, number: str) -> Said:
    lines.vlans.add(int(number))
    return "vlan", None


@says("top", r"vlan configuration (\d+)")
def _vlan_configuration(lines: Lines, here: Lines, number: str) -> Said:
    return "vlan-configuration", int(number)


@says("vlan-configuration", r"(no )?ip igmp snooping")
def _snooping(lines: Lines, here: int, off: str | None) -> Said:
    lines.snooping[here] = off is None
    return None


# ---------------------------------------------------------------- lists


def _behind(lines: Lines, kind: str, name: str, sequence: str) -> None:
    """The switch sorts a list by its numbers; here they have to stand that way."""
    if int(sequence) <= lines.sequences.get((kind, name), -1):
        raise ValueError(f"{kind} {name}: {sequence} is not behind what stands above")
    lines.sequences[kind, name] = int(sequence)


@says("top", r"ip prefix-list (\S+) seq (\d+) (permit|deny) (\S+)(?: le (\d+))?")
def _prefix_list(
    lines: Lines, here: Lines, name: str, sequence: str, action: str, prefix: str, longest: str | None
) -> Said:
    _behind(lines, "prefix list", name, sequence)
    network = IPv4Network(prefix)
    lines.prefix_lists[name].append((action == "permit", network, int(longest or network.prefixlen)))
    return None


@says("top", r"ip as-path access-list (\S+) seq \d+ permit (\S+)")
def _as_path(lines: Lines, here: Lines, name: str, expression: str) -> Said:
    lines.as_paths[name].append(expression)
    return None


@says("top", r"route-map (\S+) (permit|deny) (\d+)")
def _route_map(lines: Lines, here: Lines, name: str, action: str, sequence: str) -> Said:
    _behind(lines, "route map", name, sequence)
    entry = RouteMapEntry(action == "permit")
    lines.route_maps[name].append(entry)
    return "route-map", entry


@says("route-map", r"match ip multicast(?: source (\S+))?(?: group (\S+))?")
def _match(lines: Lines, here: RouteMapEntry, source: str | None, group: str | None) -> Said:
    here.source = IPv4Network(source) if source else None
    here.group = IPv4Network(group) if group else None
    return None


@says("top", r"ip access-list (\S+)")
def _access_list(lines: Lines, here: Lines, name: str) -> Said:
    return "access-list", (name, lines.access_lists[name])


ADDRESS = r"(any|host \S+|\d\S+/\d+)"


@says("access-list", rf"(\d+) (permit|deny) (\S+) {ADDRESS}(?: eq (\d+))? {ADDRESS}(?: eq (\d+))?")
def _access_rule(
    lines: Lines,
    here: tuple[str, list[AccessFacts]],
    sequence: str,
    action: str,
    protocol: str,
    source: str,
    source_port: str | None,
    destination: str,
    destination_port: str | None,
) -> Said:
    name, rules = here
    _behind(lines, "access list", name, sequence)
    rules.append(
        AccessFacts(
            action == "permit",
            protocol,
            _network(source),
            _network(destination),
            int(source_port) if source_port else None,
            int(destination_port) if destination_port else None,
        )
    )
    return None


def _network(words: str) -> IPv4Network:
    return EVERYWHERE if words == "any" else IPv4Network(words.removeprefix("host "))


# ---------------------------------------------------------------- the control plane


@says("top", r"class-map type control-plane match-any (\S+)")
def _class_map(lines: Lines, here: Lines, name: str) -> Said:
    return "class-map", lines.class_maps.setdefault(name, ClassMap())


@says("class-map", r"match access-group name (\S+)")
def _match_list(lines: Lines, here: ClassMap, name: str) -> Said:
    here.access_lists.append(name)
    return None


sets("class-map", r"match protocol arp", "arp")


@says("top", r"policy-map type control-plane (\S+)")
def _policy_map(lines: Lines, here: Lines, name: str) -> Said:
    return "policy-map", lines.policies[name]


@says("policy-map", r"class (\S+)")
def _policy_class(lines: Lines, here: dict[str, int | None], name: str) -> Said:
    here[name] = None
    return "policy-class", (here, name)


@says("policy-class", r"police cir (\d+) bps bc \d+ bytes conform transmit violate drop")
def _police(lines: Lines, here: tuple[dict[str, int | None], str], rate: str) -> Said:
    classes, name = here
    classes[name] = int(rate)
    return None


@says("top", r"control-plane")
def _control_plane(lines: Lines, here: Lines) -> Said:
    return "control-plane", lines


sets("control-plane", r"service-policy input (\S+)", "control_plane", str)


# ---------------------------------------------------------------- interfaces


sets("interface", r"vrf member (\S+)", "vrf", str)
sets("interface", r"encapsulation dot1q (\d+)", "tag", int)
sets("interface", r"no shutdown", "up")
sets("interface", r"shutdown", "shut")
sets("interface", r"no switchport", "routed")
sets("interface", r"switchport", "switched")
sets("interface", r"switchport mode access", "access")
sets("interface", r"switchport access vlan (\d+)", "access_vlan", int)
sets("interface", r"ip access-group (\S+) in", "access_list", str)
sets("interface", r"bfd interval (\d+) min_rx (\d+) multiplier (\d+)", "bfd", lambda *each: tuple(map(int, each)))
sets("interface", r"no bfd echo", "echo", lambda: False)
sets("interface", r"ip verify unicast source reachable-via (rx|any)", "reverse_path", str)
sets("interface", r"ip pim sparse-mode", "sparse")
sets("interface", r"ip pim passive", "passive")
sets("interface", r"ip pim hello-interval (\d+)", "hello_ms", int)
sets("interface", r"ip pim neighbor-policy prefix-list (\S+)", "neighbors", str)
sets("interface", r"ip pim jp-policy (\S+) in", "joins", str)
sets("interface", r"ip pim dr-priority (\d+)", "dr_priority", int)
sets("interface", r"ip pim bfd-instance", "pim_bfd")
sets("interface", r"ip igmp version (\d)", "igmp_version", int)
sets("interface", r"ip igmp query-interval (\d+)", "query_interval_s", int)
sets("interface", r"ip igmp query-max-response-time (\d+)", "max_response_s", int)
sets("interface", r"ip igmp report-policy (\S+)", "reports", str)
sets("interface", r"ip igmp state-limit (\d+)", "limit", int)
sets("interface", r"ptp", "ptp")
sets("interface", r"ptp vlan (\d+)", "ptp_vlan", int)


@says("interface", r"ip address (\S+)(?: secondary)?")
def _address(lines: Lines, here: Port, address: str) -> Said:
    here.addresses.append(IPv4Interface(address))
    return None


@says("interface", r"no ip (redirects|directed-broadcast|proxy-arp)")
def _off(lines: Lines, here: Port, what: str) -> Said:
    here.off.add(what)
    return None


@says("interface", r"ip igmp static-oif (\S+) source (\S+)")
def _static_join(lines: Lines, here: Port, group: str, source: str) -> Said:
    here.static_joins.add((IPv4Address(group), IPv4Address(source)))
    return None


# ---------------------------------------------------------------- routes and multicast, of a VRF or of none


def routing(pattern: str) -> Callable[[Says], Says]:
    """The function is what a line says that stands in a VRF, or in no block for the default one."""

    def known(function: Says) -> Says:
        says("routing", pattern)(function)
        says("top", pattern)(lambda lines, here, *found: function(lines, lines.routing[DEFAULT_VRF], *found))
        return function

    return known


@routing(r"ip route (\S+)(?: [A-Za-z]\S+)? (\d+\.\S+)(?: \d+)?")
def _route(lines: Lines, here: Routing, prefix: str, via: str) -> Said:
    here.routes.add((IPv4Network(prefix), IPv4Address(via)))
    return None


@routing(r"ip pim ssm route-map (\S+)")
def _ssm(lines: Lines, here: Routing, name: str) -> Said:
    here.ssm = name
    return None


@routing(r"ip pim rp-address (\S+) route-map (\S+)")
def _point(lines: Lines, here: Routing, address: str, name: str) -> Said:
    here.points[IPv4Address(address)] = name
    return None


@routing(r"ip pim register-policy (\S+)")
def _registers(lines: Lines, here: Routing, name: str) -> Said:
    here.registers = name
    return None


@routing(r"ip msdp originator-id (\S+)")
def _originator(lines: Lines, here: Routing, name: str) -> Said:
    here.originator = name
    return None


@routing(r"ip msdp peer (\S+) connect-source (\S+) remote-as \d+")
def _peer(lines: Lines, here: Routing, address: str, interface: str) -> Said:
    here.peers[IPv4Address(address)] = Peer(interface)
    return None


@routing(r"ip msdp password (\S+) \S+")
def _peer_password(lines: Lines, here: Routing, address: str) -> Said:
    _known_peer(here, address).password = True
    return None


@routing(r"ip msdp sa-policy (\S+) (\S+) (in|out)")
def _peer_policy(lines: Lines, here: Routing, address: str, name: str, way: str) -> Said:
    _known_peer(here, address).policies[way] = name
    return None


@routing(r"ip msdp sa-limit (\S+) (\d+)")
def _peer_limit(lines: Lines, here: Routing, address: str, most: str) -> Said:
    _known_peer(here, address).limit = int(most)
    return None


def _known_peer(here: Routing, address: str) -> Peer:
    if IPv4Address(address) not in here.peers:
        raise ValueError(f"{address} is no MSDP peer above")
    return here.peers[IPv4Address(address)]


# ---------------------------------------------------------------- BGP


@says("top", r"router bgp (\d+)")
def _bgp(lines: Lines, here: Lines, asn: str) -> Said:
    lines.asn = int(asn)
    return "bgp", lines.routing[DEFAULT_VRF]


@says("bgp", r"enforce-first-as")
def _first_as(lines: Lines, here: Routing) -> Said:
    lines.first_as = True
    return None


@says("bgp", r"vrf (\S+)")
def _bgp_vrf(lines: Lines, here: Routing, name: str) -> Said:
    return "bgp-vrf", lines.routing[name]


for _block in ("bgp", "bgp-vrf"):
    sets(_block, r"router-id (\S+)", "router_id", IPv4Address)
    sets(_block, r"timers bgp (\d+) (\d+)", "timers", lambda keepalive, hold: (int(keepalive), int(hold)))
    says(_block, r"address-family ipv4 unicast")(lambda lines, here: ("bgp-family", here))
    says(_block, r"neighbor (\S+)")(lambda lines, here, peer: ("neighbor", _neighbor(here, peer)))


def _neighbor(here: Routing, peer: str) -> Neighbor:
    return here.neighbors.setdefault(IPv4Address(peer), Neighbor())


@says("bgp-family", r"network (\S+)")
def _announced(lines: Lines, here: Routing, prefix: str) -> Said:
    here.networks.add(IPv4Network(prefix))
    return None


sets("neighbor", r"remote-as (\d+)", "asn", int)
sets("neighbor", r"password 0 \S+", "password")
sets("neighbor", r"ttl-security hops 1", "gtsm")
sets("neighbor", r"bfd", "bfd")


@says("neighbor", r"address-family ipv4 unicast")
def _neighbor_family(lines: Lines, here: Neighbor) -> Said:
    here.family = True
    return "neighbor-family", here


@says("neighbor-family", r"(prefix-list|filter-list) (\S+) (in|out)")
def _neighbor_list(lines: Lines, here: Neighbor, kind: str, name: str, way: str) -> Said:
    here.lists[f"{kind} {way}"] = name
    return None


sets("neighbor-family", r"maximum-prefix (\d+)", "maximum_prefixes", int)


# ---------------------------------------------------------------- management


@says("top", r"username (\S+) role network-admin")
def _user(lines: Lines, here: Lines, name: str) -> Said:
    lines.roles.add(name)
    return None


@says("top", r"username (\S+) sshkey \S+ \S+(?: \S+)?")
def _user_key(lines: Lines, here: Lines, name: str) -> Said:
    lines.keys.add(name)
    return None


@says("top", r"tacacs-server host (\S+) key 0 \S+")
def _tacacs(lines: Lines, here: Lines, server: str) -> Said:
    lines.aaa_keys["tacacs+"].add(IPv4Address(server))
    return None


@says("top", r"radius-server host (\S+) key 0 \S+ authentication accounting")
def _radius(lines: Lines, here: Lines, server: str) -> Said:
    lines.aaa_keys["radius"].add(IPv4Address(server))
    return None


@says("top", r"aaa group server (tacacs\+|radius) (\S+)")
def _group(lines: Lines, here: Lines, protocol: str, name: str) -> Said:
    return "server-group", lines.groups.setdefault(name, ServerGroup(protocol))


@says("server-group", r"server (\S+)")
def _group_server(lines: Lines, here: ServerGroup, server: str) -> Said:
    here.servers.append(IPv4Address(server))
    return None


sets("server-group", r"use-vrf (\S+)", "vrf", str)
sets("server-group", r"source-interface (\S+)", "source", str)
sets("top", r"aaa authentication login default group (\S+)", "login", str)
sets("top", r"aaa authentication login default fallback error local", "fallback")


@says("top", r"ntp server (\S+)(?: key (\d+))? use-vrf (\S+)")
def _ntp(lines: Lines, here: Lines, server: str, key: str | None, vrf: str) -> Said:
    lines.ntp[IPv4Address(server)] = int(key) if key else None, vrf
    return None


@says("top", r"ntp authentication-key (\d+) md5 \S+ 0")
def _ntp_key(lines: Lines, here: Lines, key: str) -> Said:
    lines.ntp_keys.add(int(key))
    return None


@says("top", r"ntp trusted-key (\d+)")
def _ntp_trusted(lines: Lines, here: Lines, key: str) -> Said:
    lines.ntp_trusted.add(int(key))
    return None


sets("top", r"ntp authenticate", "ntp_authenticate")


@says("top", r"(ntp|logging) source-interface (\S+)")
def _source(lines: Lines, here: Lines, what: str, interface: str) -> Said:
    lines.sources[what] = interface
    return None


@says("top", r"logging server (\S+) 6 use-vrf (\S+)")
def _syslog(lines: Lines, here: Lines, server: str, vrf: str) -> Said:
    lines.syslog[IPv4Address(server)] = vrf
    return None


sets("top", r"ptp domain (\d+)", "ptp_domain", int)
sets("top", r"ptp source (\S+)(?: vrf (\S+))?", "ptp_source", lambda own, vrf: (IPv4Address(own), vrf or DEFAULT_VRF))
sets("top", r"ptp priority1 255", "ptp_last")
sets("top", r"no ptp grandmaster-capable", "ptp_never_first")
sets("top", r"clock protocol ptp vdc 1", "ptp_sets_clock")
says("top", r"line console")(lambda lines, here: ("console", None))
says("top", r"line vty")(lambda lines, here: ("terminal", lines))
sets("terminal", r"access-class (\S+) in", "terminal_list", str)
