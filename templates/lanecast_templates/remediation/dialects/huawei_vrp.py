"""VRP 8 in its two-stage mode, in which a commit makes all of it take effect.

From Huawei's command references; grammar-checked, not device-checked.
"""

from __future__ import annotations

from hier_config import Platform

from lanecast_templates.remediation.dialect import BlockDialect, Numbered, Owned, Rewritten, Session, Setting, Wiped
from lanecast_templates.remediation.dialects.ports import PORT
from lanecast_templates.remediation.lines import vrp_lines

_PEER = (
    Setting("peer {} as-number ...", undo="undo peer {}"),
    "peer {} description ...",
    "peer {} password ...",
    "peer {} valid-ttl-hops ...",
    "peer {} ebgp-max-hop ...",
    "peer {} connect-interface ...",
    "peer {} timer connect-retry ...",
    Setting("peer {} timer keepalive _ hold _", undo="undo peer {} timer keepalive hold"),
    "peer {} route-limit ...",
    Setting(
        "peer {} bfd min-tx-interval _ ...",
        undo="undo peer {} bfd min-tx-interval min-rx-interval detect-multiplier",
    ),
    "peer {} ip-prefix _ import",
    "peer {} ip-prefix _ export",
    "peer {} as-path-filter _ import",
    "peer {} as-path-filter _ export",
    "peer {} filter-policy _ import",
    "peer {} filter-policy _ export",
    "peer {} route-policy _ import",
    "peer {} route-policy _ export",
)
_BGP = ("router-id ...", Setting("timer keepalive _ hold _", undo="undo timer keepalive hold"), *_PEER)

HUAWEI_VRP = BlockDialect(
    platform="huawei-vrp",
    rules=Platform.HUAWEI_VRP,
    session=Session(enter=("system-view",), leave=("commit", "return"), keep="save", atomic=True),
    undo="undo",
    exit_word="quit",
    read=vrp_lines,
    # hier_config would type "undo return" and a hash where one text has it and the other has not.
    ignored=("return", "#", "!", "public-key-code end", "peer-public-key end"),
    settings={
        "": (
            "sysname ...",
            Setting("acl name {} ...", replaces=False, undo="undo acl name {}"),
            Setting("acl number {} ...", replaces=False, undo="undo acl number {}"),
            Setting("route-policy {} _ node {}", replaces=False, undo="undo route-policy {} node {}"),
            Setting("traffic classifier {} ...", replaces=False, undo="undo traffic classifier {}"),
            "dns domain ...",
            "clock timezone ...",
            "ntp-service authentication-keyid {} ...",
            "ntp-service source-interface ...",
            "info-center loghost source ...",
            Setting("info-center loghost {} vpn-instance {} ...", undo="undo info-center loghost {} vpn-instance {}"),
            Setting("info-center loghost {} ...", replaces=False, undo="undo info-center loghost {}"),
            Setting(
                "ntp-service unicast-server {} source-interface _ vpn-instance {} ...",
                undo="undo ntp-service unicast-server {} vpn-instance {}",
            ),
            Setting("ntp-service unicast-server {} ...", replaces=False, undo="undo ntp-service unicast-server {}"),
            Setting("ecc peer-public-key {} ...", replaces=False, undo="undo ecc peer-public-key {}"),
            Setting("keychain {} ...", replaces=False, undo="undo keychain {}"),
            "ssh server cipher ...",
            "ssh server hmac ...",
            "ssh server key-exchange ...",
            "ssh server publickey ...",
            "ssh server dh-exchange min-len ...",
            "ssh authentication-type default ...",
            "ssh authorization-type default ...",
            "ssh user {} authentication-type ...",
            "ssh user {} service-type ...",
            "ssh user {} assign {} ...",
            "ssh server acl ...",
            "ssh server port ...",
            "ssh server timeout ...",
            "ssh server authentication-retries ...",
            "igmp-snooping send-query source-address ...",
        ),
        "interface": (
            "description ...",
            "mtu ...",
            "vlan-type dot1q _",
            "ip address _ _",
            "ip binding vpn-instance ...",
            "ip urpf ...",
            "pim timer hello ...",
            "pim hello-option holdtime ...",
            "pim hello-option dr-priority ...",
            "pim neighbor-policy ...",
            "pim join-policy ...",
            Setting(
                "pim bfd min-tx-interval _ ...", undo="undo pim bfd min-tx-interval min-rx-interval detect-multiplier"
            ),
            "igmp version ...",
            "igmp timer query ...",
            "igmp max-response-time ...",
            "igmp timer other-querier-present ...",
            "igmp lastmember-queryinterval ...",
            "igmp robust-count ...",
            "igmp group-policy ...",
            "igmp access-limit ...",
            "port default vlan ...",
            "port link-type ...",
            "traffic-policy _ inbound",
            "traffic-policy _ outbound",
        ),
        "bgp": _BGP,
        "bgp > ipv4-family": _BGP,
        "cpu-defend policy": (
            "description ...",
            "car user-defined-flow {} ...",
            "car blacklist ...",
            "car total-packet ...",
            Setting("user-defined-flow {} acl ...", undo="undo user-defined-flow {}"),
        ),
        "hwtacacs-server template": ("hwtacacs-server shared-key ...", "hwtacacs-server source-ip ..."),
        "keychain > key-id": ("key-string ...", "algorithm ..."),
        "pim": ("ssm-policy ...", "register-policy ...", "source-policy ...", "timer hello ...", "static-rp {} ..."),
        "msdp": (
            "originating-rp ...",
            Setting("peer {} connect-interface ...", undo="undo peer {}"),
            "peer {} description ...",
            "peer {} password ...",
            "peer {} sa-policy import ...",
            "peer {} sa-policy export ...",
            "peer {} sa-cache-maximum ...",
            "peer {} keepalive-interval ...",
            "peer {} mesh-group ...",
        ),
        "aaa > domain": ("authentication-scheme ...", "authorization-scheme ...", "hwtacacs-server ..."),
        "aaa": ("local-user {} password ...", "local-user {} service-type ...", "local-user {} level ..."),
        "acl": ("description ...", "step ...", "rule # description ..."),
        "traffic behavior": ("car ...", "remark dscp ..."),
        "route-policy": ("description ...", "apply local-preference ...", "apply cost ...", "if-match ip-prefix ..."),
        "vlan": ("description ...", "igmp-snooping version ...", "igmp-snooping query-interval ..."),
        "ip vpn-instance": ("description ...",),
        "bfd": ("discriminator local ...", "min-tx-interval ...", "min-rx-interval ...", "detect-multiplier ..."),
    },
    definitions=(
        *("ip vpn-instance", "vlan", "acl", "ip ip-prefix", "ip as-path-filter", "ip community-filter"),
        *("traffic classifier", "traffic behavior", "traffic policy", "cpu-defend policy", "route-policy"),
        *("keychain", "tcp ao", "hwtacacs-server template", "radius-server template"),
        *("aaa > authentication-scheme", "aaa > authorization-scheme"),
    ),
    numbered=(
        Numbered("", "ip ip-prefix {} index #", in_place=True, whole="ip ip-prefix {}"),
        Numbered("", "ip as-path-filter {} index #", in_place=False, whole="ip as-path-filter {}"),
        # A rule that is typed over another is put together from both.
        Numbered("acl", "rule #", in_place=False),
    ),
    owned=(
        # A rule takes its description along.
        Owned("acl", "rule # permit|deny", "rule # description", retyped=True),
        Owned("bgp", "peer {} as-number", "peer {}"),
        Owned("bgp > ipv4-family", "peer {} as-number", "peer {}"),
        Owned("msdp", "peer {} connect-interface", "peer {}"),
    ),
    # Binding an instance takes the addresses away.
    wiped=(Wiped("interface", "ip binding vpn-instance", "ip address"),),
    rewritten=tuple(
        Rewritten(
            f"{kind} peer-public-key {{}}", f"undo {kind} peer-public-key {{}}", f"ssh user {{}} assign {kind}-key"
        )
        for kind in ("ecc", "rsa")
    ),
    holds_anyway=("info-center enable", "stelnet server enable"),
    stays=("shutdown",),
    kept=(PORT, "aaa$", "aaa$ > domain default", "user-interface ", "slot "),
    replaced=("route-policy {} _ node {}",),
    opening=(
        "interface",
        "bgp",
        "pim",
        "msdp",
        "aaa",
        "acl",
        "route-policy",
        "traffic",
        "vlan",
        "ip vpn-instance",
        "bgp > ipv4-family",
        "ip vpn-instance > ipv4-family",
        "user-interface",
        "slot",
    ),
    exits={
        "public-key-code begin": "public-key-code end",
        "ecc peer-public-key": "peer-public-key end",
        "rsa peer-public-key": "peer-public-key end",
    },
)
