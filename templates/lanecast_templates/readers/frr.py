"""Reads an FRR configuration (frr.conf) back.

Words and defaults are from FRR's user manual (chapters Zebra, BGP, PIM, BFD). A line that is not known is a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast_templates.readers.facts import Facts, IgmpFacts, NeighborFacts, PimFacts, Range, RendezvousFacts

SAYS_NOTHING = (
    "frr version ",
    "frr defaults traditional",
    "log syslog ",
    "no ipv6 forwarding",
    "service integrated-vtysh-config",
    "description ",
    "bgp log-neighbor-changes",
    "no bgp default ipv4-unicast",
    "no bgp network import-check",
)
"""Lines of which no fact depends."""

HELLO_S, QUERY_INTERVAL_S, MAX_RESPONSE_DS = 30, 125, 100
"""Defaults: RFC 7761, section 4.11; RFC 3376, sections 8.2 and 8.3."""
BFD_MS, BFD_MULTIPLIER = 300, 3
KEEPALIVE_S, HOLD_S = 60, 180


@dataclass(slots=True)
class _Port:
    addresses: list[IPv4Interface] = field(default_factory=list)
    pim: bool = False
    passive: bool = False
    hello_s: int = HELLO_S
    dr_priority: int | None = None
    pim_profile: str | None = None
    igmp: bool = False
    version: int = 3
    query_interval_s: int = QUERY_INTERVAL_S
    max_response_ds: int = MAX_RESPONSE_DS
    joins: set[tuple[IPv4Address, IPv4Address]] = field(default_factory=set)
    boundary: str | None = None


@dataclass(slots=True)
class _Neighbor:
    asn: int | None = None
    password: bool = False
    gtsm: bool = False
    first_as: bool = False
    profile: str | None = None
    activated: bool = False
    lists: dict[str, str] = field(default_factory=dict)
    """``prefix-list in`` and the like, by what they are for."""
    maximum_prefixes: int | None = None


@dataclass(slots=True)
class _Profile:
    transmit_ms: int = BFD_MS
    receive_ms: int = BFD_MS
    multiplier: int = BFD_MULTIPLIER


class _Reader:
    """What was read so far."""

    def __init__(self) -> None:
        self.name = ""
        self.ports: dict[str, _Port] = {}
        self.prefix_lists: dict[str, list[tuple[str, str, int | None]]] = {}
        self.as_paths: dict[str, list[str]] = {}
        self.routes: set[tuple[IPv4Network, IPv4Address]] = set()
        self.ssm_list: str | None = None
        self.points: dict[IPv4Address, set[IPv4Network]] = {}
        self.registers: str | None = None
        self.asn: int | None = None
        self.router_id: IPv4Address | None = None
        self.networks: set[IPv4Network] = set()
        self.timers = (KEEPALIVE_S, HOLD_S)
        self.policy = False
        self.neighbors: dict[IPv4Address, _Neighbor] = {}
        self.profiles: dict[str, _Profile] = {}

    # What a line can be: a pattern, and what it says. In blocks, `here` is the block's name.

    def top(self, here: str) -> Rules:
        return [
            (r"hostname (\S+)", lambda name: setattr(self, "name", name)),
            (
                r"ip prefix-list (\S+) seq \d+ (permit|deny) (\S+)(?: le (\d+))?",
                lambda name, action, prefix, longest: self.prefix_lists.setdefault(name, []).append(
                    (action, prefix, int(longest) if longest else None)
                ),
            ),
            (
                r"bgp as-path access-list (\S+) seq \d+ permit (\S+)",
                lambda name, expression: self.as_paths.setdefault(name, []).append(expression),
            ),
            (
                r"ip route (\S+) (\S+) \S+(?: \d+)?",
                lambda prefix, via: self.routes.add((IPv4Network(prefix), IPv4Address(via))),
            ),
            (r"ip pim ssm prefix-list (\S+)", lambda name: setattr(self, "ssm_list", name)),
            (
                r"ip pim rp (\S+) (\S+)",
                lambda point, groups: self.points.setdefault(IPv4Address(point), set()).add(IPv4Network(groups)),
            ),
            (r"ip pim register-accept-list (\S+)", lambda name: setattr(self, "registers", name)),
        ]

    def interface(self, here: str) -> Rules:
        port = self.ports.setdefault(here, _Port())
        return [
            (r"ip address (\S+)", lambda address: port.addresses.append(IPv4Interface(address))),
            (r"ip pim", lambda: setattr(port, "pim", True)),
            (r"ip pim passive", lambda: setattr(port, "passive", True)),
            (r"ip pim hello (\d+)", lambda value: setattr(port, "hello_s", int(value))),
            (r"ip pim drpriority (\d+)", lambda value: setattr(port, "dr_priority", int(value))),
            (r"ip pim bfd profile (\S+)", lambda name: setattr(port, "pim_profile", name)),
            (r"ip igmp", lambda: setattr(port, "igmp", True)),
            (r"ip igmp version (\d)", lambda value: setattr(port, "version", int(value))),
            (r"ip igmp query-interval (\d+)", lambda value: setattr(port, "query_interval_s", int(value))),
            (r"ip igmp query-max-response-time (\d+)", lambda value: setattr(port, "max_response_ds", int(value))),
            (
                r"ip igmp join (\S+) (\S+)",
                lambda group, source: port.joins.add((IPv4Address(group), IPv4Address(source))),
            ),
            (r"ip multicast boundary oil (\S+)", lambda name: setattr(port, "boundary", name)),
        ]

    def profile(self, here: str) -> Rules:
        profile = self.profiles.setdefault(here, _Profile())
        return [
            (r"detect-multiplier (\d+)", lambda value: setattr(profile, "multiplier", int(value))),
            (r"transmit-interval (\d+)", lambda value: setattr(profile, "transmit_ms", int(value))),
            (r"receive-interval (\d+)", lambda value: setattr(profile, "receive_ms", int(value))),
            (r"minimum-ttl (\d+)", lambda value: self._same(int(value), 254)),
        ]

    def bgp(self, here: str) -> Rules:
        self.asn = int(here)
        return [
            (r"bgp router-id (\S+)", lambda value: setattr(self, "router_id", IPv4Address(value))),
            (r"bgp ebgp-requires-policy", lambda: setattr(self, "policy", True)),
            (r"timers bgp (\d+) (\d+)", lambda keep, hold: setattr(self, "timers", (int(keep), int(hold)))),
            (r"neighbor (\S+) remote-as (\d+)", lambda peer, asn: setattr(self._of(peer), "asn", int(asn))),
            (r"neighbor \S+ description .+", lambda: None),
            (r"neighbor \S+ timers connect \d+", lambda: None),
            (r"neighbor (\S+) password \S+", lambda peer: setattr(self._of(peer), "password", True)),
            (r"neighbor (\S+) ttl-security hops 1", lambda peer: setattr(self._of(peer), "gtsm", True)),
            (r"neighbor (\S+) enforce-first-as", lambda peer: setattr(self._of(peer), "first_as", True)),
            (r"neighbor (\S+) bfd profile (\S+)", lambda peer, name: setattr(self._of(peer), "profile", name)),
        ]

    def family(self, here: str) -> Rules:
        return [
            (r"network (\S+)", lambda value: self.networks.add(IPv4Network(value))),
            (r"neighbor (\S+) activate", lambda peer: setattr(self._of(peer), "activated", True)),
            (
                r"neighbor (\S+) (prefix-list|filter-list) (\S+) (in|out)",
                lambda peer, kind, name, way: self._of(peer).lists.__setitem__(f"{kind} {way}", name),
            ),
            (
                r"neighbor (\S+) maximum-prefix (\d+)",
                lambda peer, most: setattr(self._of(peer), "maximum_prefixes", int(most)),
            ),
        ]

    def _of(self, peer: str) -> _Neighbor:
        return self.neighbors.setdefault(IPv4Address(peer), _Neighbor())

    @staticmethod
    def _same(value: int, other: int) -> None:
        if value != other:
            raise ValueError(f"expected {other}, found {value}")

    # What all of it says.

    def ranges(self, name: str | None) -> frozenset[Range]:
        """What a list permits; a list that is not there, or permits any, is everything."""
        entries = self.prefix_lists.get(name or "", [("permit", "any", None)])
        found = set()
        for action, prefix, longest in entries:
            network = IPv4Network("0.0.0.0/0" if prefix == "any" else prefix)
            if action == "permit":
                found.add((network, longest or (32 if prefix == "any" else network.prefixlen)))
        return frozenset(found)

    def networks_of(self, name: str | None) -> frozenset[IPv4Network]:
        """The same without lengths."""
        return frozenset(network for network, _ in self.ranges(name))

    def facts(self) -> Facts:
        """Everything."""
        return Facts(
            name=self.name,
            addresses=frozenset((name, each) for name, port in self.ports.items() for each in port.addresses),
            tags=frozenset((name, int(tag)) for name in self.ports for tag in re.findall(r"\.(\d+)$", name)),
            vlans=frozenset(),
            vrf_of=frozenset(),
            shut=frozenset(),
            routes=frozenset(self.routes),
            asn=self.asn,
            router_id=self.router_id,
            networks=frozenset(self.networks),
            neighbors=frozenset(self._neighbor_facts()),
            bfd=frozenset(self._bfd()),
            ssm_ranges=frozenset(
                network for network, longest in self.ranges(self.ssm_list) if longest == 32 and self.ssm_list
            ),
            pim=frozenset(self._pim()),
            igmp=frozenset(self._igmp()),
            boundaries=frozenset(
                (name, self.networks_of(port.boundary)) for name, port in self.ports.items() if port.boundary
            ),
            rendezvous_points=frozenset(
                RendezvousFacts(point, frozenset(groups), None) for point, groups in self.points.items()
            ),
            msdp=frozenset(),
            access=None,
            control_plane=None,
            reverse_path=None,
            no_redirects=None,
            management=None,
        )

    def _neighbor_facts(self) -> Iterator[NeighborFacts]:
        for address, held in self.neighbors.items():
            if held.asn is None or not held.activated or not self.policy:
                raise ValueError(f"neighbor {address} has no AS, or its family or policy is not asked for")
            paths = self.as_paths.get(held.lists.get("filter-list in", ""))
            yield NeighborFacts(
                address=address,
                asn=held.asn,
                accept=self.ranges(held.lists.get("prefix-list in")),
                announce=self.ranges(held.lists.get("prefix-list out")),
                accept_paths_of=held.asn if paths == [f"^{held.asn}(_{held.asn})*$"] else None,
                maximum_prefixes=held.maximum_prefixes,
                keepalive_s=self.timers[0],
                hold_s=self.timers[1],
                authentication="md5" if held.password else None,
                gtsm=held.gtsm,
                first_as=held.first_as,
                bfd=held.profile in self.profiles,
            )

    def _bfd(self) -> Iterator[tuple[str, int, int]]:
        """A neighbour's session is on the interface whose network it is in."""
        used = {name: port.pim_profile for name, port in self.ports.items() if port.pim_profile}
        for address, held in self.neighbors.items():
            for name, port in self.ports.items():
                if held.profile and any(address in each.network for each in port.addresses):
                    yield name, *self._timers(held.profile)
        for name, profile in used.items():
            yield name, *self._timers(profile)

    def _timers(self, name: str) -> tuple[int, int]:
        if name not in self.profiles:
            raise ValueError(f"there is no BFD profile {name}")
        profile = self.profiles[name]
        self._same(profile.receive_ms, profile.transmit_ms)
        return profile.transmit_ms, profile.multiplier

    def _pim(self) -> Iterator[PimFacts]:
        for name, port in self.ports.items():
            if port.pim:
                hello_s = None if port.passive else port.hello_s
                bfd = port.pim_profile in self.profiles
                yield PimFacts(name, port.passive, hello_s, None, port.dr_priority, bfd)

    def _igmp(self) -> Iterator[IgmpFacts]:
        for name, port in self.ports.items():
            if port.igmp:
                yield IgmpFacts(
                    interface=name,
                    version=port.version,
                    query_interval_s=port.query_interval_s,
                    max_response_ds=port.max_response_ds,
                    groups=None,
                    maximum_groups=None,
                    static_joins=frozenset(port.joins),
                )


Rules = list[tuple[str, Callable[..., object]]]
Block = Callable[[str], Rules]


def read(text: str) -> Facts:
    """What a configuration says. Raises :class:`ValueError` with the line that cannot be read."""
    reader = _Reader()
    opens: dict[str, list[tuple[str, str, Block]]] = {
        "": [
            (r"interface (\S+)", "interface", reader.interface),
            (r"router bgp (\d+)", "bgp", reader.bgp),
            (r"bfd()", "bfd", lambda here: []),
        ],
        "bgp": [(r"address-family ipv4 unicast()", "family", reader.family)],
        "bfd": [(r"profile (\S+)", "profile", reader.profile)],
    }
    blocks: list[tuple[str, Rules]] = [("", reader.top(""))]
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("!", *SAYS_NOTHING)):
            continue
        try:
            if line in ("exit", "exit-address-family"):
                blocks.pop()
            elif (opened := _opened(opens.get(blocks[-1][0], []), line)) is not None:
                blocks.append(opened)
            else:
                _apply(blocks[-1][1], line)
        except (ValueError, IndexError) as error:
            raise ValueError(f"line {number}: {line}: {error}") from None
    if len(blocks) > 1:
        raise ValueError("the last block is not left")
    return reader.facts()


def _opened(opens: list[tuple[str, str, Block]], line: str) -> tuple[str, Rules] | None:
    for pattern, name, block in opens:
        found = re.fullmatch(pattern, line)
        if found:
            return name, block(found[1])
    return None


def _apply(rules: Rules, line: str) -> None:
    for pattern, said in rules:
        found = re.fullmatch(pattern, line)
        if found:
            said(*found.groups())
            return
    raise ValueError("is not known here")
