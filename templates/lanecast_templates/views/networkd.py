"""A Linux node's interfaces in systemd-networkd's terms (systemd.network(5), systemd.netdev(5)).

One ``.network`` file an interface of the plan, one ``.netdev`` file a VLAN. Interfaces outside the plan have no file
here, so networkd leaves them to whoever has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface

from lanecast.fabric import Host
from lanecast.plan.model import Platform
from lanecast.router import Interface, InterfaceRole, Route, Router
from lanecast_templates.errors import RenderError

PREFIX = "10-lanecast-"
"""networkd takes the first file, by name, that matches an interface: ours come before a distribution's."""


@dataclass(frozen=True, slots=True)
class NetworkdLink:
    """What a ``.network`` file says of one interface."""

    name: str
    purpose: str
    vlans: tuple[str, ...]
    """The VLANs that the port carries."""
    addresses: tuple[IPv4Interface, ...]
    routes: tuple[Route, ...]
    kept: bool
    """FRR puts addresses and routes there: networkd must not take them for leftovers."""

    @property
    def file(self) -> str:
        """What its file is called."""
        return f"{PREFIX}{self.name}.network"


@dataclass(frozen=True, slots=True)
class NetworkdVlan:
    """What a ``.netdev`` file says of one VLAN."""

    name: str
    id: int

    @property
    def file(self) -> str:
        """What its file is called."""
        return f"{PREFIX}{self.name}.netdev"


@dataclass(frozen=True, slots=True)
class NetworkdNode:
    """A node's files."""

    links: tuple[NetworkdLink, ...]
    vlans: tuple[NetworkdVlan, ...]
    routed_by_frr: bool


def networkd_node(node: Router | Host) -> NetworkdNode:
    """Return ``node`` in networkd's terms. Raises :class:`RenderError` for what it cannot say."""
    routed_by_frr = isinstance(node, Router) and node.platform is Platform.FRR
    ports = [interface for interface in node.interfaces if not _is_loopback(interface)]
    tagged = {interface.name: _parent(node, interface) for interface in ports if interface.vlan is not None}
    own = {interface.name: interface for interface in ports}
    names = sorted({*own, *tagged.values()})
    return NetworkdNode(
        links=tuple(
            NetworkdLink(
                name=name,
                purpose=_purpose(own.get(name)),
                vlans=tuple(sorted(vlan for vlan, parent in tagged.items() if parent == name)),
                addresses=() if routed_by_frr or name not in own else own[name].addresses,
                routes=() if routed_by_frr else tuple(_routes(node, name)),
                kept=routed_by_frr,
            )
            for name in names
        ),
        vlans=tuple(NetworkdVlan(port.name, port.vlan) for port in ports if port.vlan is not None),
        routed_by_frr=routed_by_frr,
    )


def _is_loopback(interface: Interface) -> bool:
    """The kernel brings up the loopback, and FRR gives it addresses."""
    return interface.role is InterfaceRole.LOOPBACK


def _parent(node: Router | Host, interface: Interface) -> str:
    if interface.parent is None:
        raise RenderError(f"{node.name}: no port carries the VLAN of {interface.name}")
    return interface.parent


def _purpose(interface: Interface | None) -> str:
    return "port of the VLANs below" if interface is None else f"{interface.role} {interface.attached_to}"


def _routes(node: Router | Host, interface: str) -> Iterator[Route]:
    yield from (route for route in node.routes if route.interface == interface)
