"""A node's packet filter in VyOS's terms: numbered rules, and groups where a rule has several addresses.

A rule can bound what it accepts, but drops nothing then: each bounded rule has a second one behind it that drops what
exceeds it. Both stand above the rule for known connections, since a neighbour too can be too loud. A rule has one list
of addresses and one of ports for each side, so pairs of both are grouped by port.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import count

from lanecast.router import Firewall, FirewallRule, ForwardRule
from lanecast_relay.config.model import Endpoint
from lanecast_templates.errors import RenderError

RULE_STEP = 10
FILTERED = "planned"
"""The group of interfaces by which only what a rule accepts comes in."""
GUARDED = "circuits"
"""The group of interfaces to and from which only what a rule accepts is forwarded."""


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses or networks under a name; ``kind`` is ``address`` or ``network``."""

    kind: str
    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """Where packets of a rule come from or go to: one address, or a group; and ports, with commas between them."""

    address: str | None = None
    group: Group | None = None
    ports: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as far as rules of one chain differ."""

    number: int
    description: str
    action: str
    protocol: str
    inbound: str
    outbound: str | None
    source: Side
    destination: Side
    rate_pps: int | None = None
    answers: bool = False


@dataclass(frozen=True, slots=True)
class VyosFirewall:
    """The filter of a router."""

    filtered: tuple[str, ...]
    guarded: tuple[str, ...]
    groups: tuple[Group, ...]
    bounded: tuple[Rule, ...]
    """Rules that stand above the one for known connections."""
    answers_number: int
    """The number of that one."""
    unbounded: tuple[Rule, ...]
    forwarded: tuple[Rule, ...]

    filtered_group: str = FILTERED
    guarded_group: str = GUARDED
    first_number: int = RULE_STEP
    """The rule that passes all other interfaces by."""


def vyos_firewall(node: str, firewall: Firewall) -> VyosFirewall:
    """Return the filter in VyOS's terms. Raises :class:`RenderError` where two groups would have one name."""
    with_bound = [rule for rule in firewall.rules if rule.rate_pps is not None]
    without = [rule for rule in firewall.rules if rule.rate_pps is None]
    numbers = count(2 * RULE_STEP, RULE_STEP)
    bounded = [each for rule in with_bound for each in _bounded(next(numbers), rule)]
    answers_number = next(numbers)
    unbounded = [_accepted(next(numbers), rule, "accept", rule.comment) for rule in without]
    numbers = count(2 * RULE_STEP, RULE_STEP)
    forwarded = [each for rule in firewall.forwarded for each in _forwarded(numbers, rule)]
    return VyosFirewall(
        filtered=firewall.interfaces,
        guarded=firewall.guarded,
        groups=_groups(node, (*bounded, *unbounded, *forwarded)),
        bounded=tuple(bounded),
        answers_number=answers_number,
        unbounded=tuple(unbounded),
        forwarded=tuple(forwarded),
    )


def _bounded(number: int, rule: FirewallRule) -> Iterator[Rule]:
    yield _accepted(number, rule, "accept", rule.comment, rule.rate_pps)
    yield _accepted(number + 1, rule, "drop", f"{rule.comment}, above the rate")


def _accepted(number: int, rule: FirewallRule, action: str, description: str, rate_pps: int | None = None) -> Rule:
    name = _label(rule.comment)
    return Rule(
        number,
        description,
        action,
        rule.protocol,
        rule.interface,
        None,
        source=_side(name, rule.sources),
        destination=_side(f"{name}-to", rule.destinations, rule.ports),
        rate_pps=rate_pps,
    )


def _forwarded(numbers: Iterator[int], rule: ForwardRule) -> Iterator[Rule]:
    """Every source with every destination."""
    name = _label(rule.comment)
    for source in _sides(f"{name}-from", rule.sources, rule.source_endpoints):
        for destination in _sides(f"{name}-to", rule.destinations, rule.destination_endpoints):
            yield Rule(
                next(numbers),
                rule.comment,
                "accept",
                "udp",
                rule.interface,
                rule.out,
                source,
                destination,
                answers=rule.answers,
            )


def _sides(name: str, networks: tuple[IPv4Network, ...], endpoints: tuple[Endpoint, ...]) -> list[Side]:
    by_port: dict[int, list[IPv4Network]] = {}
    for endpoint in endpoints:
        by_port.setdefault(endpoint.port, []).append(IPv4Network(endpoint.address))
    sides = [_side(f"{name}-{port}", each, (port,)) for port, each in sorted(by_port.items())]
    return [_side(name, networks), *sides] if networks or not sides else sides


def _side(name: str, networks: Iterable[IPv4Network], ports: Iterable[int] = ()) -> Side:
    written = tuple(_written(network) for network in networks)
    kind = "network" if any("/" in each for each in written) else "address"
    if kind == "network":
        written = tuple(str(network) for network in networks)
    return Side(
        address=written[0] if len(written) == 1 else None,
        group=Group(kind, name, written) if len(written) > 1 else None,
        ports=",".join(str(port) for port in ports) or None,
    )


def _written(network: IPv4Network) -> str:
    """One address has no length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _label(comment: str) -> str:
    """A comment as a name that groups may have."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", comment)


def _groups(node: str, rules: Iterable[Rule]) -> tuple[Group, ...]:
    groups: dict[tuple[str, str], Group] = {}
    for rule in rules:
        for group in (rule.source.group, rule.destination.group):
            if group is not None and groups.setdefault((group.kind, group.name), group) != group:
                raise RenderError(f"{node}: two groups of different content are called {group.name}")
    return tuple(groups[key] for key in sorted(groups))
