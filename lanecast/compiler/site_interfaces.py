"""A site router's interfaces: on circuits, uplinks and its two segments, and a rendezvous point's loopback."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

from lanecast.compiler.context import Context
from lanecast.compiler.kernel_settings import REVERSE_PATH
from lanecast.compiler.timing import bfd
from lanecast.plan.layout import SiteLayout, link_ends
from lanecast.plan.model import Circuit, Platform, Uplink
from lanecast.plan.model import TcpAo as PlannedTcpAo
from lanecast.platforms import FACTS
from lanecast.router import Interface, InterfaceRole, TcpAo

LOOPBACK = "rendezvous"
"""What the interface of a rendezvous point's address is attached to."""


def access_list_name(attached_to: str) -> str:
    """What the list of what may come in by an interface is called; platforms want a letter first."""
    return f"in-{attached_to}"


def segment_name(router: str, purpose: str) -> str:
    """The name of a router's ``multicast`` or ``lan`` segment."""
    return f"{router}-{purpose}"


def tagged(port: str, vlan: int) -> str:
    """The name of a VLAN subinterface on a port."""
    return f"{port}.{vlan}"


def circuit_interface(layout: SiteLayout, router: str, name: str) -> Interface:
    """A router's interface on a circuit."""
    return _line_interface(layout, router, name, layout.site.circuits[name], InterfaceRole.CIRCUIT)


def uplink_interface(layout: SiteLayout, router: str, name: str) -> Interface:
    """A router's interface on an uplink."""
    return _line_interface(layout, router, name, layout.site.uplinks[name], InterfaceRole.UPLINK)


def _line_interface(
    layout: SiteLayout, router: str, name: str, line: Circuit | Uplink, role: InterfaceRole
) -> Interface:
    port = layout.port(router, name, name)
    return Interface(
        tagged(port, line.vlan),
        role,
        (IPv4Interface(f"{link_ends(line.link)[1]}/{line.link.prefixlen}"),),
        name,
        line.vlan,
        port,
        reverse_path=REVERSE_PATH[role],
        access_list=access_list_name(name),
        bfd=bfd(line.bfd),
    )


def segment_interface(context: Context, layout: SiteLayout, router: str, purpose: str) -> Interface:
    """A router's interface on one of its segments."""
    role = {"multicast": InterfaceRole.MULTICAST, "lan": InterfaceRole.LAN}[purpose]
    switched = layout.switched_vlan(router, purpose)
    name = segment_name(router, purpose)
    return Interface(
        layout.segment_interface(router, purpose),
        role,
        (context.router_address(context.segment(layout.name, router, purpose)),),
        name,
        None if switched is None else switched.vlan,
        reverse_path=REVERSE_PATH[role],
        access_list=access_list_name(name),
    )


def loopback_interface(platform: Platform, address: IPv4Network, vrf: str | None = None) -> Interface:
    """The interface of a rendezvous point's address."""
    facts = FACTS[platform]
    name = facts.loopback if vrf is None or facts.vrf_loopback is None else facts.vrf_loopback
    return Interface(name, InterfaceRole.LOOPBACK, (IPv4Interface(address),), LOOPBACK)


def tcp_ao(planned: PlannedTcpAo | None) -> TcpAo | None:
    """A neighbour's key, as both ends have it."""
    return None if planned is None else TcpAo(planned.key_id, planned.algorithm, planned.secret)
