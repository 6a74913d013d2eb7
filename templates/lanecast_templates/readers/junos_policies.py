"""Policies and packet filters of a Junos text, as their terms say them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

from lanecast.router import ANYWHERE, CONTROL_PACKET_BYTES
from lanecast_templates.readers.facts import AccessFacts, Range
from lanecast_templates.readers.junos_blocks import Block

PolicyAction = Literal["accept", "reject", "next policy"]

HOST_LENGTH = 32
MANAGEMENT_PORT = "fxp0.0"
BGP_PORT = ("179", "bgp")
GTSM_TTL = "255"
"""RFC 5082: what a neighbour that is one hop away sends, and nobody farther off can."""
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a policy; conditions of different kinds must all hold, of one kind any."""

    line: int
    protocols: tuple[str, ...]
    as_paths: tuple[str, ...]
    interfaces: tuple[str, ...]
    routes: tuple[Range, ...]
    """``route-filter``: routes for BGP, groups for multicast, neighbours for PIM."""
    sources: tuple[Range, ...]
    action: PolicyAction

    @property
    def conditional(self) -> bool:
        return bool(self.protocols or self.as_paths or self.interfaces or self.routes or self.sources)


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies of a text by name, and the AS-path expressions that they name."""

    terms: dict[str, tuple[Term, ...]]
    as_paths: dict[str, str]

    def before_reject(self, name: str, action: PolicyAction = "accept") -> tuple[Term, ...]:
        """The terms of a policy that ends in rejecting everything, all of which ``action`` what they name."""
        *named, last = self.terms[name]
        if last.action != "reject" or last.conditional:
            raise ValueError(f"line {last.line}: {name} does not end in rejecting everything else")
        for term in named:
            if term.action != action or not term.conditional:
                raise ValueError(f"line {term.line}: a term of {name} that does not {action} what it names")
        return tuple(named)

    def only_as(self, terms: tuple[Term, ...]) -> int | None:
        """The AS of which alone paths may be that these terms take; None where one takes other paths as well."""
        found = {self.as_paths.get(name, "") for term in terms for name in term.as_paths}
        repeated = re.fullmatch(r"([1-9]\d*)\+", found.pop()) if len(found) == 1 else None
        return int(repeated[1]) if repeated and all(term.as_paths for term in terms) else None

    def boundary(self, name: str) -> tuple[str, frozenset[IPv4Network]]:
        """The interface that a policy bounds, and the groups that may pass it."""
        *named, last = self.terms[name]
        interfaces = {interface for term in self.terms[name] for interface in term.interfaces}
        bounded = last.action == "reject" and not last.routes and all(term.interfaces for term in self.terms[name])
        if not bounded or len(interfaces) != 1 or any(term.action != "accept" for term in named):
            raise ValueError(f"line {last.line}: {name} does not bound one interface")
        return interfaces.pop(), frozenset(groups(tuple(named)))


def groups(terms: tuple[Term, ...]) -> Iterator[IPv4Network]:
    """The ranges of groups, or of senders, that terms name."""
    for term in terms:
        for network, longest in term.routes:
            yield _whole(network, longest, term)


def sources(terms: tuple[Term, ...]) -> Iterator[IPv4Network]:
    """The senders that terms name."""
    for term in terms:
        for network, longest in term.sources:
            yield _whole(network, longest, term)


def _whole(network: IPv4Network, longest: int, term: Term) -> IPv4Network:
    """A range of addresses: each of them is a host prefix, so one that reaches less far has none of them."""
    if longest != HOST_LENGTH:
        raise ValueError(f"line {term.line}: no address is in {network} up to /{longest}")
    return network


def policies_of(options: Block) -> Policies:
    """Everything below ``policy-options``."""
    terms = {name: tuple(_policy(block)) for name, block in options.blocks("policy-statement")}
    return Policies(terms, {words[0]: words[1] for words in options.each("as-path")})


def _policy(block: Block) -> Iterator[Term]:
    for _, term in block.blocks("term"):
        yield _term(term)
    if block:
        yield _term(block)  # the last one may have no name


def _term(block: Block) -> Term:
    conditions, actions = block.inline("from"), block.inline("then")
    found: list[PolicyAction] = [each for each in ("accept", "reject") if actions.has(each)]
    found += ["next policy"] if actions.has("next", "policy") else []
    if len(found) != 1:
        raise block.wrong("a term that neither accepts nor rejects")
    return Term(
        line=block.line,
        protocols=conditions.words("protocol"),
        as_paths=conditions.words("as-path"),
        interfaces=conditions.words("interface"),
        routes=tuple(_range(words, block) for words in conditions.each("route-filter")),
        sources=tuple(_range(words, block) for words in conditions.each("source-address-filter")),
        action=found[0],
    )


def _range(words: tuple[str, ...], block: Block) -> Range:
    network = IPv4Network(words[0])
    match words[1:]:
        case ("exact",):
            return network, network.prefixlen
        case ("orlonger",):
            return network, HOST_LENGTH
        case ("upto", length):
            return network, int(length.removeprefix("/"))
        case _:
            raise block.wrong(f"route-filter {' '.join(words)} is not understood")


@dataclass(frozen=True, slots=True)
class FilterTerm:
    """A term of a packet filter, as all the lines that it stands for."""

    line: int
    rules: tuple[AccessFacts, ...]
    policer: str | None
    far_bgp: bool
    """BGP that did not come with the hop limit of a neighbour (RFC 5082)."""
    out_of_band: bool
    """What comes in by the management port, which no plan has."""

    @property
    def everything_else(self) -> bool:
        """Whether it drops whatever reaches it."""
        return not self.out_of_band and self.rules == (AccessFacts(False, "ip", ANYWHERE, ANYWHERE, None, None),)


@dataclass(frozen=True, slots=True)
class Policer:
    """A bound for all the terms that share it."""

    line: int
    rate_pps: int
    whole_filter: bool
    """One bound for the filter, not one for each of its terms."""


def filters_of(firewall: Block) -> dict[str, tuple[FilterTerm, ...]]:
    """The packet filters of IPv4 by name."""
    family = firewall.block("family", "inet")
    return {
        name: tuple(_filter_term(term) for _, term in block.blocks("term")) for name, block in family.blocks("filter")
    }


def policers_of(firewall: Block) -> dict[str, Policer]:
    """The policers by name, in packets."""
    found = {}
    for name, block in firewall.blocks("policer"):
        limits = block.block("if-exceeding")
        bits, burst = limits.word("bandwidth-limit"), limits.word("burst-size-limit")
        if bits is None or burst is None or not block.inline("then").has("discard"):
            raise block.wrong(f"policer {name} bounds nothing")
        rate_pps, rest = divmod(_scaled(bits), CONTROL_PACKET_BYTES * 8)
        if rest:
            raise block.wrong(f"policer {name}: {bits} bits are no whole number of packets")
        found[name] = Policer(block.line, rate_pps, block.has("filter-specific"))
    return found


def _scaled(text: str) -> int:
    number = text.rstrip("kmg")
    return int(number) * UNITS[text[len(number) :]]


def _filter_term(block: Block) -> FilterTerm:
    conditions, actions = block.inline("from"), block.inline("then")
    permit = actions.has("accept")
    policer = actions.word("policer")
    if not permit and not (actions.has("discard") and actions.word("count") is not None):
        raise block.wrong("a term that neither accepts nor counts and discards")
    protocol = conditions.word("protocol") or "ip"
    either, ttl = conditions.word("port"), conditions.word("ttl-except")
    far_bgp = (protocol, ttl, permit) == ("tcp", GTSM_TTL, False) and either in BGP_PORT
    if not far_bgp and (either is not None or ttl is not None):
        raise block.wrong("port and ttl-except are understood for far-off BGP alone")
    sources_ = [IPv4Network(words[0]) for words in conditions.block("source-address").each()] or [ANYWHERE]
    destinations = [IPv4Network(words[0]) for words in conditions.block("destination-address").each()] or [ANYWHERE]
    ports = conditions.number("source-port"), conditions.number("destination-port")
    if protocol not in ("tcp", "udp") and ports != (None, None):
        raise block.wrong("ports of a protocol that is not said")
    rules = tuple(
        AccessFacts(permit, protocol, source, destination, *ports)
        for source in sources_
        for destination in destinations
    )
    interface = conditions.word("interface")
    if interface not in (None, MANAGEMENT_PORT):
        raise block.wrong(f"a term for what comes in by {interface} alone")
    return FilterTerm(block.line, rules, policer, far_bgp, out_of_band=interface is not None)
