"""Kernel settings of routers and hosts, from what their interfaces are for."""

from __future__ import annotations

from lanecast.plan.model import Multicast, Platform
from lanecast.router import Interface, InterfaceRole, ReversePath, Sysctl

RECEIVE_BUFFER_MAXIMUM_BYTES = 64 * 2**20
"""What net.core.rmem_max must allow, so that a relay without privileges gets the buffer that its file asks for."""


REVERSE_PATH = {
    InterfaceRole.CIRCUIT: ReversePath.LOOSE,
    InterfaceRole.MULTICAST: ReversePath.LOOSE,
    InterfaceRole.SOURCE: ReversePath.LOOSE,
    InterfaceRole.LAN: ReversePath.STRICT,
    InterfaceRole.UPLINK: ReversePath.STRICT,
    InterfaceRole.CLOUD: ReversePath.STRICT,
}
"""RFC 3704: loose where multicast arrives off the unicast path, strict elsewhere."""

RP_FILTER = {ReversePath.LOOSE: ("2", "loose: multicast arrives here"), ReversePath.STRICT: ("1", "strict")}
"""Linux's figures for it (ip-sysctl), and why."""


def _reverse_path(interfaces: tuple[Interface, ...]) -> list[Sysctl]:
    """What each interface asks for; ``all`` must not override it."""
    settings = [Sysctl("net/ipv4/conf/all/rp_filter", "0", "the interfaces below decide, the larger value would win")]
    for interface in interfaces:
        if interface.role in REVERSE_PATH:
            value, comment = RP_FILTER[REVERSE_PATH[interface.role]]
            settings.append(Sysctl(f"net/ipv4/conf/{interface.name}/rp_filter", value, comment))
    return settings


def _no_redirects(interfaces: tuple[Interface, ...]) -> list[Sysctl]:
    settings = []
    for name in ("all", *(interface.name for interface in interfaces)):
        base = f"net/ipv4/conf/{name}"
        settings += [
            Sysctl(f"{base}/send_redirects", "0", "no redirects out"),
            Sysctl(f"{base}/accept_redirects", "0", "no redirects in"),
            Sysctl(f"{base}/accept_source_route", "0", "no source routing"),
            Sysctl(f"{base}/bc_forwarding", "0", "no directed broadcasts"),
        ]
    return settings


def site_router_settings(
    platform: Platform, interfaces: tuple[Interface, ...], multicast: Multicast
) -> tuple[Sysctl, ...]:
    """What a site's router needs of the kernel, where its platform has one and no commands of its own for it."""
    match platform:
        case Platform.FRR:
            return router_settings(interfaces, multicast)
        case Platform.VYOS:
            return (_memberships(multicast),)
        case _:
            return ()


def router_settings(interfaces: tuple[Interface, ...], multicast: Multicast) -> tuple[Sysctl, ...]:
    """Forwarding, reverse-path filters and housekeeping of a router."""
    return (
        Sysctl("net/ipv4/ip_forward", "1", "a router forwards"),
        *_reverse_path(interfaces),
        *_no_redirects(interfaces),
        _memberships(multicast),
    )


def bridge_settings(interfaces: tuple[Interface, ...]) -> tuple[Sysctl, ...]:
    """An instance that translates: it forwards, in and out by one interface, and tells nobody of a shorter way."""
    return (
        Sysctl("net/ipv4/ip_forward", "1", "a bridge forwards"),
        *_reverse_path(interfaces),
        *_no_redirects(interfaces),
    )


def relay_settings(interfaces: tuple[Interface, ...], multicast: Multicast) -> tuple[Sysctl, ...]:
    """A relay host: it does not forward, speaks IGMPv3 only, and may ask for large receive buffers."""
    version = [
        Sysctl(f"net/ipv4/conf/{interface.name}/force_igmp_version", "3", "source filters need IGMPv3 (RFC 4604)")
        for interface in interfaces
        if interface.role is InterfaceRole.MULTICAST
    ]
    return (
        Sysctl("net/ipv4/ip_forward", "0", "multicast and unicast sides stay apart"),
        *_reverse_path(interfaces),
        *_no_redirects(interfaces),
        *_link_states(interfaces),
        *version,
        _memberships(multicast),
        receive_buffer_setting(),
    )


def _link_states(interfaces: tuple[Interface, ...]) -> list[Sysctl]:
    """Linux keeps to a route of a port whose cable is out, and so away from the next metric, unless it is told."""
    return [
        Sysctl(f"net/ipv4/conf/{interface.name}/ignore_routes_with_linkdown", "1", "without a link, the next metric")
        for interface in interfaces
    ]


def receive_buffer_setting() -> Sysctl:
    """The machine-wide ceiling of socket receive buffers."""
    return Sysctl(
        "net/core/rmem_max", str(RECEIVE_BUFFER_MAXIMUM_BYTES), "bytes; the relay asks for less", machine_wide=True
    )


def _memberships(multicast: Multicast) -> Sysctl:
    return Sysctl("net/ipv4/igmp_max_memberships", str(multicast.memberships), "the plan's multicast.memberships")
