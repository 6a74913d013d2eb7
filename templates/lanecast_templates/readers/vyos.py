"""Reads a VyOS configuration (``set`` commands) back.

Words and defaults are from VyOS 1.4's command definitions. A line that is not known is a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast_templates.readers.facts import (
    Facts,
    FilterFacts,
    IgmpFacts,
    ManagementFacts,
    NeighborFacts,
    PimFacts,
    Range,
    RendezvousFacts,
    VlanFacts,
)
from lanecast_templates.readers.set_lines import Branch, tree
from lanecast_templates.readers.vyos_firewall import FirewallReader

KEEPALIVE_S, HOLD_S = 60, 180
"""Defaults of BGP's timers."""

GTSM_MINIMUM_TTL = 254
"""FRR takes a neighbour with GTSM for one behind several hops, whose BFD packets must come from near all the same."""

SAFE_SWITCHES = ("send-redirects", "receive-redirects", "ip-src-route", "directed-broadcast")

SSH_PORT = 22


@dataclass(slots=True)
class _Interfaces:
    addresses: set[tuple[str, IPv4Interface]] = field(default_factory=set)
    tags: set[tuple[str, int]] = field(default_factory=set)
    vlans: set[VlanFacts] = field(default_factory=set)
    shut: set[str] = field(default_factory=set)
    reverse_path: set[tuple[str, str]] = field(default_factory=set)

    def of(self, address: IPv4Address) -> str:
        """The interface in whose network an address is."""
        for name, own in self.addresses:
            if address in own.network:
                return name
        raise ValueError(f"{address} is in the network of no interface")

    def has(self, address: str | None) -> bool:
        """Whether an address is the router's."""
        return address is not None and any(IPv4Address(address) == own.ip for _, own in self.addresses)


@dataclass(frozen=True, slots=True)
class _Profile:
    interval_ms: int
    multiplier: int
    minimum_ttl: int | None


class _Reader:
    """The text, and what of it others ask for."""

    def __init__(self, root: Branch) -> None:
        self.root = root
        self.interfaces = _Interfaces()
        for kind in ("ethernet", "bridge"):
            for name, branch in root.tags("interfaces", kind):
                self._interface(name, branch)
                for tag, inner in branch.tags("vif"):
                    self._interface(f"{name}.{tag}", inner)
                    self.interfaces.tags.add((f"{name}.{tag}", int(tag)))
        self.lists = {name: frozenset(self._ranges(branch)) for name, branch in root.tags("policy", "prefix-list")}
        self.profiles = {name: self._profile(branch) for name, branch in root.tags("protocols", "bfd", "profile")}
        self.bfd: set[tuple[str, int, int]] = set()

    def _interface(self, name: str, branch: Branch) -> None:
        branch.skip("description")
        own = self.interfaces
        own.addresses |= {(name, IPv4Interface(address)) for address in branch.values("address")}
        mode = branch.value("ip", "source-validation")
        if mode is not None:
            own.reverse_path.add((name, mode))
        if branch.flag("disable"):
            own.shut.add(name)
        bridge = re.fullmatch(r"br(\d+)", name)
        if bridge:
            ports, snooping = frozenset(branch.values("member", "interface")), branch.flag("igmp", "snooping")
            own.vlans.add(VlanFacts(int(bridge[1]), name, ports, snooping))

    @staticmethod
    def _ranges(branch: Branch) -> Iterator[Range]:
        """What a list permits, in the order of its rules; a rule that denies everything has to be the last."""
        closed = False
        for number, rule in sorted(branch.tags("rule"), key=lambda each: int(each[0])):
            network, longest = IPv4Network(rule.needed("prefix")), rule.value("le")
            found = network, int(longest) if longest else network.prefixlen
            if closed:
                raise ValueError(f"line {rule.line}: {branch.path}: nothing reaches rule {number}")
            if rule.needed("action") == "permit":
                yield found
            elif found == (IPv4Network("0.0.0.0/0"), 32):
                closed = True
            else:
                raise ValueError(f"line {rule.line}: {branch.path}: rule {number} denies a part")

    @staticmethod
    def _profile(branch: Branch) -> _Profile:
        interval, minimum_ttl = branch.needed("interval", "transmit"), branch.value("minimum-ttl")
        if branch.needed("interval", "receive") != interval:
            raise ValueError(f"line {branch.line}: {branch.path}: the directions differ")
        return _Profile(
            int(interval),
            int(branch.needed("interval", "multiplier")),
            None if minimum_ttl is None else int(minimum_ttl),
        )

    def _list(self, name: str | None) -> frozenset[Range]:
        """What a list permits; without one, everything is."""
        if name is None:
            return frozenset({(IPv4Network("0.0.0.0/0"), 32)})
        if name not in self.lists:
            raise ValueError(f"there is no prefix-list {name}")
        return self.lists[name]

    # -------------------------------------------------------------- BGP

    def neighbors(self) -> Iterator[NeighborFacts]:
        """The neighbours, and the process as far as it concerns them."""
        bgp = self.root.at("protocols", "bgp")
        if bgp is None:
            return
        bgp.skip("parameters", "log-neighbor-changes")
        policy = bgp.flag("parameters", "ebgp-requires-policy")
        keepalive_s, hold_s = bgp.value("timers", "keepalive"), bgp.value("timers", "holdtime")
        for address, branch in bgp.tags("neighbor"):
            if not policy:
                raise ValueError(f"line {bgp.line}: neighbours need no policy")
            yield self._neighbor(IPv4Address(address), branch, int(keepalive_s or KEEPALIVE_S), int(hold_s or HOLD_S))

    def _neighbor(self, address: IPv4Address, branch: Branch, keepalive_s: int, hold_s: int) -> NeighborFacts:
        branch.skip("description")
        branch.skip("timers", "connect")
        family = branch.at("address-family", "ipv4-unicast")
        if family is None:
            raise ValueError(f"line {branch.line}: {branch.path} has no address-family")
        asn, maximum = int(branch.needed("remote-as")), family.value("maximum-prefix")
        gtsm = branch.value("ttl-security", "hops") == "1"
        return NeighborFacts(
            address=address,
            asn=asn,
            accept=self._list(family.value("prefix-list", "import")),
            announce=self._list(family.value("prefix-list", "export")),
            accept_paths_of=self._paths(family.value("filter-list", "import")),
            maximum_prefixes=None if maximum is None else int(maximum),
            keepalive_s=keepalive_s,
            hold_s=hold_s,
            authentication="md5" if branch.value("password") is not None else None,
            gtsm=gtsm,
            first_as=branch.flag("enforce-first-as"),
            bfd=self._watched(branch, self.interfaces.of(address), GTSM_MINIMUM_TTL if gtsm else None),
        )

    def _paths(self, name: str | None) -> int | None:
        """The AS of which a list takes paths that have it alone."""
        if name is None:
            return None
        listed = [
            rule
            for each, branch in self.root.tags("policy", "as-path-list")
            if each == name
            for rule in branch.tags("rule")
        ]
        if len(listed) != 1 or listed[0][1].needed("action") != "permit":
            raise ValueError(f"as-path-list {name} has not one rule that permits")
        alone = re.fullmatch(r"\^(\d+)\(_\1\)\*\$", listed[0][1].needed("regex"))
        return int(alone[1]) if alone else None

    def _watched(self, branch: Branch, interface: str, minimum_ttl: int | None) -> bool:
        """Whether BFD watches over a neighbour, from no farther than it may be."""
        name = branch.value("bfd", "profile")
        if name is None:
            return False
        if name not in self.profiles:
            raise ValueError(f"line {branch.line}: there is no BFD profile {name}")
        profile = self.profiles[name]
        self.bfd.add((interface, profile.interval_ms, profile.multiplier))
        return profile.minimum_ttl == minimum_ttl

    # -------------------------------------------------------- multicast

    def pim(self) -> Iterator[PimFacts]:
        """PIM, by interface."""
        self.root.skip("protocols", "pim", "igmp", "watermark-warning")
        for name, branch in self.root.tags("protocols", "pim", "interface"):
            passive, dr_priority = branch.flag("passive"), branch.value("dr-priority")
            yield PimFacts(
                interface=name,
                passive=passive,
                hello_s=None if passive else int(branch.needed("hello")),
                neighbors=None,
                dr_priority=None if dr_priority is None else int(dr_priority),
                bfd=self._watched(branch, name, None),
            )

    def igmp(self) -> Iterator[IgmpFacts]:
        """IGMP, by interface."""
        for name, branch in self.root.tags("protocols", "pim", "interface"):
            igmp = branch.at("igmp")
            if igmp is not None:
                yield IgmpFacts(
                    interface=name,
                    version=int(igmp.needed("version")),
                    query_interval_s=int(igmp.needed("query-interval")),
                    max_response_ds=int(igmp.needed("query-max-response-time")),
                    groups=None,
                    maximum_groups=None,
                    static_joins=frozenset(
                        (IPv4Address(group), IPv4Address(source))
                        for group, join in igmp.tags("join")
                        for source in join.values("source-address")
                    ),
                )

    def rendezvous_points(self) -> Iterator[RendezvousFacts]:
        """Rendezvous points."""
        for address, branch in self.root.tags("protocols", "pim", "rp", "address"):
            groups = frozenset(IPv4Network(group) for group in branch.values("group"))
            yield RendezvousFacts(IPv4Address(address), groups, None)

    def ssm_ranges(self) -> Iterator[IPv4Network]:
        """Source-specific groups; a group is matched as a prefix of 32 bits."""
        name = self.root.value("protocols", "pim", "ssm", "prefix-list")
        yield from (network for network, longest in (self._list(name) if name else ()) if longest == 32)

    # ------------------------------------------------------- management

    def management(self, packet_filter: FilterFacts) -> ManagementFacts:
        """How it is managed."""
        ssh = self.root.flag("service", "ssh")
        self.root.skip("service", "ssh", "disable-password-authentication")
        return ManagementFacts(
            ssh_sources=frozenset(
                source
                for accepted in packet_filter.accepted
                if ssh and accepted.protocol == "tcp" and SSH_PORT in accepted.ports
                for source in accepted.sources
            ),
            ntp_servers=frozenset(IPv4Address(each) for each in self.root.values("service", "ntp", "server")),
            ntp_key_id=None,
            ptp_domain=None,
            syslog=frozenset(self._syslog()),
            aaa=self._aaa(),
            users=frozenset(self._users()),
        )

    def _syslog(self) -> Iterator[IPv4Address]:
        for host, branch in self.root.tags("system", "syslog", "host"):
            if branch.needed("facility", "all", "level") == "info":
                yield IPv4Address(host)

    def _users(self) -> Iterator[str]:
        for name, branch in self.root.tags("system", "login", "user"):
            for _, key in branch.tags("authentication", "public-keys"):
                if key.needed("type") and key.needed("key"):
                    yield name

    def _aaa(self) -> tuple[str, tuple[IPv4Address, ...]] | None:
        for word, protocol in (("tacacs", "tacacs+"), ("radius", "radius")):
            branch = self.root.at("system", "login", word)
            if branch is not None:
                if branch.value("security-mode") != "mandatory":
                    raise ValueError(f"line {branch.line}: {branch.path}: local users count though a server refuses")
                if not self.interfaces.has(branch.value("source-address")):
                    raise ValueError(f"line {branch.line}: {branch.path} has no source-address of the router")
                return protocol, tuple(self._servers(branch, by_priority=word == "radius"))
        return None

    @staticmethod
    def _servers(branch: Branch, *, by_priority: bool) -> list[IPv4Address]:
        """In the order in which they are asked: of priorities the lowest first, else of addresses."""
        ranked = []
        for address, server in branch.tags("server"):
            server.needed("key")
            rank = server.needed("priority") if by_priority else ""
            ranked.append((rank, IPv4Address(address)))
        return [address for _, address in sorted(ranked)]

    # -------------------------------------------------------- everything

    def facts(self) -> Facts:
        """What all of it says."""
        root, own = self.root, self.interfaces
        packet_filter = FirewallReader(root).facts()
        neighbors, pim = frozenset(self.neighbors()), frozenset(self.pim())  # who says what of BFD there is
        asn, router_id = (
            root.value("protocols", "bgp", *words) for words in (("system-as",), ("parameters", "router-id"))
        )
        safe = [root.value("firewall", "global-options", switch) == "disable" for switch in SAFE_SWITCHES]
        return Facts(
            name=root.needed("system", "host-name"),
            addresses=frozenset(own.addresses),
            tags=frozenset(own.tags),
            vlans=frozenset(own.vlans),
            vrf_of=frozenset(),
            shut=frozenset(own.shut),
            routes=frozenset(self._routes()),
            asn=None if asn is None else int(asn),
            router_id=None if router_id is None else IPv4Address(router_id),
            networks=frozenset(
                IPv4Network(each)
                for each in root.values("protocols", "bgp", "address-family", "ipv4-unicast", "network")
            ),
            neighbors=neighbors,
            bfd=frozenset(self.bfd),
            ssm_ranges=frozenset(self.ssm_ranges()),
            pim=pim,
            igmp=frozenset(self.igmp()),
            boundaries=None,
            rendezvous_points=frozenset(self.rendezvous_points()),
            msdp=frozenset(),
            access=None,
            control_plane=None,
            reverse_path=frozenset(own.reverse_path),
            no_redirects=frozenset(name for name, _ in own.addresses) if all(safe) else frozenset(),
            management=self.management(packet_filter),
            packet_filter=packet_filter,
            kernel_settings=frozenset(
                (name.replace(".", "/"), branch.needed("value"))
                for name, branch in root.tags("system", "sysctl", "parameter")
            ),
        )

    def _routes(self) -> Iterator[tuple[IPv4Network, IPv4Address]]:
        for prefix, branch in self.root.tags("protocols", "static", "route"):
            for via, hop in branch.tags("next-hop"):
                hop.skip("distance")
                yield IPv4Network(prefix), IPv4Address(via)


def read(text: str) -> Facts:
    """What a configuration says. Raises :class:`ValueError` with the line that cannot be read."""
    root = tree(text)
    facts = _Reader(root).facts()
    root.refuse_rest()
    return facts
