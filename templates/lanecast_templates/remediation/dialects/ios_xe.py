"""IOS XE. From Cisco's command references; grammar-checked, not device-checked."""

from __future__ import annotations

from hier_config import Platform

from lanecast_templates.remediation.dialect import (
    Afterwards,
    Below,
    BlockDialect,
    Numbered,
    Owned,
    Session,
    Setting,
    Wiped,
)
from lanecast_templates.remediation.dialects.ports import PORT

_NEIGHBOR = (
    Setting("neighbor {} remote-as ...", undo="no neighbor {}"),
    "neighbor {} description ...",
    "neighbor {} password ...",
    "neighbor {} timers ...",
    "neighbor {} ttl-security hops ...",
    "neighbor {} ebgp-multihop ...",
    "neighbor {} update-source ...",
    "neighbor {} fall-over ...",
    "neighbor {} maximum-prefix ...",
    "neighbor {} prefix-list _ in",
    "neighbor {} prefix-list _ out",
    "neighbor {} filter-list _ in",
    "neighbor {} filter-list _ out",
    "neighbor {} distribute-list _ in",
    "neighbor {} distribute-list _ out",
    "neighbor {} route-map _ in",
    "neighbor {} route-map _ out",
)

_ROUTE_MAP = (
    "description ...",
    "set local-preference ...",
    "set metric ...",
    "set weight ...",
    "set as-path prepend ...",
    "set ip next-hop ...",
)

_MSDP = tuple(
    setting
    for where in ("", "vrf {} ")
    for setting in (
        Setting(f"ip msdp {where}peer {{}} ...", undo=f"no ip msdp {where}peer {{}}"),
        f"ip msdp {where}originator-id ...",
        f"ip msdp {where}description {{}} ...",
        f"ip msdp {where}sa-limit {{}} ...",
        f"ip msdp {where}keepalive {{}} ...",
        f"ip msdp {where}password peer {{}} ...",
    )
)
_MSDP_LINES = (
    *("description {}", "sa-limit {}", "sa-filter _ {}", "keepalive {}", "password peer {}", "mesh-group _ {}"),
)

IOS_XE = BlockDialect(
    platform="ios-xe",
    rules=Platform.CISCO_IOS,
    session=Session(
        enter=("configure terminal",), leave=("end",), keep="copy running-config startup-config", atomic=False
    ),
    # ``no ip address`` is what an interface without one shows: undone it would be half a command.
    ignored=("version", "end", "exit", "exit-address-family", "no ip address", "Building", "Current"),
    settings={
        "": (
            "hostname ...",
            "ip domain name ...",
            "ip pim ssm ...",
            "ip pim vrf {} ssm ...",
            "ip pim accept-register ...",
            "ip pim register-source ...",
            "ip pim spt-threshold ...",
            *_MSDP,
            "ip igmp limit ...",
            "logging trap ...",
            "logging facility ...",
            "logging source-interface _",
            "ntp authentication-key {} ...",
            "ntp source ...",
            "clock timezone ...",
            "username {} ...",
            "enable secret ...",
            "ip ssh version ...",
            "ip ssh time-out ...",
            "ip ssh authentication-retries ...",
            "ip ssh source-interface ...",
            "ip ssh server algorithm {} ...",
            "aaa authentication login {} ...",
            "aaa authorization exec {} ...",
            "service timestamps {} ...",
        ),
        "interface": (
            "description ...",
            "mtu ...",
            "bandwidth ...",
            "ip mtu ...",
            "ip address _ _",
            "vrf forwarding ...",
            "encapsulation dot1Q _",
            "ip verify unicast source ...",
            "ip access-group _ in",
            "ip access-group _ out",
            "ip multicast boundary _",
            "ip multicast boundary _ in",
            "ip multicast boundary _ out",
            "ip pim query-interval ...",
            "ip pim dr-priority ...",
            "ip pim neighbor-filter _",
            "ip igmp version ...",
            "ip igmp query-interval ...",
            "ip igmp query-max-response-time ...",
            "ip igmp querier-timeout ...",
            "ip igmp last-member-query-count ...",
            "ip igmp last-member-query-interval ...",
            "ip igmp limit ...",
            "ip igmp access-group ...",
            "bfd interval ...",
            "bfd template ...",
        ),
        "router bgp": ("bgp router-id ...", "timers bgp ...", "bgp graceful-restart {} ...", *_NEIGHBOR),
        "router bgp > address-family": ("maximum-paths ...", *_NEIGHBOR),
        "vrf definition": ("rd ...", "description ..."),
        "bfd-template": ("interval ...",),
        "route-map": _ROUTE_MAP,
        "policy-map > class": ("police ...",),
        "control-plane": ("service-policy input _",),
        "line": (
            "access-class _ in",
            "access-class _ in vrf-also",
            "transport input ...",
            "transport output ...",
            "exec-timeout ...",
        ),
    },
    definitions=(
        *("vrf definition", "bfd-template", "ip access-list", "ip prefix-list", "ip as-path access-list"),
        *("ip community-list", "class-map", "policy-map", "route-map", "key chain"),
    ),
    # A sequence number that is taken is refused, and a list that is not there permits all.
    numbered=(
        Numbered(
            "",
            "ip prefix-list {} seq #",
            in_place=False,
            whole="ip prefix-list {}",
            guard="4294967294 deny 255.255.255.255/32",
        ),
        Numbered(
            "ip access-list extended",
            "#",
            in_place=False,
            actions="permit|deny|remark",
            implied=10,
            guard="2147483647 deny ip host 255.255.255.255 any",
        ),
        Numbered(
            "ip access-list standard",
            "#",
            in_place=False,
            actions="permit|deny|remark",
            implied=10,
            guard="2147483647 deny 255.255.255.255",
        ),
    ),
    owned=(
        Owned("router bgp", "neighbor {} remote-as", "neighbor {}"),
        Owned("router bgp > address-family", "neighbor {} remote-as", "neighbor {}"),
        *(
            Owned("", f"ip msdp {where}peer {{}}", f"ip msdp {where}{line}")
            for where in ("", "vrf {} ")
            for line in _MSDP_LINES
        ),
    ),
    # "vrf forwarding" takes the addresses away; an encapsulation cannot be changed below one.
    wiped=(Wiped("interface", "vrf forwarding", "ip address"), Wiped("interface", "encapsulation", "ip address")),
    below=(Below("interface", "ip igmp query-max-response-time", "ip igmp query-interval", 10, 60),),
    holds_anyway=("ip igmp snooping", "ip igmp snooping vlan {}", "aaa new-model"),
    # A port is part of the box.
    stays=("shutdown",),
    kept=(PORT, "control-plane$", "line ", "ip ssh pubkey-chain$"),
    replaced=("route-map {} _ {}", "ip access-list _ {}", "class-map _ {}"),
    opening=(
        "interface",
        "router",
        "vrf",
        "route-map",
        "class-map",
        "policy-map",
        "control-plane",
        "line",
        "ip access-list",
        "router bgp > address-family",
        "vrf definition > address-family",
    ),
    exits={"address-family": "exit-address-family"},
    afterwards=tuple(
        Afterwards(changed, rf"neighbor (?P<peer>\S+) {used} (?P<list>\S+) in$", "clear ip bgp {} soft in")
        for changed, used in (
            ("ip prefix-list {}", "prefix-list"),
            ("ip as-path access-list {}", "filter-list"),
            ("route-map {}", "route-map"),
        )
    ),
)
