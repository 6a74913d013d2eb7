"""NX-OS. From Cisco's command references; grammar-checked, not device-checked."""

from __future__ import annotations

from hier_config import Platform

from lanecast_templates.remediation.dialect import Below, BlockDialect, Numbered, Owned, Session, Setting, Wiped
from lanecast_templates.remediation.dialects.ports import PORT

_NEIGHBOR = (
    "remote-as ...",
    "description ...",
    "password ...",
    "ttl-security hops ...",
    "ebgp-multihop ...",
    "bfd ...",
    "update-source ...",
    "timers ...",
    "local-as ...",
)
_NEIGHBOR_HEAD = Setting("neighbor {} remote-as ...", replaces=False, undo="no neighbor {}")
"""The head of a block: one for another AS is another neighbour."""

_NEIGHBOR_FAMILY = (
    "maximum-prefix ...",
    "prefix-list _ in",
    "prefix-list _ out",
    "filter-list _ in",
    "filter-list _ out",
    "route-map _ in",
    "route-map _ out",
    "weight ...",
)
_ROUTING = (
    "ip domain-name ...",
    "ip pim ssm range ...",
    "ip pim ssm prefix-list ...",
    "ip pim register-policy ...",
    "ip pim register-source ...",
    "ip msdp originator-id ...",
    Setting("ip msdp peer {} ...", undo="no ip msdp peer {}"),
    "ip msdp description {} ...",
    "ip msdp password {} ...",
    "ip msdp sa-limit {} ...",
    "ip msdp keepalive {} ...",
)
_MSDP_LINES = ("description", "password", "sa-limit", "sa-policy", "keepalive", "mesh-group", "shutdown")

NX_OS = BlockDialect(
    platform="nx-os",
    rules=Platform.CISCO_NXOS,
    session=Session(
        enter=("configure terminal",), leave=("end",), keep="copy running-config startup-config", atomic=False
    ),
    ignored=("version", "end", "exit", "Building", "Current"),
    settings={
        "": (
            "hostname ...",
            *_ROUTING,
            "logging source-interface _",
            "logging server {} ...",
            "logging level {} ...",
            "logging timestamp ...",
            "ntp authentication-key {} ...",
            "ntp source ...",
            "ntp source-interface _",
            "ntp access-group {} ...",
            "clock timezone ...",
            "clock protocol ...",
            "username {} password ...",
            Setting("username {} role ...", undo="no username {}"),
            "username {} sshkey ...",
            "tacacs-server host {} ...",
            "radius-server host {} ...",
            "aaa authentication login default group _",
            "ptp domain ...",
            "ptp priority1 ...",
            "ptp source ...",
            "ssh login-attempts ...",
            "copp profile ...",
        ),
        "vrf context": _ROUTING,
        "interface": (
            "description ...",
            "mtu ...",
            "bandwidth ...",
            "speed ...",
            "ip address _",
            "vrf member ...",
            "encapsulation dot1q ...",
            "ip verify unicast source ...",
            "ip access-group _ in",
            "ip access-group _ out",
            "ip pim hello-interval ...",
            "ip pim dr-priority ...",
            "ip pim neighbor-policy ...",
            "ip pim hello-authentication ah-md5 ...",
            "ip igmp version ...",
            "ip igmp query-interval ...",
            "ip igmp query-max-response-time ...",
            "ip igmp querier-timeout ...",
            "ip igmp last-member-query-response-time ...",
            "ip igmp last-member-query-count ...",
            "ip igmp state-limit ...",
            "ip igmp access-group ...",
            "ip igmp report-policy ...",
            "bfd interval ...",
        ),
        "router bgp": ("router-id ...", "timers bgp ...", _NEIGHBOR_HEAD),
        "router bgp > vrf": (
            "router-id ...",
            "timers bgp ...",
            _NEIGHBOR_HEAD,
        ),
        "router bgp > neighbor": _NEIGHBOR,
        "router bgp > vrf > neighbor": _NEIGHBOR,
        "router bgp > neighbor > address-family": _NEIGHBOR_FAMILY,
        "router bgp > vrf > neighbor > address-family": _NEIGHBOR_FAMILY,
        "route-map": ("description ...", "set local-preference ...", "set metric ...", "set as-path prepend ..."),
        "vlan": ("name ...",),
        "vlan configuration": ("ip igmp snooping querier ...", "ip igmp snooping version ..."),
        "policy-map type control-plane > class": ("police ...",),
        "control-plane": ("service-policy input ...",),
        "line": ("access-class _ in", "exec-timeout ..."),
    },
    # A feature has to be there before its first command, and takes its configuration along when it goes.
    definitions=(
        *("feature", "vrf context", "vlan", "object-group", "ip access-list", "ip prefix-list"),
        *("ip as-path access-list", "ip community-list", "class-map", "policy-map", "route-map"),
    ),
    numbered=(
        Numbered(
            "",
            "ip prefix-list {} seq #",
            in_place=False,
            whole="ip prefix-list {}",
            guard="4294967294 deny 255.255.255.255/32",
        ),
        Numbered(
            "",
            "ip as-path access-list {} seq #",
            in_place=False,
            whole="ip as-path access-list {}",
            guard='4294967294 deny "^0$"',
        ),
        Numbered(
            "ip access-list",
            "#",
            in_place=False,
            actions="permit|deny|remark",
            implied=10,
            guard="4294967295 deny ip 255.255.255.255/32 any",
        ),
        Numbered("object-group", "#", in_place=False, actions="_"),
    ),
    owned=(
        Owned("", "username {} role", "username {}"),
        *(
            Owned(within, "ip msdp peer {}", f"ip msdp {line} {{}}")
            for within in ("", "vrf context")
            for line in _MSDP_LINES
        ),
    ),
    # "vrf member" takes the addresses away.
    wiped=(Wiped("interface", "vrf member", "ip address"),),
    below=(Below("interface", "ip igmp query-max-response-time", "ip igmp query-interval", 10, 125),),
    # Without it nobody would get in any more.
    holds_anyway=("feature ssh",),
    stays=("shutdown",),
    kept=(PORT, "control-plane$", "line "),
    replaced=("route-map {} _ {}", "class-map type control-plane _ {}"),
    opening=(
        "interface",
        "router",
        "vrf",
        "route-map",
        "class-map",
        "policy-map",
        "control-plane",
        "line",
        "vlan",
        "ip access-list",
        "router bgp > vrf",
        "router bgp > address-family",
        "router bgp > neighbor",
        "router bgp > neighbor > address-family",
        "router bgp > vrf > address-family",
        "router bgp > vrf > neighbor",
        "router bgp > vrf > neighbor > address-family",
    ),
)
