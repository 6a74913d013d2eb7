"""FRR, typed in vtysh. Every entry was tried on FRR 8.4 (``tests/templates/test_remediation_frr.py``)."""

from __future__ import annotations

from hier_config import Platform

from lanecast_templates.remediation.dialect import Afterwards, Below, BlockDialect, Numbered, Owned, Session, Setting
from lanecast_templates.remediation.lines import frr_lines

_NEIGHBOR_FAMILY = (
    "neighbor {} prefix-list _ in",
    "neighbor {} prefix-list _ out",
    "neighbor {} filter-list _ in",
    "neighbor {} filter-list _ out",
    "neighbor {} route-map _ in",
    "neighbor {} route-map _ out",
    "neighbor {} maximum-prefix ...",
)

# FRR 8.4 holds routes that it has against a changed list only when it asks for them again; what it announces it holds
# against it by itself.
_SOFT_IN = tuple(
    Afterwards(changed, rf"neighbor (?P<peer>\S+) {used} (?P<list>\S+) in$", "clear bgp ipv4 unicast {} soft in")
    for changed, used in (
        ("ip prefix-list {}", "prefix-list"),
        ("bgp as-path access-list {}", "filter-list"),
        ("route-map {}", "route-map"),
    )
)

FRR = BlockDialect(
    platform="frr",
    rules=Platform.GENERIC,
    session=Session(
        enter=("configure terminal",),
        leave=("end",),
        keep="put the new etc/frr/frr.conf in place; `write memory` would spell it FRR's way",
        atomic=False,
    ),
    read=frr_lines,
    # FRR writes these two itself.
    ignored=("frr version", "frr defaults"),
    settings={
        "": (
            "hostname _",
            "log syslog ...",
            "ip pim ssm prefix-list ...",
            "ip pim register-accept-list _",
            "ip pim rp {} prefix-list _",
            Setting("ip msdp peer {} source ...", undo="no ip msdp peer {}"),
        ),
        "router pim": (
            "ssm prefix-list ...",
            "register-accept-list _",
            "rp {} prefix-list _",
            Setting("msdp peer {} source ...", undo="no msdp peer {}"),
            "msdp peer {} password ...",
            "msdp peer {} sa-filter _ in",
            "msdp peer {} sa-filter _ out",
            "msdp peer {} sa-limit ...",
        ),
        "interface": (
            "description ...",
            "ip pim hello ...",
            "ip pim drpriority ...",
            "ip pim use-source ...",
            # Without its profile the session would stay.
            Setting("ip pim bfd profile ...", undo="no ip pim bfd"),
            "ip pim allowed-neighbors prefix-list ...",
            "ip igmp version _",
            "ip igmp query-interval ...",
            "ip igmp query-max-response-time ...",
            "ip igmp last-member-query-count ...",
            "ip igmp last-member-query-interval ...",
            "ip igmp max-groups ...",
            "ip igmp max-sources ...",
            "ip multicast boundary oil ...",
        ),
        "router bgp": (
            "bgp router-id ...",
            "timers bgp ...",
            Setting("neighbor {} remote-as ...", undo="no neighbor {}"),
            "neighbor {} description ...",
            "neighbor {} password ...",
            "neighbor {} timers connect ...",
            Setting("neighbor {} bfd profile ...", undo="no neighbor {} bfd"),
            "neighbor {} ttl-security hops _",
            "neighbor {} ebgp-multihop ...",
            "neighbor {} update-source ...",
            *_NEIGHBOR_FAMILY,
        ),
        "router bgp > address-family": _NEIGHBOR_FAMILY,
        "route-map": ("match ip address prefix-list _", "set local-preference ...", "set metric ..."),
        "bfd > profile": ("detect-multiplier _", "receive-interval _", "transmit-interval _", "minimum-ttl ..."),
    },
    definitions=("vrf", "ip prefix-list", "access-list", "bgp as-path access-list", "route-map", "bfd"),
    numbered=(
        Numbered("", "ip prefix-list {} seq #", in_place=True, whole="ip prefix-list {}"),
        Numbered("", "access-list {} seq #", in_place=True, whole="access-list {}"),
        Numbered("", "bgp as-path access-list {} seq #", in_place=True, whole="bgp as-path access-list {}"),
    ),
    # ``no neighbor`` takes all of a neighbour's lines along; FRR knows no neighbour to undo another line of then.
    owned=(
        Owned("router bgp", "neighbor {} remote-as", "neighbor {}"),
        Owned("router pim", "msdp peer {} source", "msdp peer {}"),
    ),
    # pimd refuses a response time that is not below the query interval, in tenths of a second and in seconds.
    below=(Below("interface", "ip igmp query-max-response-time", "ip igmp query-interval", 100, 125, 10),),
    # "% Only inactive interfaces can be deleted"; so for VRFs that the kernel has.
    kept=("interface ", "vrf "),
    replaced=("route-map {} _ {}",),
    opening=("interface", "router", "vrf", "route-map", "bfd", "bfd > profile", "router bgp > address-family"),
    exits={"address-family": "exit-address-family", "vrf": "exit-vrf"},
    afterwards=_SOFT_IN,
    files=("frr.conf",),
)
