"""The lines of an IOS XE configuration as they stand: what each says by itself.

The words are those of Cisco's command references. What lines mean together is ``ios_xe``'s to find. A line that is not
known is a mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast_templates.readers.facts import AccessFacts, Range
from lanecast_templates.readers.ios_xe_entries import (
    Words,
    extended_entry,
    permits_by,
    prefix_range,
    standard_entry,
    unknown,
)

SAYS_NOTHING = (
    "description ",
    "name ",
    "remark ",
    "exit-address-family",
    "exec-timeout ",
    "bgp log-neighbor-changes",
    "no bgp default ipv4-unicast",
    "no ip domain lookup",
    "ip ssh time-out ",
    "ip ssh authentication-retries ",
    "logging trap ",
    "service timestamps ",
    "service tcp-keepalives-in",
)
"""Beginnings of lines of which no fact depends: texts for people, levels of a log, time-outs."""

SWITCHES = frozenset(
    {
        "no service pad",
        "service password-encryption",
        "no ip source-route",
        "no ip bootp server",
        "no ip http server",
        "no ip http secure-server",
        "no cdp run",
        "no lldp run",
        "ip ssh version 2",
        "aaa new-model",
        "ntp authenticate",
        "ip igmp snooping",
        "end",
    }
)
"""Lines that turn one thing on or off for the whole router."""


@dataclass(slots=True)
class Port:
    """An interface block."""

    addresses: list[IPv4Interface] = field(default_factory=list)
    tag: int | None = None
    vrf: str = ""
    shut: bool | None = None
    """None: it does not say."""
    reachable_via: str | None = None
    off: set[str] = field(default_factory=set)
    """What stands behind ``no``."""
    access_list: str | None = None
    bfd: tuple[int, int] | None = None
    pim: str | None = None
    """``sparse-mode`` or ``passive``."""
    hello_s: int | None = None
    dr_priority: int | None = None
    neighbor_filter: str | None = None
    pim_bfd: bool = False
    bsr_border: bool = False
    boundary_out: str | None = None
    igmp: dict[str, str] = field(default_factory=dict)
    """By the word behind ``ip igmp``."""
    static_joins: set[tuple[IPv4Address, IPv4Address]] = field(default_factory=set)
    access_mode: bool = False
    access_vlan: int | None = None
    edge: bool = False
    """It forwards as soon as it is up."""


@dataclass(slots=True)
class Neighbor:
    """A BGP neighbour's lines."""

    asn: int | None = None
    activated: bool = False
    password: bool = False
    key_chain: str | None = None
    gtsm: bool = False
    bfd: bool = False
    timers: tuple[int, int] | None = None
    maximum_prefixes: int | None = None
    route_maps: dict[str, str] = field(default_factory=dict)
    """By direction."""


@dataclass(slots=True)
class RouteMap:
    """An entry of a route map, which permits."""

    prefix_list: str | None = None
    as_path: str | None = None


@dataclass(slots=True)
class Key:
    """A key of a chain."""

    identifiers: dict[str, int] = field(default_factory=dict)
    algorithm: str | None = None
    secret: bool = False


@dataclass(slots=True)
class MsdpPeer:
    """An MSDP peer's lines."""

    interface: str
    filter_in: str | None = None
    silent: bool = False
    """A filter without a list lets out nothing."""
    most: int | None = None
    password: bool = False


@dataclass(slots=True)
class Police:
    """A class of a policy map."""

    rate_pps: int | None = None
    actions: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Server:
    """An AAA server."""

    protocol: str
    address: IPv4Address | None = None
    key: bool = False


@dataclass(slots=True)
class ServerGroup:
    """Servers that AAA asks in their order."""

    protocol: str
    servers: list[str] = field(default_factory=list)
    vrf: str = ""
    source: str | None = None


@dataclass(slots=True)
class NtpServer:
    """A server of the time."""

    key: int | None
    source: str | None


Block = Callable[[Words], "Block | None"]
"""Takes a command, and gives what takes the commands in its block, if it opens one."""


@dataclass(slots=True)
class Text:
    """Everything that stands in a text."""

    name: str = ""
    switches: set[str] = field(default_factory=set)
    vrfs: set[str] = field(default_factory=set)
    """Those with a route distinguisher and an IPv4 family."""
    vrf_uses: list[tuple[str, str]] = field(default_factory=list)
    """(VRF, command): which table a command is for, ``""`` the global one."""
    ports: dict[str, Port] = field(default_factory=dict)
    vlans: dict[int, bool | None] = field(default_factory=dict)
    """Whether it snoops; None: it does not say."""
    standard: dict[str, list[tuple[bool, IPv4Network]]] = field(default_factory=dict)
    extended: dict[str, list[AccessFacts]] = field(default_factory=dict)
    prefix_lists: dict[str, list[tuple[bool, Range]]] = field(default_factory=dict)
    as_paths: dict[str, list[str]] = field(default_factory=dict)
    route_maps: dict[str, list[RouteMap]] = field(default_factory=dict)
    key_chains: dict[str, list[Key]] = field(default_factory=dict)
    multicast: bool = False
    autorp_off: bool = False
    ssm_list: str | None = None
    points: dict[IPv4Address, str] = field(default_factory=dict)
    registers: str | None = None
    originator: str | None = None
    msdp: dict[IPv4Address, MsdpPeer] = field(default_factory=dict)
    routes: set[tuple[IPv4Network, IPv4Address]] = field(default_factory=set)
    asn: int | None = None
    router_id: IPv4Address | None = None
    first_as: bool = False
    policy_required: bool = False
    networks: set[IPv4Network] = field(default_factory=set)
    neighbors: dict[IPv4Address, Neighbor] = field(default_factory=dict)
    classes: dict[str, list[str]] = field(default_factory=dict)
    arp_classes: set[str] = field(default_factory=set)
    policies: dict[str, dict[str, Police]] = field(default_factory=dict)
    control_policy: str | None = None
    servers: dict[str, Server] = field(default_factory=dict)
    server_groups: dict[str, ServerGroup] = field(default_factory=dict)
    aaa: dict[str, list[str]] = field(default_factory=dict)
    """Methods by what they are for: ``authentication login`` and ``authorization exec``."""
    users: set[str] = field(default_factory=set)
    key_users: set[str] = field(default_factory=set)
    ssh_methods: list[str] = field(default_factory=list)
    ntp_keys: set[int] = field(default_factory=set)
    ntp_trusted: set[int] = field(default_factory=set)
    ntp: dict[IPv4Address, NtpServer] = field(default_factory=dict)
    syslog: set[IPv4Address] = field(default_factory=set)
    log_source: str | None = None
    terminal_list: str | None = None
    transport: list[str] = field(default_factory=list)

    # ------------------------------------------------------------ commands of no block

    def top(self, words: Words) -> Block | None:
        """A command of the global configuration."""
        if " ".join(words) in SWITCHES:
            self.switches.add(" ".join(words))
            return None
        match words:
            case ("hostname", name):
                self.name = name
            case ("interface", name):
                port = self.ports.setdefault(name, Port())
                return lambda inner: self._interface(port, inner)
            case ("vrf", "definition", name):
                return self._vrf_definition(name)
            case ("vlan", number):
                self.vlans.setdefault(int(number))
                return unknown
            case ("router", "bgp", asn):
                self.asn = int(asn)
                return self._bgp
            case ("key", "chain", name, "tcp"):
                keys = self.key_chains.setdefault(name, [])
                return lambda inner: self._key_of_chain(keys, inner)
            case ("control-plane",):
                return self._control_plane
            case ("line", "vty", "0", _):
                return self._line
            case ("ip" | "no", *_):
                return self._ip(words)
            case ("route-map" | "class-map" | "policy-map", *_):
                return self._map(words)
            case _:
                return self._service(words)
        return None

    def _ip(self, words: Words) -> Block | None:
        match words:
            case ("ip", "access-list", "standard", name):
                permits = self.standard.setdefault(name, [])
                return lambda inner: permits.append(standard_entry(inner))
            case ("ip", "access-list", "extended", name):
                entries = self.extended.setdefault(name, [])
                return lambda inner: entries.append(extended_entry(inner))
            case ("ip", "prefix-list", name, "seq", _, action, prefix, *longest):
                entry = (permits_by(action), prefix_range(prefix, longest))
                self.prefix_lists.setdefault(name, []).append(entry)
            case ("ip", "as-path", "access-list", number, "permit", expression):
                self.as_paths.setdefault(number, []).append(expression)
            case ("ip", "route", *rest):
                network, mask, _, via, _ = self._table("ip route", rest)
                self.routes.add((IPv4Network(f"{network}/{mask}"), IPv4Address(via)))
            case ("ip", "multicast-routing", *rest):
                if self._table("ip multicast-routing", rest) != ["distributed"]:
                    raise ValueError("forwarding is by the line cards: distributed")
                self.multicast = True
            case ("ip", "pim", *rest):
                self._pim(self._table("ip pim", rest))
            case ("no", "ip", "pim", *rest) if rest[-1] == "autorp":
                self.autorp_off = self._table("no ip pim", rest) == ["autorp"]
            case ("ip", "msdp", *rest):
                self._msdp(self._table("ip msdp", rest))
            case ("ip", "igmp", "snooping", "vlan", number):
                self.vlans[int(number)] = True
            case ("no", "ip", "igmp", "snooping", "vlan", number):
                self.vlans[int(number)] = False
            case ("ip", "ssh", "server", "algorithm", "authentication", *methods):
                self.ssh_methods = methods
            case ("ip", "ssh", "pubkey-chain"):
                return self._public_keys
            case _:
                unknown(words)
        return None

    def _table(self, command: str, words: list[str]) -> list[str]:
        """What stands behind ``vrf NAME``, which is noted."""
        vrf, rest = (words[1], words[2:]) if words[:1] == ["vrf"] else ("", words)
        self.vrf_uses.append((vrf, command))
        return rest

    def _service(self, words: Words) -> Block | None:
        match words:
            case ("aaa", kind, what, "default", *methods):
                self.aaa[f"{kind} {what}"] = methods
            case ("aaa", "group", "server", protocol, name):
                group = self.server_groups.setdefault(name, ServerGroup(protocol))
                return lambda inner: _server_group(group, inner)
            case ("tacacs" | "radius" as protocol, "server", name):
                server = self.servers.setdefault(name, Server("tacacs+" if protocol == "tacacs" else protocol))
                return lambda inner: _server(server, inner)
            case ("username", name, "privilege", "15"):
                self.users.add(name)
            case ("ntp", "authentication-key", number, "md5", _):
                self.ntp_keys.add(int(number))
            case ("ntp", "trusted-key", number):
                self.ntp_trusted.add(int(number))
            case ("ntp", "server", *rest):
                address, *options = self._table("ntp server", rest)
                found = dict(zip(options[::2], options[1::2], strict=True))
                key, source = found.pop("key", None), found.pop("source", None)
                self.ntp[IPv4Address(address)] = NtpServer(int(key) if key else None, source)
                if found:
                    unknown(words)
            case ("logging", "source-interface", interface, *rest):
                self._table("logging source-interface", rest)
                self.log_source = interface
            case ("logging", "host", address, *rest):
                self._table("logging host", rest)
                self.syslog.add(IPv4Address(address))
            case _:
                unknown(words)
        return None

    # ------------------------------------------------------------ blocks

    def _vrf_definition(self, name: str) -> Block:
        seen: set[str] = set()

        def inside(words: Words) -> Block | None:
            match words:
                case ("rd", _):
                    seen.add("rd")
                case ("address-family", "ipv4"):
                    seen.add("family")
                    if "rd" in seen:
                        self.vrfs.add(name)
                    return unknown
                case _:
                    unknown(words)
            return None

        return inside

    def _interface(self, port: Port, words: Words) -> None:
        match words:
            case ("encapsulation", "dot1Q", tag):
                port.tag = int(tag)
            case ("vrf", "forwarding", vrf):
                if port.addresses:
                    raise ValueError("the addresses before it are lost")
                port.vrf = vrf
            case ("ip", "address", address, mask) | ("ip", "address", address, mask, "secondary"):
                if (words[-1] == "secondary") != bool(port.addresses):
                    raise ValueError("the first address is the only one that is not secondary")
                port.addresses.append(IPv4Interface(f"{address}/{mask}"))
            case ("no", "shutdown"):
                port.shut = False
            case ("shutdown",):
                port.shut = True
            case ("switchport", "mode", "access"):
                port.access_mode = True
            case ("switchport", "access", "vlan", vlan):
                port.access_vlan = int(vlan)
            case ("spanning-tree", "portfast"):
                port.edge = True
            case ("ip", "access-group", name, "in"):
                port.access_list = name
            case ("ip", "verify", "unicast", "source", "reachable-via", "rx" | "any" as way):
                port.reachable_via = way
            case ("bfd", "interval", sent, "min_rx", received, "multiplier", multiplier):
                if sent != received:
                    raise ValueError("both directions are alike")
                port.bfd = int(sent), int(multiplier)
            case ("no", *what):
                port.off.add(" ".join(what))
            case ("ip", "pim" | "multicast" | "igmp", *_):
                _multicast_of_interface(port, words)
            case _:
                unknown(words)

    def _bgp(self, words: Words) -> Block | None:
        match words:
            case ("bgp", "router-id", address):
                self.router_id = IPv4Address(address)
            case ("bgp", "enforce-first-as"):
                self.first_as = True
            case ("bgp", "safe-ebgp-policy"):
                self.policy_required = True
            case ("neighbor", address, *rest):
                self.vrf_uses.append(("", "neighbor"))
                self._session(self._neighbor(address), words, tuple(rest))
            case ("address-family", "ipv4"):
                self.vrf_uses.append(("", "address-family ipv4"))
                return lambda inner: self._family(inner, sessions=False)
            case ("address-family", "ipv4", "vrf", vrf):
                self.vrf_uses.append((vrf, "address-family ipv4"))
                return lambda inner: self._family(inner, sessions=True)
            case _:
                unknown(words)
        return None

    def _neighbor(self, address: str) -> Neighbor:
        return self.neighbors.setdefault(IPv4Address(address), Neighbor())

    def _family(self, words: Words, *, sessions: bool) -> None:
        """A family's commands; ``sessions``: those of sessions as well, which are the router's own outside of a VRF."""
        match words:
            case ("network", network, "mask", mask):
                self.networks.add(IPv4Network(f"{network}/{mask}"))
            case ("neighbor", address, "activate"):
                self._neighbor(address).activated = True
            case ("neighbor", address, "maximum-prefix", most):
                self._neighbor(address).maximum_prefixes = int(most)
            case ("neighbor", address, "route-map", name, "in" | "out" as direction):
                self._neighbor(address).route_maps[direction] = name
            case ("neighbor", address, *rest) if sessions:
                self._session(self._neighbor(address), words, tuple(rest))
            case _:
                unknown(words)

    def _session(self, neighbor: Neighbor, words: Words, said: Words) -> None:
        match said:
            case ("remote-as", asn):
                neighbor.asn = int(asn)
            case ("description", *_):
                pass
            case ("password", "0", _):
                neighbor.password = True
            case ("ao", chain, "include-tcp-options"):
                neighbor.key_chain = chain
            case ("ttl-security", "hops", "1"):
                neighbor.gtsm = True
            case ("fall-over", "bfd"):
                neighbor.bfd = True
            case ("timers", keepalive, hold):
                neighbor.timers = int(keepalive), int(hold)
            case _:
                unknown(words)

    def _pim(self, words: list[str]) -> None:
        match words:
            case ["ssm", "range", name]:
                self.ssm_list = name
            case ["rp-address", address, name]:
                self.points[IPv4Address(address)] = name
            case ["accept-register", "list", name]:
                self.registers = name
            case _:
                unknown(tuple(words))

    def _msdp(self, words: list[str]) -> None:
        match words:
            case ["originator-id", interface]:
                self.originator = interface
            case ["peer", address, "connect-source", interface, "remote-as", _]:
                self.msdp[IPv4Address(address)] = MsdpPeer(interface)
            case ["description", _, *_]:
                pass
            case ["password", "peer", address, "0", _]:
                self._peer(address).password = True
            case ["sa-filter", "in", address, "list", name]:
                self._peer(address).filter_in = name
            case ["sa-filter", "out", address]:
                self._peer(address).silent = True
            case ["sa-limit", address, most]:
                self._peer(address).most = int(most)
            case _:
                unknown(tuple(words))

    def _peer(self, address: str) -> MsdpPeer:
        if IPv4Address(address) not in self.msdp:
            raise ValueError(f"{address} is no peer so far")
        return self.msdp[IPv4Address(address)]

    def _key_of_chain(self, keys: list[Key], words: Words) -> Block:
        match words:
            case ("key", _):
                keys.append(Key())
                return lambda inner: _key(keys[-1], inner)
            case _:
                return unknown(words)

    def _map(self, words: Words) -> Block:
        match words:
            case ("route-map", name, "permit", _):
                entries = self.route_maps.setdefault(name, [])
                entries.append(RouteMap())
                return lambda inner: _route_map(entries[-1], inner)
            case ("class-map", "match-any", name):
                return lambda inner: self._class_map(name, inner)
            case ("policy-map", name):
                policy = self.policies.setdefault(name, {})
                return lambda inner: _policy_map(policy, inner)
            case _:
                return unknown(words)

    def _class_map(self, class_name: str, words: Words) -> None:
        match words:
            case ("match", "access-group", "name", name):
                self.classes.setdefault(class_name, []).append(name)
            case ("match", "protocol", "arp"):
                self.arp_classes.add(class_name)
            case _:
                unknown(words)

    def _control_plane(self, words: Words) -> None:
        match words:
            case ("service-policy", "input", name):
                self.control_policy = name
            case _:
                unknown(words)

    def _public_keys(self, words: Words) -> Block:
        match words:
            case ("username", name):
                return lambda inner: self._public_key(name, inner)
            case _:
                return unknown(words)

    def _public_key(self, name: str, words: Words) -> None:
        match words:
            case ("key-hash", _, digest) if len(bytes.fromhex(digest)) == 16:
                self.key_users.add(name)
            case _:
                unknown(words)

    def _line(self, words: Words) -> None:
        match words:
            case ("access-class", name, "in", "vrf-also"):
                self.terminal_list = name
            case ("transport", "input", *protocols):
                self.transport = protocols
            case _:
                unknown(words)


# ---------------------------------------------------------------- parts of blocks


def _multicast_of_interface(port: Port, words: Words) -> None:
    match words[1:]:
        case ("pim", "sparse-mode" | "passive" as mode) if port.pim is None:
            port.pim = mode
        case ("pim", "query-interval", seconds):
            port.hello_s = int(seconds)
        case ("pim", "dr-priority", priority):
            port.dr_priority = int(priority)
        case ("pim", "neighbor-filter", name):
            port.neighbor_filter = name
        case ("pim", "bfd"):
            port.pim_bfd = True
        case ("pim", "bsr-border"):
            port.bsr_border = True
        case ("multicast", "boundary", name, "out"):
            port.boundary_out = name
        case ("igmp", "static-group", group, "source", source):
            port.static_joins.add((IPv4Address(group), IPv4Address(source)))
        case ("igmp", what, value):
            port.igmp[what] = value
        case _:
            unknown(words)


def _key(key: Key, words: Words) -> None:
    match words:
        case ("send-id" | "recv-id" as which, number):
            key.identifiers[which] = int(number)
        case ("cryptographic-algorithm", algorithm):
            key.algorithm = algorithm
        case ("key-string", "0", _):
            key.secret = True
        case _:
            unknown(words)


def _route_map(entry: RouteMap, words: Words) -> None:
    match words:
        case ("match", "ip", "address", "prefix-list", name):
            entry.prefix_list = name
        case ("match", "as-path", number):
            entry.as_path = number
        case _:
            unknown(words)


def _policy_map(policy: dict[str, Police], words: Words) -> Block:
    match words:
        case ("class", name):
            police = policy.setdefault(name, Police())
            return lambda inner: _policy_class(police, inner)
        case _:
            return unknown(words)


def _policy_class(police: Police, words: Words) -> Block:
    match words:
        case ("police", "rate", rate, "pps"):
            police.rate_pps = int(rate)
            return lambda inner: _policer(police, inner)
        case _:
            return unknown(words)


def _policer(police: Police, words: Words) -> None:
    match words:
        case ("conform-action" | "exceed-action" as when, action):
            police.actions.add((when, action))
        case _:
            unknown(words)


def _server(server: Server, words: Words) -> None:
    match words:
        case ("address", "ipv4", address) if server.protocol == "tacacs+":
            server.address = IPv4Address(address)
        case ("address", "ipv4", address, "auth-port", "1812", "acct-port", "1813") if server.protocol == "radius":
            server.address = IPv4Address(address)
        case ("key", "0", _):
            server.key = True
        case _:
            unknown(words)


def _server_group(group: ServerGroup, words: Words) -> None:
    match words:
        case ("server", "name", name):
            group.servers.append(name)
        case ("ip", "vrf", "forwarding", vrf):
            group.vrf = vrf
        case ("ip", "tacacs" | "radius" as protocol, "source-interface", source) if group.protocol.startswith(protocol):
            group.source = source
        case _:
            unknown(words)
