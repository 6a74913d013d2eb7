"""Comware 7. From H3C's command references; grammar-checked, not device-checked.

hier_config's rules are those of Comware 5: they know no comments, no ``quit``, no ``undo`` without a value, and no
commands of the top that stand one blank further in.
"""

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

_BGP = (
    "router-id ...",
    Setting("timer keepalive _ hold _", undo="undo timer"),
    Setting("peer {} as-number ...", undo="undo peer {}"),
    "peer {} description ...",
    "peer {} password ...",
    "peer {} ttl-security hops ...",
    "peer {} ebgp-max-hop ...",
    "peer {} connect-interface ...",
    "peer {} bfd ...",
    Setting("peer {} timer keepalive _ hold _", undo="undo peer {} timer"),
)
_PEER_FAMILY = (
    "peer {} route-limit ...",
    "peer {} prefix-list _ import",
    "peer {} prefix-list _ export",
    "peer {} as-path-acl _ import",
    "peer {} as-path-acl _ export",
    "peer {} filter-policy _ import",
    "peer {} filter-policy _ export",
    "peer {} route-policy _ import",
    "peer {} route-policy _ export",
)

H3C_COMWARE = BlockDialect(
    platform="h3c-comware",
    rules=Platform.HP_COMWARE5,
    session=Session(enter=("system-view",), leave=("return",), keep="save", atomic=False),
    undo="undo",
    exit_word="quit",
    ignored=("return", "version", "#"),
    settings={
        "": (
            "sysname ...",
            Setting("route-policy {} _ node {}", replaces=False, undo="undo route-policy {} node {}"),
            Setting("traffic classifier {} ...", replaces=False, undo="undo traffic classifier {}"),
            "router id ...",
            "dns domain ...",
            "clock timezone ...",
            "clock protocol ...",
            "ntp-service authentication-keyid {} ...",
            "ntp-service source ...",
            "info-center loghost source ...",
            Setting("info-center loghost {} ...", undo="undo info-center loghost {}"),
            "ssh server acl ...",
            "ssh server authentication-retries ...",
            "ssh server authentication-timeout ...",
        ),
        "interface": (
            "description ...",
            "mtu ...",
            "bandwidth ...",
            "vlan-type dot1q vid _",
            "ip address _ _",
            "ip binding vpn-instance ...",
            "ip urpf ...",
            "pim timer hello ...",
            "pim hello-option dr-priority ...",
            "pim hello-option holdtime ...",
            "pim neighbor-policy ...",
            "igmp version ...",
            "igmp query-interval ...",
            "igmp max-response-time ...",
            "igmp other-querier-present-interval ...",
            "igmp robust-count ...",
            "igmp last-member-query-interval ...",
            "igmp group-policy ...",
            "bfd min-transmit-interval ...",
            "bfd min-receive-interval ...",
            "bfd detect-multiplier ...",
            "qos apply policy _ inbound",
            "qos apply policy _ outbound",
            "packet-filter _ inbound",
            "packet-filter _ outbound",
        ),
        "bgp": _BGP,
        "bgp > ip vpn-instance": _BGP,
        "bgp > address-family": _PEER_FAMILY,
        "bgp > ip vpn-instance > address-family": _PEER_FAMILY,
        "pim": ("ssm-policy ...", "register-policy ...", "source-policy ...", "timer hello ...", "static-rp {} ..."),
        "msdp": (
            "originating-rp ...",
            Setting("peer {} connect-interface ...", undo="undo peer {}"),
            "peer {} description ...",
            "peer {} password ...",
            "peer {} sa-policy import ...",
            "peer {} sa-policy export ...",
            "peer {} sa-cache-maximum ...",
            "peer {} mesh-group ...",
        ),
        "local-user": ("password ...",),
        "acl": ("description ...", "step ...", "rule # comment ..."),
        "route-policy": ("apply local-preference ...", "apply cost ..."),
        "vlan": ("name ...", "description ...", "igmp-snooping version ...", "igmp-snooping query-interval ..."),
        "control-plane": ("qos apply policy _ inbound",),
        "line": ("idle-timeout ...", "protocol inbound ..."),
    },
    definitions=(
        *("ip vpn-instance", "vlan", "acl", "ip prefix-list", "ip as-path", "ip community-list"),
        *("traffic classifier", "traffic behavior", "qos policy", "route-policy", "role name"),
    ),
    numbered=(
        Numbered(
            "",
            "ip prefix-list {} index #",
            in_place=False,
            whole="ip prefix-list {}",
            guard="65535 deny 255.255.255.255 32",
        ),
        Numbered("acl basic", "rule #", in_place=False, guard="65534 deny"),
        Numbered("acl advanced", "rule #", in_place=False, guard="65534 deny ip"),
    ),
    owned=(
        # A rule takes its comment along.
        Owned("acl", "rule # permit|deny", "rule # comment"),
        Owned("bgp", "peer {} as-number", "peer {}"),
        Owned("bgp > ip vpn-instance", "peer {} as-number", "peer {}"),
        Owned("msdp", "peer {} connect-interface", "peer {}"),
    ),
    # Binding an instance takes the addresses away.
    wiped=(Wiped("interface", "ip binding vpn-instance", "ip address"),),
    below=(Below("interface", "igmp max-response-time", "igmp query-interval", 10, 125),),
    stays=("shutdown",),
    kept=(PORT, "control-plane", "line "),
    replaced=("route-policy {} _ node {}",),
    opening=(
        "interface",
        "bgp",
        "pim",
        "msdp",
        "acl",
        "route-policy",
        "traffic",
        "vlan",
        "ip vpn-instance",
        "bgp > address-family",
        "bgp > ip vpn-instance",
        "bgp > ip vpn-instance > address-family",
        "ip vpn-instance > address-family",
        "line",
        "local-user",
        "multicast routing",
        "igmp-snooping",
        "control-plane",
    ),
    afterwards=(
        Afterwards(
            "ip prefix-list {}", r"peer (?P<peer>\S+) prefix-list (?P<list>\S+) import$", "refresh bgp {} import ipv4"
        ),
        Afterwards(
            "route-policy {}", r"peer (?P<peer>\S+) route-policy (?P<list>\S+) import$", "refresh bgp {} import ipv4"
        ),
    ),
)
