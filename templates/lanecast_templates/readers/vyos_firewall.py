"""Reads the firewall of VyOS: rules count in the order of their numbers, the first that fits decides.

Of the many filters that could be written one shape is read, so that what it lets in can be said: first all other
interfaces, then what is bounded (each with the drop of what exceeds it), answers, what is not bounded, and at last the
drop of everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import TypeVar

from lanecast_templates.readers.facts import AcceptedFacts, FilterFacts, ForwardedFacts
from lanecast_templates.readers.set_lines import Branch

Networks = frozenset[IPv4Network]
Member = TypeVar("Member")


@dataclass(frozen=True, slots=True)
class _Rule:
    number: int = field(compare=False)
    action: str
    protocol: str | None = None
    inbound: str | None = None
    """An interface, or a group with a ``!`` before it."""
    outbound: str | None = None
    sources: Networks = frozenset()
    source_ports: frozenset[int] = frozenset()
    destinations: Networks = frozenset()
    destination_ports: frozenset[int] = frozenset()
    states: frozenset[str] = frozenset()
    rate_pps: int | None = None


ANSWERS = frozenset({"established", "related"})


class FirewallReader:
    """The filter of a router."""

    def __init__(self, root: Branch) -> None:
        self._root = root
        self._interfaces = {
            name: frozenset(group.values("interface"))
            for name, group in root.tags("firewall", "group", "interface-group")
        }
        self._networks = {
            name: frozenset(IPv4Network(each) for each in group.values(word))
            for kind, word in (("address-group", "address"), ("network-group", "network"))
            for name, group in root.tags("firewall", "group", kind)
        }
        self._used: set[str] = set()

    def facts(self) -> FilterFacts:
        """What it lets in and through."""
        filtered, accepted = self._input(list(self._rules("ipv4", "input")))
        guarded, forwarded = self._forward(list(self._rules("ipv4", "forward")))
        unused = {*self._interfaces, *self._networks} - self._used
        if unused:
            raise ValueError(f"no rule has the group {min(unused)}")
        return FilterFacts(
            filtered=filtered & self._filtered_of_ipv6(),
            accepted=frozenset(accepted),
            guarded=guarded if self._root.flag("system", "ipv6", "disable-forwarding") else frozenset(),
            forwarded=frozenset(forwarded),
        )

    def _group(self, groups: Mapping[str, frozenset[Member]], name: str) -> frozenset[Member]:
        if name not in groups:
            raise ValueError(f"there is no group {name}")
        self._used.add(name)
        return groups[name]

    def _rules(self, version: str, chain: str) -> Iterator[_Rule]:
        """In order; what none of them has is dropped."""
        held = self._root.at("firewall", version, chain, "filter")
        if held is None:
            raise ValueError(f"there is no firewall {version} {chain}")
        if held.value("default-action") != "drop":
            raise ValueError(f"line {held.line}: {held.path}: what no rule has is not dropped")
        for number, branch in sorted(held.tags("rule"), key=lambda each: int(each[0])):
            yield self._rule(int(number), branch)

    def _rule(self, number: int, branch: Branch) -> _Rule:
        branch.skip("description")
        return _Rule(
            number,
            branch.needed("action"),
            branch.value("protocol"),
            self._interface(branch, "inbound-interface"),
            self._interface(branch, "outbound-interface"),
            self._side(branch, "source"),
            self._ports(branch, "source"),
            self._side(branch, "destination"),
            self._ports(branch, "destination"),
            frozenset(branch.values("state")),
            self._rate(branch),
        )

    @staticmethod
    def _interface(branch: Branch, side: str) -> str | None:
        group = branch.value(side, "group")
        if group is not None and not group.startswith("!"):
            raise ValueError(f"line {branch.line}: {branch.path}: a group of interfaces is read only with '!'")
        return group or branch.value(side, "name")

    def _side(self, branch: Branch, side: str) -> Networks:
        address = branch.value(side, "address")
        if address is not None:
            return frozenset({IPv4Network(address)})
        for kind in ("address-group", "network-group"):
            name = branch.value(side, "group", kind)
            if name is not None:
                return self._group(self._networks, name)
        return frozenset()

    @staticmethod
    def _ports(branch: Branch, side: str) -> frozenset[int]:
        return frozenset(int(port) for port in (branch.value(side, "port") or "").split(",") if port)

    @staticmethod
    def _rate(branch: Branch) -> int | None:
        """A bound and its burst: as many as in a second."""
        limit = branch.at("limit")
        if limit is None:
            return None
        rate = limit.needed("rate").removesuffix("/second")
        if limit.needed("burst") != rate:
            raise ValueError(f"line {limit.line}: {limit.path}: the burst is not what a second may have")
        return int(rate)

    def _others(self, rules: list[_Rule], family: str, *, both: bool) -> frozenset[str]:
        """Interfaces that are not among the others which the first rule passes by."""
        first = rules[0] if rules else _Rule(0, "drop")
        group = first.inbound or ""
        expected = _Rule(0, "accept", inbound=group, outbound=group if both else None)
        if first != expected or not group.startswith("!"):
            raise ValueError(f"{family}: rule {first.number} does not pass by all other interfaces")
        return self._group(self._interfaces, group[1:])

    def _filtered_of_ipv6(self) -> frozenset[str]:
        rules = list(self._rules("ipv6", "input"))
        filtered = self._others(rules, "IPv6 input", both=False)
        if len(rules) > 1:
            raise ValueError(f"IPv6 input: rule {rules[1].number} lets something in")
        return filtered

    def _input(self, rules: list[_Rule]) -> tuple[frozenset[str], list[AcceptedFacts]]:
        filtered = self._others(rules, "IPv4 input", both=False)
        accepted, answered, following = [], False, iter(rules[1:])
        for rule in following:
            if rule.states:
                if rule != _Rule(0, "accept", states=ANSWERS):
                    raise ValueError(f"IPv4 input: rule {rule.number} is more or less than answers")
                answered = True
                continue
            if rule.rate_pps is not None:
                excess = next(following, None)
                if answered or excess != replace(rule, action="drop", rate_pps=None):
                    raise ValueError(f"IPv4 input: rule {rule.number}: what exceeds it is not dropped")
            accepted.append(self._accepted(rule))
        if not answered:
            raise ValueError("IPv4 input: no rule lets answers in")
        return filtered, accepted

    @staticmethod
    def _accepted(rule: _Rule) -> AcceptedFacts:
        if rule.action != "accept" or not rule.inbound or not rule.protocol or rule.outbound or rule.source_ports:
            raise ValueError(f"IPv4 input: rule {rule.number} does not accept a protocol from an interface")
        return AcceptedFacts(
            rule.inbound, rule.protocol, rule.sources, rule.destinations, rule.destination_ports, rule.rate_pps
        )

    def _forward(self, rules: list[_Rule]) -> tuple[frozenset[str], list[ForwardedFacts]]:
        guarded = self._others(rules, "IPv4 forward", both=True)
        return guarded, [each for rule in rules[1:] for each in self._forwarded(rule)]

    @staticmethod
    def _forwarded(rule: _Rule) -> Iterator[ForwardedFacts]:
        known = rule.action == "accept" and rule.protocol == "udp" and rule.rate_pps is None
        if not known or not rule.inbound or not rule.outbound or rule.states not in (frozenset(), {"established"}):
            raise ValueError(f"IPv4 forward: rule {rule.number} does not let UDP through between two interfaces")
        anywhere = {IPv4Network("0.0.0.0/0")}
        for source in rule.sources or anywhere:
            for source_port in rule.source_ports or {None}:
                for destination in rule.destinations or anywhere:
                    for destination_port in rule.destination_ports or {None}:
                        yield ForwardedFacts(
                            rule.inbound,
                            rule.outbound,
                            source,
                            source_port,
                            destination,
                            destination_port,
                            bool(rule.states),
                        )
