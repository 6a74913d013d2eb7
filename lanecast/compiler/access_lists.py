"""What may come in by each interface, and how much of it reaches the control plane, for platforms without state.

Both say what the node's :class:`Firewall` says, in the words of stateless lists: the answers to what the router itself
or a relay asked for have lines of their own. Such a list is asked where a packet comes in, whether it is for the router
or passes it. So what is accepted names the router's address wherever ``any`` would let it through a circuit, and what
must not leave by a circuit is dropped before it gets there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from itertools import product

from lanecast.compiler.filters import BGP_PORT, CONTROL_PPS, MSDP_PORT, host_network
from lanecast.plan.model import AaaProtocol
from lanecast.router import (
    ANYWHERE,
    AccessList,
    AccessRule,
    Bgp,
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

TO_GROUPS = ("igmp", "pim")
"""Protocols that speak to multicast groups, which are no address of the router's."""

LISTENED_TO = (IPv4Network("224.0.0.0/4"), IPv4Network("255.255.255.255/32"))
"""What a router hears that is not for one of its addresses; nothing between relays and the cloud is for these."""


def access_lists(
    interfaces: tuple[Interface, ...], firewall: Firewall, management: Management, bgp: Bgp | None
) -> tuple[AccessList, ...]:
    """One list for each interface that has one."""
    own = tuple(sorted({address.ip for interface in interfaces for address in interface.addresses}))
    behind = _behind_circuits(firewall, bgp)
    return tuple(
        AccessList(
            interface.access_list,
            tuple(
                _transit_rules(interface, own, behind, firewall, management)
                if interface.role in TRANSIT
                else _closed_rules(interface, firewall)
            ),
        )
        for interface in interfaces
        if interface.access_list is not None
    )


def _behind_circuits(firewall: Firewall, bgp: Bgp | None) -> tuple[IPv4Network, ...]:
    """What the guarded interfaces lead to: their neighbours, and all that these may announce."""
    neighbors = [each for each in (bgp.neighbors if bgp else ()) if each.interface in firewall.guarded]
    found = {host_network(each.address) for each in neighbors}
    found.update(network for each in neighbors for network in each.accept.permitted)
    return tuple(sorted(found))


def _closed_rules(interface: Interface, firewall: Firewall) -> Iterator[AccessRule]:
    """By a circuit or from relays' multicast interfaces nothing comes but what is named."""
    own = tuple(host_network(address.ip) for address in interface.addresses)
    for rule in firewall.rules:
        if rule.interface == interface.name:
            yield from _accepted(rule, (ANYWHERE,) if rule.protocol in TO_GROUPS else own)
    for forwarded in firewall.forwarded:
        if forwarded.interface == interface.name:
            yield from _forwarded(forwarded)
    yield AccessRule("everything else", False, "ip")


def _transit_rules(
    interface: Interface,
    own: tuple[IPv4Address, ...],
    behind: tuple[IPv4Network, ...],
    firewall: Firewall,
    management: Management,
) -> Iterator[AccessRule]:
    """Between relays and the cloud everything passes; nothing of it leaves by a circuit."""
    for network in behind:
        yield AccessRule("nothing by a circuit", False, "ip", destination=network)
    for rule in firewall.rules:
        if rule.interface == interface.name:
            yield from _accepted(rule)
    yield from _answers(management)
    for address in own:
        yield AccessRule("the router itself", False, "ip", destination=host_network(address))
    for network in LISTENED_TO:
        yield AccessRule("the router itself", False, "ip", destination=network)
    yield AccessRule("transit", True, "ip")


def _accepted(rule: FirewallRule, destinations: tuple[IPv4Network, ...] = (ANYWHERE,)) -> Iterator[AccessRule]:
    """A rule for the node's own addresses: of TCP sessions that either end may open, the answers as well."""
    for source, destination in product(rule.sources or (ANYWHERE,), destinations):
        if not rule.ports:
            yield AccessRule(rule.comment, True, rule.protocol, source, destination)
        for port in rule.ports:
            yield AccessRule(rule.comment, True, rule.protocol, source, destination, destination_port=port)
            if rule.protocol == "tcp" and port in EITHER_END_OPENS:
                yield AccessRule(f"{rule.comment}, answers", True, rule.protocol, source, destination, source_port=port)


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
