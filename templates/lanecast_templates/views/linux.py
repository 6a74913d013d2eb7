"""A node in Linux's own terms: what the packet filter matches, and kernel settings by their reach."""

from __future__ import annotations

from dataclasses import dataclass

from lanecast.fabric import Host
from lanecast.router import (
    Firewall,
    FirewallRule,
    Router,
    Sysctl,
)
from lanecast_templates.errors import RenderError

PROTOCOL_NUMBERS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "pim": 103}
"""IANA protocol numbers: nft asks /etc/protocols for names, and a bare machine has no such file."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A firewall rule and its protocol's number."""

    rule: FirewallRule
    protocol: int


@dataclass(frozen=True, slots=True)
class LinuxNode:
    """Everything that a node's files besides routing are spelled from."""

    name: str
    firewall: Firewall
    filters: tuple[Filter, ...]
    settings: tuple[Sysctl, ...]
    machine_settings: tuple[Sysctl, ...]


def linux_node(node: Router | Host) -> LinuxNode:
    """Return ``node`` in Linux's terms. Raises :class:`RenderError` for what Linux cannot say."""
    return LinuxNode(
        name=node.name,
        firewall=node.firewall,
        filters=tuple(_filter(node.name, rule) for rule in node.firewall.rules),
        settings=tuple(setting for setting in node.sysctls if not setting.machine_wide),
        machine_settings=tuple(setting for setting in node.sysctls if setting.machine_wide),
    )


def _filter(node: str, rule: FirewallRule) -> Filter:
    if rule.protocol not in PROTOCOL_NUMBERS:
        raise RenderError(f"{node}: firewall rule {rule.comment}: protocol {rule.protocol} is not known")
    return Filter(rule, PROTOCOL_NUMBERS[rule.protocol])
