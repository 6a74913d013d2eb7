"""EOS, typed into a configuration session: one commit makes all of it take effect.

From Arista's manual, not device-checked.
"""

from __future__ import annotations

from hier_config import Platform

from lanecast_templates.grammars.schema import Layout
from lanecast_templates.remediation.dialect import BlockDialect, Numbered, Owned, Session, Setting, Wiped
from lanecast_templates.remediation.dialects.ports import PORT

_NEIGHBOR = (
    Setting("neighbor {} remote-as ...", undo="no neighbor {}"),
    "neighbor {} description ...",
    "neighbor {} password ...",
    "neighbor {} timers ...",
    "neighbor {} ttl maximum-hops ...",
    "neighbor {} ebgp-multihop ...",
    "neighbor {} update-source ...",
    "neighbor {} maximum-routes ...",
    "neighbor {} prefix-list _ in",
    "neighbor {} prefix-list _ out",
    "neighbor {} route-map _ in",
    "neighbor {} route-map _ out",
)
_BGP = ("router-id ...", "timers bgp ...", "maximum-paths ...", *_NEIGHBOR)

EOS = BlockDialect(
    platform="eos",
    rules=Platform.ARISTA_EOS,
    session=Session(
        enter=("configure session lanecast",),
        leave=("show session-config diffs", "commit"),
        keep="write memory",
        atomic=True,
    ),
    layout=Layout(shape="indented", comment="!"),
    ignored=("end", "exit", "no ip address"),
    settings={
        "": (
            "hostname ...",
            "ip domain ...",
            "dns domain ...",
            "logging source-interface _",
            "logging facility ...",
            "logging trap ...",
            "ntp authentication-key {} ...",
            "ntp local-interface _",
            "ntp trusted-key ...",
            "clock timezone ...",
            *(
                setting
                for kind in ("tacacs", "radius")
                for setting in (
                    Setting(f"{kind}-server host {{}} vrf {{}} key ...", undo=f"no {kind}-server host {{}} vrf {{}}"),
                    Setting(f"{kind}-server host {{}} key ...", undo=f"no {kind}-server host {{}}"),
                )
            ),
            Setting("ntp server vrf {} {} ...", undo="no ntp server vrf {} {}"),
            Setting("ntp server {} ...", replaces=False, undo="no ntp server {}"),
            "ip tacacs source-interface ...",
            "aaa authentication login {} ...",
            "aaa authorization exec ...",
            "aaa authorization commands all ...",
            "aaa accounting exec ...",
            "aaa accounting commands all ...",
            "ptp domain ...",
            "ptp mode ...",
            "ptp priority1 ...",
            Setting("username {} privilege ...", undo="no username {}"),
            "username {} ssh-key ...",
        ),
        "interface": (
            "description ...",
            "mtu ...",
            "speed ...",
            "ip address _",
            "vrf ...",
            "encapsulation dot1q vlan ...",
            "ip verify unicast source ...",
            "switchport access vlan ...",
            "switchport mode ...",
            "ip access-group _ in",
            "ip access-group _ out",
            "multicast ipv4 boundary _ ...",
            "pim ipv4 hello interval ...",
            "pim ipv4 hello count ...",
            "pim ipv4 dr-priority ...",
            "pim ipv4 neighbor filter ...",
            "ip igmp version ...",
            "ip igmp query-interval ...",
            "ip igmp query-max-response-time ...",
            "ip igmp last-member-query-count ...",
            "ip igmp last-member-query-interval ...",
            "bfd interval ...",
        ),
        "router bgp": _BGP,
        "router bgp > vrf": _BGP,
        "router bgp > address-family": _NEIGHBOR,
        "router bgp > vrf > address-family": _NEIGHBOR,
        "router pim sparse-mode > ipv4": ("ssm range ...",),
        "router msdp": ("originator-id ...",),
        "router msdp > peer": (
            "description ...",
            "local-interface ...",
            "sa-limit ...",
            "sa-filter in ...",
            "sa-filter out ...",
            "password ...",
        ),
        "route-map": ("description ...", "set local-preference ...", "set metric ...", "set as-path prepend ..."),
        "management": ("idle-timeout ...", "ip access-group _ in"),
        "system control-plane": ("ip access-group _ in",),
        "policy-map > class": ("shape ...",),
    },
    definitions=(
        *("vrf instance", "ip access-list", "ip prefix-list", "ip as-path access-list", "ip community-list"),
        *("class-map", "policy-map", "route-map"),
    ),
    numbered=(
        Numbered("ip prefix-list", "seq #", in_place=False),
        Numbered("ip access-list", "#", in_place=False, actions="permit|deny|remark"),
    ),
    owned=(
        Owned("", "username {} privilege", "username {}"),
        Owned("router bgp", "neighbor {} remote-as", "neighbor {}"),
        Owned("router bgp > vrf", "neighbor {} remote-as", "neighbor {}"),
    ),
    # "vrf" takes the addresses away.
    wiped=(Wiped("interface", "vrf", "ip address"),),
    holds_anyway=("ip igmp snooping vlan {}",),
    stays=("shutdown",),
    kept=(PORT, "management ", "system control-plane$"),
    replaced=("route-map {} _ {}",),
    opening=(
        "interface",
        "router",
        "vrf",
        "route-map",
        "class-map",
        "policy-map",
        "ip access-list",
        "ip prefix-list",
        "management",
        "router bgp > vrf",
        "router bgp > address-family",
        "router bgp > vrf > address-family",
        "router multicast > ipv4",
        "router multicast > vrf",
        "router pim sparse-mode > ipv4",
        "router pim sparse-mode > vrf",
        "router msdp > peer",
    ),
)
