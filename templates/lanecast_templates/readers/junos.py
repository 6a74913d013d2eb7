"""Reads a Junos configuration, in the braces that ``show configuration`` prints, back.

Words and defaults are from Juniper's CLI reference and the guides of Junos OS 22.4 (multicast, BGP, policies, filters).
An untagged port's interface is its unit 0, which is called as the port here: ``xe-0/0/3``, not ``xe-0/0/3.0``. What is
not known is a mistake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast.router import ANYWHERE
from lanecast_templates.readers.facts import (
    AccessFacts,
    Authentication,
    Facts,
    IgmpFacts,
    MsdpFacts,
    NeighborFacts,
    PimFacts,
    Range,
    RendezvousFacts,
    VlanFacts,
)
from lanecast_templates.readers.junos_blocks import Block, blocks_of
from lanecast_templates.readers.junos_management import management
from lanecast_templates.readers.junos_policies import (
    FilterTerm,
    filters_of,
    groups,
    policers_of,
    policies_of,
    sources,
)

VIRTUAL = ("irb", "lo0")
"""Interfaces without a port; each unit is an interface of its own."""
CONTROL_PLANE = "lo0.0"
"""What comes to the router itself passes the filter of this interface, by whatever port it came."""

HELLO_S, QUERY_INTERVAL_S, MAX_RESPONSE_S, IGMP_VERSION, HOLD_S = 30, 125, 10, 2, 90
"""Junos's own, where a text says nothing."""
KEEPALIVES_IN_HOLD = 3
"""A keepalive is sent at a third of the hold time; there is no command for another."""

SSH_PORT, NTP_PORT = 22, 123


@dataclass(slots=True)
class _Unit:
    """A logical interface."""

    logical: str
    """``xe-0/0/3.0``"""
    name: str
    """``xe-0/0/3``"""
    tag: int | None
    addresses: list[IPv4Interface]
    reverse_path: str | None
    filter: str | None
    bridged: bool
    line: int


@dataclass(slots=True)
class _Instance:
    """The default routing instance, whose ``name`` is None, or a VRF."""

    name: str | None
    interfaces: frozenset[str]
    """Logical ones; of the default instance those that no other has."""
    options: Block
    protocols: Block
    line: int


@dataclass(slots=True)
class _Found:
    """What instances say."""

    asn: int | None = None
    router_id: IPv4Address | None = None
    routes: set[tuple[IPv4Network, IPv4Address]] = field(default_factory=set)
    networks: set[IPv4Network] = field(default_factory=set)
    neighbors: set[NeighborFacts] = field(default_factory=set)
    bfd: set[tuple[str, int, int]] = field(default_factory=set)
    ssm_ranges: set[IPv4Network] = field(default_factory=set)
    pim: set[PimFacts] = field(default_factory=set)
    boundaries: set[tuple[str, frozenset[IPv4Network]]] = field(default_factory=set)
    points: set[RendezvousFacts] = field(default_factory=set)
    msdp: set[MsdpFacts] = field(default_factory=set)


def read(text: str) -> Facts:
    """What ``text`` says. Raises :class:`ValueError`, with the line, for what it cannot read."""
    top = blocks_of(text)
    try:
        facts = _Reader(top).facts()
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is defined nowhere") from None
    top.close()
    return facts


class _Reader:
    """One text."""

    def __init__(self, top: Block) -> None:
        self.system = top.block("system")
        self.shut: set[str] = set()
        self.units = {unit.logical: unit for unit in self._units(top.block("interfaces"))}
        self.policies = policies_of(top.block("policy-options"))
        firewall = top.block("firewall")
        self.filters, self.policers = filters_of(firewall), policers_of(firewall)
        self.key_chains = set(self._key_chains(top.block("security")))
        self.domains = top.block("bridge-domains")
        self.instances = self._instances(top)
        self.without_igmp: set[str] = set()
        self.igmp = self._igmp(self.instances[0].protocols.block("igmp"))
        self.guard = self._guard()

    def facts(self) -> Facts:
        """Everything."""
        found = _Found()
        for instance in self.instances:
            self._instance(instance, found)
        addressed = [unit for unit in self.units.values() if unit.addresses]
        redirects = not self.system.has("no-redirects")
        return Facts(
            name=self.system.word("host-name") or "",
            addresses=frozenset((unit.name, address) for unit in addressed for address in unit.addresses),
            tags=frozenset((unit.name, unit.tag) for unit in self.units.values() if unit.tag is not None),
            vlans=frozenset(self._vlans()),
            vrf_of=frozenset(
                (self.units[logical].name, instance.name)
                for instance in self.instances
                if instance.name is not None
                for logical in instance.interfaces
            ),
            shut=frozenset(self.shut),
            routes=frozenset(found.routes),
            asn=found.asn,
            router_id=found.router_id,
            networks=frozenset(found.networks),
            neighbors=frozenset(found.neighbors),
            bfd=frozenset(found.bfd),
            ssm_ranges=frozenset(found.ssm_ranges),
            pim=frozenset(found.pim),
            igmp=frozenset(self.igmp.values()),
            boundaries=frozenset(found.boundaries),
            rendezvous_points=frozenset(found.points),
            msdp=frozenset(found.msdp),
            access={unit.name: self._lines(unit) for unit in self.units.values() if unit.filter and not _own(unit)},
            control_plane=frozenset(self._classes()),
            reverse_path=frozenset((unit.name, unit.reverse_path) for unit in addressed if unit.reverse_path),
            no_redirects=frozenset() if redirects else frozenset(unit.name for unit in addressed if not _own(unit)),
            management=management(self.system, self._homes(), frozenset(self._ssh_sources())),
        )

    def _homes(self) -> dict[str, str | None]:
        """The routing instance of each of the router's addresses; None is the default one."""
        return {
            str(address.ip): instance.name
            for instance in self.instances
            for logical in instance.interfaces
            for address in self.units[logical].addresses
        }

    def _ssh_sources(self) -> Iterator[IPv4Network]:
        for term in self.guard:
            yield from (rule.source for rule in term.rules if rule.permit and rule.destination_port == SSH_PORT)

    # Interfaces, VLANs and filters

    def _units(self, interfaces: Block) -> Iterator[_Unit]:
        for port, block in interfaces.blocks():
            if block.has("disable"):
                self.shut.add(port)
            tagging = block.has("vlan-tagging")
            encapsulation = block.word("encapsulation")
            if encapsulation not in (None, "ethernet-bridge"):
                raise block.wrong(f"encapsulation {encapsulation} is not understood")
            for number, unit in block.blocks("unit"):
                yield self._unit(port, number, unit, tagging=tagging, bridged=encapsulation is not None)

    def _unit(self, port: str, number: str, block: Block, *, tagging: bool, bridged: bool) -> _Unit:
        tag = block.number("vlan-id")
        if tagging != (tag is not None) or (not tagging and port not in VIRTUAL and number != "0"):
            raise block.wrong(f"unit {number} of {port}: its tag and the port's tagging do not fit")
        if bridged != block.has("family", "bridge"):
            raise block.wrong(f"unit {number} of {port}: its family and the port's encapsulation do not fit")
        inet = block.block("family", "inet")
        check = inet.block("rpf-check")
        loose = check.word("mode") == "loose"
        return _Unit(
            logical=f"{port}.{number}",
            name=f"{port}.{number}" if tagging or port in VIRTUAL else port,
            tag=tag,
            addresses=[IPv4Interface(words[0]) for words in inet.each("address")],
            reverse_path="loose" if loose else "strict" if inet.has("rpf-check") else None,
            filter=inet.block("filter").word("input"),
            bridged=bridged,
            line=block.line,
        )

    def _vlans(self) -> Iterator[VlanFacts]:
        members = set()
        for name, block in self.domains.blocks():
            number, routing = block.number("vlan-id"), block.word("routing-interface")
            if number is None or routing is None or block.word("domain-type") != "bridge":
                raise block.wrong(f"{name} is no VLAN with an interface of the router's own")
            ports = [words[0] for words in block.each("interface")]
            if any(not self.units[port].bridged for port in ports):
                raise block.wrong(f"{name} has a port that is routed")
            members |= set(ports)
            protocols = block.block("protocols")
            snooping = protocols.block("igmp-snooping")
            snoops = bool(snooping)
            if snoops:
                self._snooping(snooping, self.units[routing].name, set(ports))
            yield VlanFacts(
                number, self.units[routing].name, frozenset(self.units[each].name for each in ports), snoops
            )
        for unit in self.units.values():
            if unit.bridged and unit.logical not in members:
                raise ValueError(f"line {unit.line}: {unit.logical} is in no VLAN")

    def _snooping(self, block: Block, interface: str, ports: set[str]) -> None:
        """Snooping forgets members at the pace of the querier, and no port of a host may pose as a router's."""
        querier = self.igmp[interface]
        pace = block.number("query-interval"), (block.number("query-response-interval") or 0) * 10
        if pace != (querier.query_interval_s, querier.max_response_ds):
            raise block.wrong(f"snooping has other intervals than the querier {interface}")
        if {port for port, each in block.blocks("interface") if each.has("host-only-interface")} != ports:
            raise block.wrong("a port of hosts may pose as a router's")

    def _lines(self, unit: _Unit) -> tuple[AccessFacts, ...]:
        terms = self.filters[unit.filter or ""]
        for term in terms:
            if term.policer is not None or term.far_bgp or term.out_of_band:
                raise ValueError(f"line {term.line}: understood in the filter of lo0 alone")
        return tuple(rule for term in terms for rule in term.rules)

    def _guard(self) -> tuple[FilterTerm, ...]:
        """The filter of what comes to the router itself: the same for every routing instance, or none."""
        own = {unit.filter for unit in self.units.values() if _own(unit)}
        if len(own) > 1:
            raise ValueError("not all units of lo0 have the same filter, and each guards its own routing instance")
        if CONTROL_PLANE not in self.units or own == {None}:
            return ()
        terms = self.filters[own.pop() or ""]
        if not terms[-1].everything_else:
            raise ValueError(f"line {terms[-1].line}: what no class has is not dropped")
        return terms

    def _classes(self) -> Iterator[tuple[frozenset[AccessFacts], int]]:
        rules: dict[str, list[FilterTerm]] = {}
        for term in self.guard[:-1]:
            if term.far_bgp or term.out_of_band or self._is_from_itself(term):
                continue
            if term.policer is None or not all(rule.permit for rule in term.rules):
                raise ValueError(f"line {term.line}: neither bounded nor what belongs to a class")
            rules.setdefault(term.policer, []).append(term)
        for name, terms in rules.items():
            policer = self.policers[name]
            if len(terms) > 1 and not policer.whole_filter:
                raise ValueError(f"line {policer.line}: {name} bounds each of its terms, not the class")
            yield frozenset(rule for term in terms for rule in term.rules), policer.rate_pps

    def _is_from_itself(self, term: FilterTerm) -> bool:
        """Whether a term lets in nothing but what the router asks its own NTP, as ``show ntp`` does."""
        own = {IPv4Network(address.ip) for unit in self.units.values() for address in unit.addresses}
        return term.policer is not None and all(
            rule.source in own and rule == AccessFacts(True, "udp", rule.source, ANYWHERE, None, NTP_PORT)
            for rule in term.rules
        )

    def _keeps_gtsm(self, address: IPv4Address) -> bool:
        """Whether BGP from farther away is dropped before any of it is let in."""
        for term in self.guard:
            if term.far_bgp and any(address in rule.source for rule in term.rules):
                return True
            if not term.out_of_band and any(rule.permit and rule.protocol in ("ip", "tcp") for rule in term.rules):
                return False
        return False

    # Routing instances

    def _instances(self, top: Block) -> list[_Instance]:
        named = []
        for name, block in top.block("routing-instances").blocks():
            if block.word("instance-type") != "virtual-router":
                raise block.wrong(f"{name} is of a kind that is not understood")
            interfaces = frozenset(words[0] for words in block.each("interface"))
            options, protocols = block.block("routing-options"), block.block("protocols")
            named.append(_Instance(name, interfaces, options, protocols, block.line))
        rest = frozenset(self.units) - {logical for instance in named for logical in instance.interfaces}
        default = _Instance(None, rest, top.block("routing-options"), top.block("protocols"), 1)
        return [default, *named]

    def _instance(self, instance: _Instance, found: _Found) -> None:
        options = instance.options
        asn, router_id = options.number("autonomous-system"), options.word("router-id")
        bgp = instance.protocols.block("bgp")
        if bgp:
            if found.asn is not None or asn is None or router_id is None:
                raise bgp.wrong("BGP without an AS and a router ID of its own, or twice")
            found.asn, found.router_id = asn, IPv4Address(router_id)
            for _, group in bgp.blocks("group"):
                if not group.has("type", "external"):
                    raise group.wrong("not external")
                for address, block in group.blocks("neighbor"):
                    found.neighbors.add(self._neighbor(IPv4Address(address), block, instance, found))
        for prefix, block in options.block("static").blocks("route"):
            for via, hop in block.blocks("qualified-next-hop"):
                found.routes.add((IPv4Network(prefix), IPv4Address(via)))
                if hop.number("preference") is None:
                    raise hop.wrong("a static route that hides what BGP learns")
        multicast = options.block("multicast")
        found.ssm_ranges |= {IPv4Network(each) for each in multicast.words("ssm-groups")}
        if instance.name is None:  # scoping is the default instance's to say, for interfaces of all of them
            found.boundaries |= {self._boundary(policy) for policy in multicast.words("scope-policy")}
        pim = instance.protocols.block("pim")
        if pim:
            self._pim(pim, instance, found)
        for address, block in instance.protocols.block("msdp").blocks("peer"):
            found.msdp.add(self._peer(IPv4Address(address), block, instance))

    def _facing(self, address: IPv4Address, instance: _Instance) -> _Unit:
        """The interface of an instance in whose network an address is."""
        for logical in instance.interfaces:
            if any(address in each.network for each in self.units[logical].addresses):
                return self.units[logical]
        raise ValueError(f"line {instance.line}: no interface of the routing instance leads to {address}")

    def _own_interface(self, logical: str, instance: _Instance) -> str:
        """The name of an interface, which has to be one of the instance's own."""
        if logical not in instance.interfaces:
            raise ValueError(f"line {instance.line}: {logical} is not in the routing instance that uses it")
        return self.units[logical].name

    def _bfd(self, block: Block, interface: str, found: _Found) -> bool:
        bfd = block.block("bfd-liveness-detection")
        if not bfd:
            return False
        interval_ms, multiplier = bfd.number("minimum-interval"), bfd.number("multiplier")
        if interval_ms is None or multiplier is None:
            raise bfd.wrong("timers of BFD are left to the router")
        found.bfd.add((interface, interval_ms, multiplier))
        return True

    def _key_chains(self, security: Block) -> Iterator[str]:
        """Key chains that are for TCP-AO."""
        for name, chain in security.block("authentication-key-chains").blocks("key-chain"):
            for _, key in chain.blocks("key"):
                attributes = key.block("ao-attribute")
                numbers = attributes.number("send-id"), attributes.number("recv-id")
                algorithm = attributes.word("cryptographic-algorithm")
                enabled = attributes.word("tcp-ao-option") == "enabled" and key.word("algorithm") == "ao"
                secret, start = key.word("secret"), key.word("start-time")
                if None in (*numbers, algorithm, secret, start) or numbers[0] != numbers[1] or not enabled:
                    raise key.wrong("no key of TCP-AO with one number")
            yield name

    # BGP and MSDP

    def _neighbor(self, address: IPv4Address, block: Block, instance: _Instance, found: _Found) -> NeighborFacts:
        accepting = [term for name in block.words("import") for term in self.policies.before_reject(name)]
        asn, hold_s = block.number("peer-as"), block.number("hold-time") or HOLD_S
        if asn is None:
            raise block.wrong("whose AS is not said")
        ttl = block.word("ttl")
        return NeighborFacts(
            address=address,
            asn=asn,
            accept=frozenset(each for term in accepting for each in term.routes),
            announce=self._announced(block, found),
            accept_paths_of=self.policies.only_as(tuple(accepting)),
            maximum_prefixes=self._most_prefixes(block.block("family", "inet").block("unicast").block("prefix-limit")),
            keepalive_s=hold_s // KEEPALIVES_IN_HOLD,
            hold_s=hold_s,
            authentication=self._authentication(block),
            gtsm=ttl == "255" and self._keeps_gtsm(address),
            first_as=block.has("enforce-first-as"),
            bfd=self._bfd(block, self._facing(address, instance).name, found),
        )

    def _announced(self, block: Block, found: _Found) -> frozenset[Range]:
        """Two policies: what the router originates, and what of that this neighbour hears."""
        names = block.words("export")
        if len(names) != 2:
            raise block.wrong("export is not by two policies")
        originated = self.policies.before_reject(names[0], "next policy")
        for term in originated:
            if term.protocols != ("direct",):
                raise ValueError(f"line {term.line}: what is not connected directly is announced")
        found.networks |= {network for term in originated for network, _ in term.routes}
        return frozenset(each for term in self.policies.before_reject(names[1]) for each in term.routes)

    def _most_prefixes(self, limit: Block) -> int | None:
        """The bound beyond which the session goes, and does not come back by itself."""
        maximum = limit.number("maximum")
        return maximum if limit.has("teardown", "idle-timeout", "forever") else None

    def _authentication(self, block: Block) -> Authentication | None:
        key, algorithm = block.word("authentication-key"), block.word("authentication-algorithm")
        chain = block.word("authentication-key-chain")
        if chain is not None and chain not in self.key_chains:
            raise block.wrong(f"key chain {chain} is not of this text")
        if (chain is None) != (algorithm is None) or algorithm not in (None, "ao"):
            raise block.wrong("authentication is not understood")
        return "md5" if key is not None else "tcp-ao" if chain is not None else None

    def _peer(self, address: IPv4Address, block: Block, instance: _Instance) -> MsdpFacts:
        local = block.word("local-address")
        mine = [
            self.units[logical].name
            for logical in instance.interfaces
            if local in {str(each.ip) for each in self.units[logical].addresses}
        ]
        if len(mine) != 1:
            raise block.wrong("the session is from no interface of the routing instance")
        told = block.words("export")
        if not told or any(self.policies.before_reject(name) for name in told):
            raise block.wrong("a peer is told of sources")
        imported = tuple(term for name in block.words("import") for term in self.policies.before_reject(name))
        for term in imported:
            if not (term.routes and term.sources):
                raise ValueError(f"line {term.line}: any source or any group is taken")
        return MsdpFacts(
            address=address,
            local_interface=mine[0],
            sources=frozenset(sources(imported)),
            groups=frozenset(groups(imported)),
            maximum_active_sources=block.block("active-source-limit").number("maximum"),
            authenticated=block.word("authentication-key") is not None,
        )

    # Multicast

    def _pim(self, pim: Block, instance: _Instance, found: _Found) -> None:
        """PIM where it is said: an interface with IGMP alone takes no part in it, and Junos has no passive kind."""
        for logical, block in pim.blocks("interface"):
            name = self._own_interface(logical, instance)
            if name not in self.without_igmp:  # PIM brings it along
                self.igmp.setdefault(name, _igmp_by_default(name))
            policies = block.words("neighbor-policy")
            allowed = [each for policy in policies for each in self.policies.before_reject(policy)]
            if block.words("mode") not in ((), ("sparse",)) or block.word("version") not in (None, "2"):
                raise block.wrong("neither sparse mode nor version 2")
            found.pim.add(
                PimFacts(
                    interface=name,
                    passive=False,
                    hello_s=block.number("hello-interval") or HELLO_S,
                    neighbors=frozenset(each.network_address for each in groups(tuple(allowed))) if policies else None,
                    dr_priority=block.number("priority"),
                    bfd=self._bfd(block.block("family", "inet"), name, found),
                )
            )
        found.boundaries |= {self._boundary(name) for name in pim.words("import")}
        rendezvous = pim.block("rp")
        registers = rendezvous.words("rp-register-policy")
        for address, block in rendezvous.block("static").blocks("address"):
            found.points.add(RendezvousFacts(IPv4Address(address), _ranges(block), None))
        own = rendezvous.block("local").block("family", "inet")
        mine = own.word("address")
        if mine is not None:
            taken = [term for name in registers for term in self.policies.before_reject(name)]
            senders = frozenset(sources(tuple(taken))) if registers else None
            found.points.add(RendezvousFacts(IPv4Address(mine), _ranges(own), senders))

    def _boundary(self, policy: str) -> tuple[str, frozenset[IPv4Network]]:
        logical, passing = self.policies.boundary(policy)
        return self.units[logical].name, passing

    def _igmp(self, igmp: Block) -> dict[str, IgmpFacts]:
        """By interface. Intervals are the router's, for all interfaces alike."""
        query_interval_s = igmp.number("query-interval") or QUERY_INTERVAL_S
        response_s = igmp.number("query-response-interval") or MAX_RESPONSE_S
        found = {}
        for logical, block in igmp.blocks("interface"):
            name = self.units[logical].name
            if block.has("disable"):
                self.without_igmp.add(name)
                continue
            policies = block.words("group-policy")
            allowed = tuple(term for policy in policies for term in self.policies.before_reject(policy))
            joins = (
                (IPv4Address(group), IPv4Address(source[0]))
                for group, each in block.block("static").blocks("group")
                for source in each.each("source")
            )
            found[name] = IgmpFacts(
                interface=name,
                version=block.number("version") or IGMP_VERSION,
                query_interval_s=query_interval_s,
                max_response_ds=response_s * 10,
                groups=frozenset(groups(allowed)) if policies else None,
                maximum_groups=block.number("group-limit"),
                static_joins=frozenset(joins),
            )
        return found


def _own(unit: _Unit) -> bool:
    """Whether it is the router's own, through which nothing passes."""
    return unit.logical.startswith("lo0.")


def _ranges(point: Block) -> frozenset[IPv4Network]:
    return frozenset(IPv4Network(words[0]) for words in point.block("group-ranges").each())


def _igmp_by_default(interface: str) -> IgmpFacts:
    """IGMP on an interface that PIM was configured on."""
    return IgmpFacts(interface, IGMP_VERSION, QUERY_INTERVAL_S, MAX_RESPONSE_S * 10, None, None, frozenset())
