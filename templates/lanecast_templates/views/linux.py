"""A node in Linux's own terms: what the packet filter matches, and kernel settings by their reach."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from lanecast.fabric import Host
from lanecast.nat_bridge import TRANSLATED_SOURCE_PORTS, Direction, NatBridge, Translation
from lanecast.router import (
    Firewall,
    FirewallRule,
    Router,
    Sysctl,
)
from lanecast_templates.errors import RenderError

PROTOCOL_NUMBERS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "pim": 103, "vrrp": 112}
"""IANA protocol numbers: nft asks /etc/protocols for names, and a bare machine has no such file."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A firewall rule and its protocol's number."""

    rule: FirewallRule
    protocol: int


@dataclass(frozen=True, slots=True)
class TranslationMap:
    """A map of nft: what is translated for one end of a bridge, each with its protocol's number."""

    name: str
    direction: Direction
    elements: tuple[tuple[Translation, int], ...]


@dataclass(frozen=True, slots=True)
class LinuxNat:
    """What a bridge's instance translates."""

    interface: str
    maps: tuple[TranslationMap, ...]
    addresses: tuple[IPv4Address, ...]
    source_ports: str


@dataclass(frozen=True, slots=True)
class LinuxNode:
    """Everything that a node's files besides routing are spelled from."""

    name: str
    firewall: Firewall
    filters: tuple[Filter, ...]
    nat: LinuxNat | None
    settings: tuple[Sysctl, ...]
    machine_settings: tuple[Sysctl, ...]


def linux_node(node: Router | Host) -> LinuxNode:
    """Return ``node`` in Linux's terms. Raises :class:`RenderError` for what Linux cannot say."""
    return LinuxNode(
        name=node.name,
        firewall=node.firewall,
        filters=tuple(_filter(node.name, rule) for rule in node.firewall.rules),
        nat=_nat(node.nat) if isinstance(node, Host) and node.nat is not None else None,
        settings=tuple(setting for setting in node.sysctls if not setting.machine_wide),
        machine_settings=tuple(setting for setting in node.sysctls if setting.machine_wide),
    )


def _nat(bridge: NatBridge) -> LinuxNat:
    first, last = TRANSLATED_SOURCE_PORTS
    return LinuxNat(
        interface=bridge.interface,
        maps=tuple(
            TranslationMap(
                name=f"translations_{number}",
                direction=direction,
                elements=tuple((each, PROTOCOL_NUMBERS[each.protocol]) for each in direction.translations),
            )
            for number, direction in enumerate(bridge.directions, start=1)
        ),
        addresses=tuple(shared.address for shared in bridge.shared),
        source_ports=f"{first}-{last}",
    )


def _filter(node: str, rule: FirewallRule) -> Filter:
    if rule.protocol not in PROTOCOL_NUMBERS:
        raise RenderError(f"{node}: firewall rule {rule.comment}: protocol {rule.protocol} is not known")
    return Filter(rule, PROTOCOL_NUMBERS[rule.protocol])
