"""How an EOS configuration says that the router is managed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from lanecast_templates.readers.eos_lines import ADDRESS, VRF, Commands, Line, address
from lanecast_templates.readers.eos_lists import Lists
from lanecast_templates.readers.facts import ManagementFacts

InVrf = tuple[Line, str | None]
"""Where something is said, and of which VRF."""


@dataclass(slots=True)
class Management:
    """What the text says of it."""

    users: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    ssh_list: tuple[Line, str | None, str] | None = None
    ssh_vrfs: set[str | None] = field(default_factory=lambda: {None})
    """Where SSH is answered: in the global table unless it is said otherwise."""
    ntp_servers: dict[IPv4Address, tuple[InVrf, int | None]] = field(default_factory=dict)
    ntp_keys: set[int] = field(default_factory=set)
    ntp_trusted: int | None = None
    ntp_authenticates: bool = False
    ptp_domain: int | None = None
    ptp_is_on: bool = False
    ptp_serves: bool = True
    syslog: dict[IPv4Address, InVrf] = field(default_factory=dict)
    aaa_servers: dict[str, dict[IPv4Address, InVrf]] = field(default_factory=dict)
    aaa_protocol: str | None = None
    sources: list[InVrf] = field(default_factory=list)
    shared_secrets: set[str] = field(default_factory=set)


def facts(
    held: Management, vrf: str | None, lists: Lists, synchronized: bool, reached_by_ssh: frozenset[IPv4Network]
) -> ManagementFacts:
    """What that is. Raises :class:`ValueError` for what stands in another VRF than ``vrf``."""
    for line, other in _places(held):
        if other != vrf:
            raise line.wrong(f"it is of {other or 'the global table'}, the interfaces are in {vrf or 'that'}")
    is_client = held.ptp_is_on and not held.ptp_serves and synchronized
    return ManagementFacts(
        ssh_sources=_ssh_sources(held, vrf, lists, reached_by_ssh),
        ntp_servers=frozenset(held.ntp_servers),
        ntp_key_id=_ntp_key(held),
        ptp_domain=held.ptp_domain if is_client else None,
        syslog=frozenset(held.syslog),
        aaa=None
        if held.aaa_protocol is None
        else (held.aaa_protocol, tuple(held.aaa_servers.get(held.aaa_protocol, ()))),
        users=frozenset(held.users & held.keys),
    )


def _places(held: Management) -> Iterator[InVrf]:
    yield from (place for place, _ in held.ntp_servers.values())
    yield from held.syslog.values()
    yield from (place for servers in held.aaa_servers.values() for place in servers.values())
    yield from held.sources


def _ssh_sources(
    held: Management, vrf: str | None, lists: Lists, reached: frozenset[IPv4Network]
) -> frozenset[IPv4Network]:
    if vrf not in held.ssh_vrfs:
        return frozenset()
    if held.ssh_list is None:
        return reached
    line, listed_vrf, name = held.ssh_list
    return lists.permitted(line, name) if listed_vrf == vrf else reached


def _ntp_key(held: Management) -> int | None:
    """The key, where every answer must be signed with it."""
    signed = {key for _, key in held.ntp_servers.values()} == {held.ntp_trusted}
    return held.ntp_trusted if signed and held.ntp_trusted in held.ntp_keys and held.ntp_authenticates else None


def register(top: Commands) -> None:
    """Add the commands of management to the configuration's, whose reader has a :class:`Management`."""
    for pattern, function in (
        (r"username (\S+) privilege 15 role network-admin secret sha512 \S+", _user),
        (r"username (\S+) ssh-key (?:ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa) \S+(?: \S+)?", _key),
        (rf"logging{VRF} host ({ADDRESS})", _syslog),
        (rf"logging{VRF} source-interface \S+", _source),
        (rf"ip (?:tacacs|radius){VRF} source-interface \S+", _source),
        (rf"ntp local-interface{VRF} \S+", _source),
        (rf"ntp server{VRF} ({ADDRESS}) iburst(?: key (\d+))?", _ntp_server),
        (r"ntp authentication-key (\d+) (?:md5|sha1) 0 \S+", _ntp_authentication_key),
        (r"ntp trusted-key (\d+)", _ntp_trusted),
        (r"ntp authenticate", _ntp_authenticate),
        (r"ptp domain (\d+)", _ptp_domain),
        (r"ptp mode boundary", _ptp_mode),
        (r"no ptp free-running", _ptp_client),
        (rf"(tacacs|radius)-server host ({ADDRESS}){VRF} key 0 \S+", _aaa_server),
        (r"aaa authentication login default group (tacacs\+|radius) local", _aaa),
    ):
        top.says(pattern)(function)
    top.says(r"management ssh", opens=True)(_ssh)
    top.says(r"management security", opens=True)(_security)
    top.says(r"management (?:console|telnet|api http-commands)", opens=True)(_other_service)
    top.silent(
        r"ptp priority1 255",
        r"aaa authorization (serial-console|exec default .+|commands all default .+)",
        r"aaa accounting (exec|commands all) default start-stop group (tacacs\+|radius)",
    )


def _user(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.users.add(groups[0])


def _key(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.keys.add(groups[0])


def _syslog(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.syslog[address(groups[1])] = line, groups[0]


def _source(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.sources.append((line, groups[0]))


def _ntp_server(held: Any, line: Line, groups: tuple[str | None, ...]) -> None:
    vrf, server, key = groups
    held.management.ntp_servers[address(server or "")] = (line, vrf), None if key is None else int(key)


def _ntp_authentication_key(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.ntp_keys.add(int(groups[0]))


def _ntp_trusted(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.ntp_trusted = int(groups[0])


def _ntp_authenticate(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.ntp_authenticates = True


def _ptp_domain(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.ptp_domain = int(groups[0])


def _ptp_mode(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.ptp_is_on = True


def _ptp_client(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.ptp_serves = False


def _aaa_server(held: Any, line: Line, groups: tuple[str | None, ...]) -> None:
    protocol = "tacacs+" if groups[0] == "tacacs" else "radius"
    held.management.aaa_servers.setdefault(protocol, {})[address(groups[1] or "")] = line, groups[2]


def _aaa(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.management.aaa_protocol = groups[0]


def _security(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    _SECURITY.read(held, line.block)


_SECURITY = Commands("the security block")
_SHARED_SECRET = Commands("a shared secret")
_SHARED_SECRET.silent(r"secret \d+ 0 \S+ receive-lifetime infinite transmit-lifetime infinite")


@_SECURITY.says(r"session shared-secret profile (\S+)", opens=True)
def _shared_secret(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    _SHARED_SECRET.read(held, line.block)
    if line.block:
        held.management.shared_secrets.add(groups[0])


def _ssh(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    _SSH.read((held.management, None), line.block)


Served = tuple[Management, str | None]

_SSH = Commands("SSH's block")
_SSH.silent(r"idle-timeout \d+", r"authentication protocol( keyboard-interactive| public-key)+")


@_SSH.says(rf"ip access-group (\S+){VRF} in")
def _ssh_list(held: Served, line: Line, groups: tuple[str, ...]) -> None:
    held[0].ssh_list = line, groups[1], groups[0]


@_SSH.says(r"vrf (\S+)", opens=True)
def _ssh_vrf(held: Served, line: Line, groups: tuple[str, ...]) -> None:
    _SSH.read((held[0], groups[0]), line.block)


@_SSH.says(r"(no )?shutdown")
def _ssh_shutdown(held: Served, line: Line, groups: tuple[str | None, ...]) -> None:
    management, vrf = held
    management.ssh_vrfs.discard(vrf)
    if groups[0] is not None:
        management.ssh_vrfs.add(vrf)


def _other_service(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    _OTHER_SERVICE.read(held, line.block)


_OTHER_SERVICE = Commands("another service's block")
_OTHER_SERVICE.silent(r"idle-timeout \d+", r"shutdown")
