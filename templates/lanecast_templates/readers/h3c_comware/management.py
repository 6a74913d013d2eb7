"""A Comware text's commands of management: time, logs, logins, keys."""

from __future__ import annotations

from ipaddress import IPv4Address

from lanecast_templates.readers.h3c_comware.declarations import (
    Commands,
    Line,
    LocalUser,
    Scheme,
    fail,
    unknown,
)

KEY_BEGINNINGS = (
    bytes.fromhex("300d06092a864886f70d0101010500"),
    bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"),
    bytes.fromhex("301006072a8648ce3d020106052b81040022"),
)
"""What a public key's algorithm is encoded as (RFC 3279, RFC 5480): RSA, P-256, P-384."""


def ntp(commands: Commands, line: Line) -> None:
    match line.words[1:]:
        case ["authentication-keyid", _, "authentication-mode", "md5", "simple", _]:
            pass
        case ["reliable", "authentication-keyid", _]:
            pass
        case ["unicast-server", address, "vpn-instance", vrf, *rest]:
            commands.scopes.append((line.number, vrf))
            commands.ntp_servers[IPv4Address(address)] = _ntp_key(line, rest)
        case ["unicast-server", address, *rest]:
            commands.scopes.append((line.number, None))
            commands.ntp_servers[IPv4Address(address)] = _ntp_key(line, rest)
        case _:
            unknown(line)


def _ntp_key(line: Line, rest: list[str]) -> int | None:
    match rest:
        case ["source", _]:
            return None
        case ["authentication-keyid", key, "source", _]:
            return int(key)
        case _:
            return unknown(line)


def info_center(commands: Commands, line: Line) -> None:
    match line.words[1:]:
        case ["loghost", "source", _]:
            commands.said.add("info-center loghost source")
        case ["loghost", "vpn-instance", vrf, address]:
            commands.scopes.append((line.number, vrf))
            commands.log_hosts.append(IPv4Address(address))
        case ["loghost", address]:
            commands.scopes.append((line.number, None))
            commands.log_hosts.append(IPv4Address(address))
        case _:
            unknown(line)


def ssh(commands: Commands, line: Line) -> None:
    match line.words[1:]:
        case ["server", "acl", number]:
            commands.ssh_acl = number
        case ["user", name, "service-type", "stelnet", "authentication-type", "publickey", "assign", "publickey", key]:
            commands.ssh_users[name] = key
        case _:
            unknown(line)


def ssh2(commands: Commands, line: Line) -> None:
    match line.words[1:]:
        case ["algorithm", ("cipher" | "key-exchange" | "mac" | "public-key") as kind, *chosen]:
            commands.ssh_algorithms[kind] = chosen
        case _:
            unknown(line)


def public_key(commands: Commands, line: Line) -> None:
    *pieces, end = [each.text for each in line.children]
    if line.words[:2] != ["public-key", "peer"] or end != "peer-public-key end":
        unknown(line)
    encoded = bytes.fromhex("".join(pieces))
    content = _contents(line, encoded, 0x30)
    begun = next((each for each in KEY_BEGINNINGS if content.startswith(each)), None)
    if begun is None:
        fail(line.number, f"the key {line.words[2]} is of no kind that Comware takes")
    bits = _contents(line, content[len(begun) :], 0x03)
    if bits[0] != 0:
        fail(line.number, f"the key {line.words[2]} has no whole number of bytes")
    if begun is KEY_BEGINNINGS[0]:
        _contents(line, bits[1:], 0x30)
    elif bits[1] != 4 or len(bits) not in (66, 98):
        fail(line.number, f"the key {line.words[2]} is no point of its curve")
    commands.public_keys.add(line.words[2])


def _contents(line: Line, encoded: bytes, tag: int) -> bytes:
    """What the one DER value of that tag holds (X.690), which has to fill ``encoded``."""
    length, start = encoded[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(encoded[2:start])
    if encoded[0] != tag or start + length != len(encoded):
        fail(line.number, f"the key {line.words[2]} is not whole")
    return encoded[start:]


def scheme(commands: Commands, line: Line) -> None:
    protocol, word, name = line.words
    if word != "scheme":
        unknown(line)
    held = commands.schemes[protocol, name] = Scheme(line.number)
    for each in line.children:
        match each.words:
            case [("primary" | "secondary") as rank, duty, address, *_]:
                servers = held.servers.setdefault(duty, [])
                if (rank == "primary") is bool(servers):
                    fail(each.number, f"the first server is the primary one, and only it: {duty}")
                commands.scopes.append((each.number, _vrf_of_server(each)))
                servers.append(IPv4Address(address))
            case ["key", duty, "simple", _]:
                held.keys.add(duty)
            case ["nas-ip", address]:
                held.source = IPv4Address(address)
            case ["user-name-format", "without-domain"]:
                held.plain_names = True
            case _:
                unknown(each)


def _vrf_of_server(line: Line) -> str | None:
    match line.words[3:]:
        case []:
            return None
        case ["vpn-instance", vrf]:
            return vrf
        case _:
            return unknown(line)


def domain(commands: Commands, line: Line) -> None:
    match line.words[1:]:
        case ["default", "enable", name]:
            commands.default_domain = name
        case [name]:
            held = commands.domains[name] = {}
            for each in line.children:
                match each.words:
                    case [("authentication" | "authorization") as duty, "login", *methods]:
                        held[duty] = tuple(methods)
                    case _:
                        unknown(each)
        case _:
            unknown(line)


def local_user(commands: Commands, line: Line) -> None:
    match line.words[1:]:
        case [name, "class", "manage"]:
            commands.local_users[name] = LocalUser(line.number, {each.text for each in line.children})
        case _:
            unknown(line)


def terminal(commands: Commands, line: Line) -> None:
    commands.terminals[line.text] = {each.text for each in line.children}
