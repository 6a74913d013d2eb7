"""What may come in by each interface, and how much of it reaches the control plane, for platforms without state.

Both say what the node's :class:`Firewall` says, in the words of stateless lists: the answers to what the router itself
or a relay asked for have lines of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from lanecast.compiler.filters import BGP_PORT, CONTROL_PPS, MSDP_PORT, host_network
from lanecast.plan.model import AaaProtocol
from lanecast.router import (
    ANYWHERE,
    AccessList,
    AccessRule,
    ControlPlaneClass,
    Firewall,
    FirewallRule,
    ForwardRule,
    Interface,
    InterfaceRole,
    Management,
)

NTP_PORT = 123
TACACS_PORT = 49
"""RFC 8907, section 4.1."""
RADIUS_PORTS = (1812, 1813)
"""RFC 2865, section 3, and RFC 2866, section 3."""

EITHER_END_OPENS = (BGP_PORT, MSDP_PORT)
"""TCP sessions in which the router may be the one that connects, so that answers come from the port."""

TRANSIT = (InterfaceRole.LAN, InterfaceRole.UPLINK)
"""Interfaces between which a router forwards unicast; on the others nothing passes but what a rule names."""


def access_lists(
    interfaces: tuple[Interface, ...], firewall: Firewall, management: Management
) -> tuple[AccessList, ...]:
    """One list for each interface that has one."""
    own = tuple(sorted({address.ip for interface in interfaces for address in interface.addresses}))
    return tuple(
        AccessList(interface.access_list, tuple(_rules(interface, own, firewall, management)))
        for interface in interfaces
        if interface.access_list is not None
    )


def _rules(
    interface: Interface, own: tuple[IPv4Address, ...], firewall: Firewall, management: Management
) -> Iterator[AccessRule]:
    for rule in firewall.rules:
        if rule.interface == interface.name:
            yield from _accepted(rule)
    for forwarded in firewall.forwarded:
        if forwarded.interface == interface.name:
            yield from _forwarded(forwarded)
    if interface.role not in TRANSIT:
        yield AccessRule("everything else", False, "ip")
        return
    yield from _answers(management)
    for address in own:
        yield AccessRule("the router itself", False, "ip", destination=host_network(address))
    yield AccessRule("transit", True, "ip")


def _accepted(rule: FirewallRule) -> Iterator[AccessRule]:
    """A rule for the node's own addresses: of TCP sessions that either end may open, the answers as well."""
    for source in rule.sources or (ANYWHERE,):
        if not rule.ports:
            yield AccessRule(rule.comment, True, rule.protocol, source)
        for port in rule.ports:
            yield AccessRule(rule.comment, True, rule.protocol, source, destination_port=port)
            if rule.protocol == "tcp" and port in EITHER_END_OPENS:
                yield AccessRule(f"{rule.comment}, answers", True, rule.protocol, source, source_port=port)


def _forwarded(rule: ForwardRule) -> Iterator[AccessRule]:
    """A rule for what passes: every source with every destination, each end with its port where it has one."""
    sources: list[tuple[IPv4Network, int | None]] = [(network, None) for network in rule.sources]
    sources += [(IPv4Network(end.address), end.port) for end in rule.source_endpoints]
    destinations: list[tuple[IPv4Network, int | None]] = [(network, None) for network in rule.destinations]
    destinations += [(IPv4Network(end.address), end.port) for end in rule.destination_endpoints]
    for source, source_port in sources:
        for destination, destination_port in destinations:
            yield AccessRule(rule.comment, True, "udp", source, destination, source_port, destination_port)


def _answers(management: Management) -> Iterator[AccessRule]:
    """Answers to what the router asks of servers."""
    if management.ntp is not None:
        for server in management.ntp.servers:
            yield AccessRule("NTP", True, "udp", host_network(server), source_port=NTP_PORT)
    if management.aaa is not None:
        tacacs = management.aaa.protocol is AaaProtocol.TACACS
        for server in management.aaa.servers:
            for port in (TACACS_PORT,) if tacacs else RADIUS_PORTS:
                protocol = "tcp" if tacacs else "udp"
                yield AccessRule(management.aaa.protocol.value, True, protocol, host_network(server), source_port=port)


def control_plane(firewall: Firewall, management: Management) -> tuple[ControlPlaneClass, ...]:
    """Classes of what reaches the router itself: one for each protocol, with the bounds of its interfaces added up."""
    by_comment: dict[str, list[FirewallRule]] = {}
    for rule in firewall.rules:
        by_comment.setdefault(rule.comment, []).append(rule)
    classes = [
        ControlPlaneClass(
            _class_name(comment),
            tuple(dict.fromkeys(each for rule in rules for each in _accepted(rule))),
            sum(rule.rate_pps or CONTROL_PPS for rule in rules),
        )
        for comment, rules in sorted(by_comment.items())
    ]
    answers = tuple(replace(rule, comment="answers") for rule in _answers(management))
    return (*classes, ControlPlaneClass("answers", answers, CONTROL_PPS)) if answers else tuple(classes)


def _class_name(comment: str) -> str:
    """The protocol, which is a rule's first word."""
    return comment.partition(" ")[0].lower()
