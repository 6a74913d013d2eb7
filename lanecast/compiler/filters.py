"""What each node accepts on its own addresses (control-plane protection); the rest is counted and dropped."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from lanecast.plan.model import Platform
from lanecast.platforms import FACTS
from lanecast.router import (
    FirewallRule,
    Interface,
)

ICMP_PPS = 100
"""Enough for path MTU discovery and an operator's ping, too little to keep a control plane busy."""

CONTROL_PPS = 1000
"""Per protocol and interface; PIM, IGMP and BGP of a site send a few packets a second."""

BGP_PORT = 179
SSH_PORT = 22
MSDP_PORT = 639
BFD_PORTS = (3784,)
"""RFC 5881, section 4: single hop."""
MULTIHOP_BFD_PORTS = (3784, 4784)
"""RFC 5883: FRR takes a neighbour with GTSM for one behind several hops, beside PIM's session of a single hop."""
PTP_PORTS = (319, 320)
METRICS_PORT = 9464
"""Where OpenTelemetry's exporters for Prometheus listen by default; no port of ours is near it."""


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


def bfd(interface: Interface, neighbor: IPv4Address, platform: Platform) -> list[FirewallRule]:
    """BFD from one neighbour, where the interface has it."""
    if interface.bfd is None:
        return []
    ports = MULTIHOP_BFD_PORTS if FACTS[platform].runs_frr else BFD_PORTS
    return [FirewallRule("BFD", interface.name, "udp", (host_network(neighbor),), ports=ports, rate_pps=CONTROL_PPS)]


def msdp(interface: Interface, peer: IPv4Address) -> FirewallRule:
    """MSDP from one peer."""
    return FirewallRule("MSDP", interface.name, "tcp", (host_network(peer),), ports=(MSDP_PORT,), rate_pps=CONTROL_PPS)


def metrics(interface: Interface, readers: Iterable[IPv4Network]) -> FirewallRule:
    """The relay's counters for these networks."""
    return FirewallRule("metrics", interface.name, "tcp", tuple(readers), ports=(METRICS_PORT,), rate_pps=CONTROL_PPS)


def ptp(interface: Interface) -> FirewallRule:
    """Event and general messages of PTP (IEEE 1588, annex D) from the interface's own network."""
    network = interface.address.network
    return FirewallRule("PTP", interface.name, "udp", (network,), ports=PTP_PORTS, rate_pps=CONTROL_PPS)


def pim(interface: Interface, neighbor: IPv4Address) -> FirewallRule:
    """PIM from the one allowed neighbour: FRR 8.4 has no neighbour list of its own (STIG NET-MCAST-002)."""
    return FirewallRule(
        "PIM from the neighbour", interface.name, "pim", (host_network(neighbor),), rate_pps=CONTROL_PPS
    )


def igmp(interface: Interface) -> FirewallRule:
    """IGMP from the interface's own network, at a bounded rate."""
    return FirewallRule("IGMP", interface.name, "igmp", (interface.address.network,), rate_pps=CONTROL_PPS)
