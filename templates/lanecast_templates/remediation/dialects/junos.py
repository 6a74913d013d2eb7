"""Junos. Its text has braces; what is typed are ``set``, ``delete`` and ``insert`` with whole paths."""

from __future__ import annotations

from hier_config import Platform

from lanecast_templates.remediation.dialect import PathDialect, Session

JUNOS = PathDialect(
    platform="junos",
    rules=Platform.JUNIPER_JUNOS,
    session=Session(
        enter=("configure exclusive",),
        leave=("commit check", "commit and-quit"),
        keep="a commit is kept; there is nothing more to do",
        atomic=True,
    ),
    # A statement with one value takes the last one that was set; hier_config would delete the old value first, and
    # write an old key where anyone can read it. Not here: what can have several, as a filter's addresses and ports.
    single=frozenset(
        {
            *("accepted-prefix-limit", "authentication-algorithm", "authentication-key", "autonomous-system"),
            *("bandwidth-limit", "burst-size-limit", "description", "domain-type", "encapsulation", "group-limit"),
            *("hello-interval", "hold-time", "host-name", "instance-type", "keep-alive", "local-address", "maximum"),
            *("maximum-prefixes", "minimum-interval", "minimum-receive-interval", "mode", "mtu", "multiplier"),
            *("out-delay", "peer-as", "preference", "metric", "priority", "query-interval"),
            *("query-last-member-interval", "query-response-interval", "robust-count", "route-distinguisher"),
            *("router-id", "rate-limit", "connection-limit", "session-mode", "speed", "tag"),
            *("teardown", "threshold", "time-zone", "ttl", "type", "value", "version", "vlan-id", "vrf-target"),
        }
    ),
    shared=(
        *("system", "system _", "system _ _", "security", "security _", "security _ _", "protocols", "interfaces"),
        *("interfaces lo0", "interfaces lo0 unit", "interfaces irb", "interfaces irb unit", "policy-options"),
        *("policy-options _", "firewall", "firewall _", "firewall family _", "firewall family _ _"),
        *("routing-options", "routing-instances", "bridge-domains", "vlans"),
    ),
    holds_anyway=("system services ssh",),
    # Terms are taken in their order, and a new one comes to stand last.
    ordered="term",
)
