"""A node in Linux's own terms: its VLANs, what the packet filter matches, and the devices that units wait for."""

from __future__ import annotations

from dataclasses import dataclass

from lanecast.fabric import Host
from lanecast.router import (
    Firewall,
    FirewallRule,
    Interface,
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
    interfaces: tuple[Interface, ...]
    vlans: tuple[Interface, ...]
    parents: tuple[str, ...]
    port_devices: tuple[str, ...]
    """systemd's names of the node's ports, which are there without our doing."""
    parent_devices: tuple[str, ...]
    """systemd's names of the ports that carry VLANs."""
    firewall: Firewall
    filters: tuple[Filter, ...]
    settings: tuple[Sysctl, ...]
    machine_settings: tuple[Sysctl, ...]


def linux_node(node: Router | Host) -> LinuxNode:
    """Return ``node`` in Linux's terms. Raises :class:`RenderError` for what Linux cannot say."""
    vlans = tuple(interface for interface in node.interfaces if interface.vlan is not None)
    unplaced = [interface.name for interface in vlans if interface.parent is None]
    if unplaced:
        raise RenderError(f"{node.name}: no port carries the VLAN of {', '.join(unplaced)}")
    ports = [interface.name for interface in node.interfaces if interface.vlan is None]
    parents = tuple(sorted({interface.parent for interface in vlans if interface.parent is not None}))
    return LinuxNode(
        name=node.name,
        interfaces=node.interfaces,
        vlans=vlans,
        parents=parents,
        port_devices=tuple(device_unit(port) for port in sorted({*ports, *parents})),
        parent_devices=tuple(device_unit(port) for port in parents),
        firewall=node.firewall,
        filters=tuple(_filter(node.name, rule) for rule in node.firewall.rules),
        settings=tuple(setting for setting in node.sysctls if not setting.machine_wide),
        machine_settings=tuple(setting for setting in node.sysctls if setting.machine_wide),
    )


def _filter(node: str, rule: FirewallRule) -> Filter:
    if rule.protocol not in PROTOCOL_NUMBERS:
        raise RenderError(f"{node}: firewall rule {rule.comment}: protocol {rule.protocol} is not known")
    return Filter(rule, PROTOCOL_NUMBERS[rule.protocol])


def device_unit(interface: str) -> str:
    """systemd's unit of a network interface; names are escaped as in systemd.unit(5)."""
    escaped = "".join(c if c.isascii() and (c.isalnum() or c in "_.:") else f"\\x{ord(c):02x}" for c in interface)
    return f"sys-subsystem-net-devices-{escaped}.device"
