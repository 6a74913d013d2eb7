"""What of a router NX-OS on the Nexus 9000 has no words for."""

from __future__ import annotations

from collections.abc import Iterator

from lanecast.router import Bgp, InterfaceKind, MulticastRouting, Router

RESERVED_VRFS = ("default", "management")
RESERVED_VLANS = range(3968, 4095)
"""The switch's own unless it is told otherwise (Layer 2 guide, Configuring VLANs, VLAN Ranges)."""
VLAN_NAME_CHARACTERS = 32
USER_CHARACTERS = 28
BFD_MS = range(50, 1000)
PREFERENCES = range(1, 255)
"""255 is a route that is never used."""
MAXIMUM_PREFIXES = 300_000
HOLD_S = range(3601)
CONNECT_RETRY_S = range(1, 61)
QUERY_INTERVAL_S = range(1, 18_001)
PTP_DOMAINS = range(128)


def problems(router: Router) -> Iterator[str]:
    """One sentence each."""
    yield from _of_interfaces(router)
    yield from _of_multicast(router.multicast) if router.multicast else ()
    for route in router.routes:
        if route.metric not in PREFERENCES:
            yield f"route {route.prefix}: metric {route.metric} is no preference (1 to 254)"
    yield from _of_bgp(router.bgp) if router.bgp else ()
    ptp = router.management.ptp
    if ptp is not None and ptp.domain not in PTP_DOMAINS:
        yield f"PTP domain {ptp.domain} is beyond 127"
    for user in router.management.users:
        if len(user.name) > USER_CHARACTERS:
            yield f"user {user.name}: a name has at most {USER_CHARACTERS} characters"


def _of_interfaces(router: Router) -> Iterator[str]:
    if router.vrf in RESERVED_VRFS:
        yield f"the VRF {router.vrf} is the switch's own"
    for each in router.interfaces:
        if each.bfd is not None and each.bfd.interval_ms not in BFD_MS:
            yield f"{each.name}: BFD's interval is 50 to 999 ms, not {each.bfd.interval_ms}"
        if each.kind is InterfaceKind.VLAN_INTERFACE and each.name not in {vlan.interface for vlan in router.vlans}:
            yield f"{each.name} is of no VLAN that the router switches"
    for vlan in router.vlans:
        if vlan.id in RESERVED_VLANS:
            yield f"VLAN {vlan.id} is the switch's own ({RESERVED_VLANS[0]} to {RESERVED_VLANS[-1]})"
        if len(vlan.name) > VLAN_NAME_CHARACTERS:
            yield f"VLAN {vlan.id}: {vlan.name} is longer than {VLAN_NAME_CHARACTERS} characters"


def _of_bgp(bgp: Bgp) -> Iterator[str]:
    if bgp.hold_s not in HOLD_S:
        yield f"BGP's hold time is at most {HOLD_S[-1]} s, not {bgp.hold_s}"
    if bgp.connect_retry_s not in CONNECT_RETRY_S:
        yield f"BGP tries again after at most {CONNECT_RETRY_S[-1]} s, not {bgp.connect_retry_s}"
    for neighbor in bgp.neighbors:
        if neighbor.tcp_ao is not None:
            yield f"neighbor {neighbor.address}: no command for TCP-AO is known"
        if neighbor.maximum_prefixes > MAXIMUM_PREFIXES:
            yield f"neighbor {neighbor.address}: at most {MAXIMUM_PREFIXES} prefixes are counted"


def _of_multicast(multicast: MulticastRouting) -> Iterator[str]:
    pim = {each.interface: each for each in multicast.pim}
    igmp = {each.interface: each for each in multicast.igmp}
    for name, prefixes in multicast.boundaries:
        if name not in pim:
            yield f"{name}: a boundary is a policy of PIM or IGMP, and neither is on it"
        elif pim[name].passive and (name not in igmp or igmp[name].groups != prefixes):
            yield f"{name}: towards hosts the boundary is what may be joined, so both are one list"
    for name, each in igmp.items():
        if each.query_interval_s not in QUERY_INTERVAL_S:
            yield f"{name}: IGMP asks at most every {QUERY_INTERVAL_S[-1]} s, not {each.query_interval_s}"
        if each.max_response_ds % 10:
            yield f"{name}: IGMP's response time is in whole seconds, not {each.max_response_ds} tenths"
    local = [point for point in multicast.rendezvous_points if point.local]
    if len({point.register_sources for point in local}) > 1:
        yield "registers are filtered alike for all of the switch's rendezvous points"
