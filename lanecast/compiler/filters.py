"""What each node accepts on its own addresses (control-plane protection); the rest is counted and dropped."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from lanecast.fabric import FirewallRule, Interface

ICMP_PPS = 100
"""Enough for path MTU discovery and an operator's ping, too little to keep a control plane busy."""

CONTROL_PPS = 1000
"""Per protocol and interface; PIM, IGMP and BGP of a site send a few packets a second."""

BGP_PORT = 179
SSH_PORT = 22


def host_network(address: IPv4Address) -> IPv4Network:
    """One address as a network."""
    return IPv4Network(address)


def icmp(interface: Interface) -> FirewallRule:
    """ICMP at a bounded rate."""
    return FirewallRule("ICMP", interface.name, "icmp", rate_pps=ICMP_PPS)


def ssh(interface: Interface, management: Iterable[IPv4Network]) -> list[FirewallRule]:
    """SSH from the plan's management networks only; none when the plan names none."""
    sources = tuple(management)
    return [FirewallRule("SSH from management", interface.name, "tcp", sources, ports=(SSH_PORT,))] if sources else []


def bgp(interface: Interface, neighbor: IPv4Address) -> FirewallRule:
    """BGP from one neighbour."""
    return FirewallRule(
        "BGP", interface.name, "tcp", (host_network(neighbor),), ports=(BGP_PORT,), rate_pps=CONTROL_PPS
    )


def pim(interface: Interface, neighbor: IPv4Address) -> FirewallRule:
    """PIM from the one allowed neighbour: FRR 8.4 has no neighbour list of its own (STIG NET-MCAST-002)."""
    return FirewallRule(
        "PIM from the neighbour", interface.name, "pim", (host_network(neighbor),), rate_pps=CONTROL_PPS
    )


def igmp(interface: Interface) -> FirewallRule:
    """IGMP from the interface's own network, at a bounded rate."""
    return FirewallRule("IGMP", interface.name, "igmp", (interface.address.network,), rate_pps=CONTROL_PPS)
