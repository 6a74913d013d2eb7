"""What a Comware text's commands of management come to."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from lanecast_templates.readers.facts import ManagementFacts
from lanecast_templates.readers.h3c_comware.declarations import Commands, fail
from lanecast_templates.readers.h3c_comware.lists import hold_to_vpn_instance, permitted

TERMINALS = {
    "line vty 0 63": {"authentication-mode scheme", "protocol inbound ssh", "idle-timeout 10 0"},
}
WEAK = ("cbc", "md5", "sha1")
"""Parts of the names of algorithms that SSH must not use."""
ADMINISTRATOR = {"service-type ssh", "authorization-attribute user-role network-admin"}
DUTIES = {"hwtacacs": {"authentication", "authorization"}, "radius": {"authentication"}}
PROTOCOLS = {"hwtacacs": "tacacs+", "radius": "radius"}


def management(commands: Commands) -> ManagementFacts:
    """The facts; raises ValueError for what is begun and not whole."""
    if commands.terminals != TERMINALS:
        raise ValueError(f"terminals are {commands.terminals}")
    keys = set(commands.ntp_servers.values())
    if len(keys) > 1:
        raise ValueError("NTP servers have different keys")
    if commands.ntp_servers and not commands.said >= {"ntp-service enable", "clock protocol ntp"}:
        raise ValueError("there are NTP servers, whose time nobody asks for")
    if commands.log_hosts and not commands.said >= {"info-center enable", "info-center loghost source"}:
        raise ValueError("there are servers for logs, which nothing is sent to, or from nowhere")
    return ManagementFacts(
        ssh_sources=_ssh_sources(commands),
        ntp_servers=frozenset(commands.ntp_servers),
        ntp_key_id=next(iter(keys), None),
        ptp_domain=None,
        syslog=frozenset(commands.log_hosts),
        aaa=_aaa(commands),
        users=frozenset(_users(commands)),
    )


def _ssh_sources(commands: Commands) -> frozenset[IPv4Network]:
    if ("ssh server enable" in commands.said) is not (commands.ssh_acl is not None):
        raise ValueError("SSH is served to everybody, or its list to nobody")
    if commands.ssh_acl is None:
        return frozenset()
    if set(commands.ssh_algorithms) != {"cipher", "key-exchange", "mac", "public-key"}:
        raise ValueError(f"SSH chooses only {sorted(commands.ssh_algorithms)}")
    for chosen in commands.ssh_algorithms.values():
        weak = [each for each in chosen if each == "dsa" or any(part in each for part in WEAK)]
        if weak or not chosen:
            raise ValueError(f"SSH takes {weak}")
    hold_to_vpn_instance(commands, commands.ssh_acl)
    return permitted(commands, commands.ssh_acl)


def _aaa(commands: Commands) -> tuple[str, tuple[IPv4Address, ...]] | None:
    if commands.default_domain is None:
        if commands.domains or commands.schemes:
            raise ValueError("there is a domain that nobody is in")
        return None
    methods = set(commands.domains[commands.default_domain].values())
    if set(commands.domains[commands.default_domain]) != {"authentication", "authorization"} or len(methods) != 1:
        raise ValueError("who authenticates does not authorize")
    [(kind, name, *rest)] = methods
    protocol = kind.removesuffix("-scheme")
    if rest != ["local"]:
        raise ValueError(f"nobody may log in while no server of {name} answers")
    scheme = commands.schemes[protocol, name]
    if set(scheme.servers) != DUTIES[protocol] or scheme.keys != DUTIES[protocol]:
        fail(scheme.line, f"{name} lacks servers or keys: {sorted(scheme.servers)}, {sorted(scheme.keys)}")
    if scheme.source is None or not scheme.plain_names or len({tuple(each) for each in scheme.servers.values()}) != 1:
        fail(scheme.line, f"{name} has no source, sends names with a domain or has different servers")
    return PROTOCOLS[protocol], tuple(scheme.servers["authentication"])


def _users(commands: Commands) -> Iterator[str]:
    if set(commands.ssh_users) != set(commands.local_users) or set(commands.ssh_users.values()) != commands.public_keys:
        raise ValueError("SSH users, local users and keys are not those of the same")
    for name, user in commands.local_users.items():
        if user.said != ADMINISTRATOR:
            fail(user.line, f"{name} is no administrator by SSH alone")
        yield name
