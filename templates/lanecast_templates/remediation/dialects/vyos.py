"""VyOS, whose text is its commands."""

from __future__ import annotations

from hier_config import Platform

from lanecast_templates.remediation.dialect import PathDialect, Session

VYOS = PathDialect(
    platform="vyos",
    rules=Platform.VYOS,
    session=Session(enter=("configure",), leave=("commit", "exit"), keep="save (before exit)", atomic=True),
    # vyos-1x: a leaf node without <multi/> takes the last value that was set.
    single=frozenset(
        {
            *(
                "action",
                "authentication-key",
                "burst",
                "name",
                "default-action",
                "description",
                "distance",
                "domain-name",
            ),
            *("dr-priority", "ge", "hello", "hold-time", "hold", "holdtime", "host-name", "jump-target", "keepalive"),
            *("le", "level", "local-preference", "maximum-prefix", "metric", "minimum-ttl", "mtu", "multiplier"),
            *("password", "port", "prefix", "profile", "protocol", "query-interval", "query-max-response-time"),
            *("regex", "rate", "receive", "remote-as", "router-id", "source-validation", "system-as", "table"),
            *("time-zone", "transmit", "update-source", "version", "vrf", "connect", "hops", "weight", "import"),
            *("export", "local-as", "ebgp-multihop", "prefix-list"),
        }
    ),
    # A port's own lines have its hardware address.
    shared=(
        *("system", "system _", "system _ _", "service", "service _", "service _ _", "protocols", "policy", "policy _"),
        *("interfaces", "interfaces _", "interfaces ethernet _", "interfaces ethernet _ vif", "vrf", "vrf name"),
        *("firewall", "firewall _", "firewall group _", "firewall ipv4 _", "firewall ipv4 _ filter"),
        *("firewall ipv4 _ filter rule",),
    ),
    holds_anyway=("service ssh",),
    quote="'",
)
