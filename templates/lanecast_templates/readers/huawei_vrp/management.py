"""A VRP text's commands of management: keys, time, logs, logins."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address

from lanecast_templates.readers.huawei_vrp.declarations import (
    Commands,
    Domain,
    Keychain,
    Line,
    ServerGroup,
    SshUser,
    TcpAo,
    fail,
    unknown,
)


def keychain(commands: Commands, line: Line) -> None:
    keychain = commands.keychains[line.words[1]] = Keychain()
    if line.words[2:] != ["mode", "absolute"]:
        unknown(line)
    for each in line.children:
        match each.words:
            case ["key-id", number]:
                keychain.keys[int(number)] = {command.words[0] for command in each.children}
            case _:
                unknown(each)


def tcp(commands: Commands, line: Line) -> None:
    bound = commands.tcp_ao[line.words[2]] = TcpAo()
    for each in line.children:
        match each.words, [command.words for command in each.children]:
            case ["binding", "keychain", name], []:
                bound.keychain = name
            case ["key-id", number], [["send-id", send, "receive-id", receive]]:
                bound.identifiers[int(number)] = (int(send), int(receive))
            case _:
                unknown(each)


def ntp(commands: Commands, line: Line) -> None:
    match line.words[1:]:
        case ["authentication-keyid", _, "authentication-mode", "md5", "cipher", _]:
            pass
        case ["reliable", "authentication-keyid", _]:
            pass
        case ["unicast-server", address, "source-interface", _, *rest]:
            if rest[:1] == ["vpn-instance"]:
                vrf, rest = rest[1], rest[2:]
                commands.scopes.append((line.number, vrf))
            else:
                commands.scopes.append((line.number, None))
            key = int(rest[1]) if rest[:1] == ["authentication-keyid"] else None
            commands.ntp_servers[IPv4Address(address)] = key
        case _:
            unknown(line)


def info_center(commands: Commands, line: Line) -> None:
    match line.words[1:]:
        case ["loghost", address, "source-ip", _]:
            commands.scopes.append((line.number, None))
            commands.log_hosts.append(IPv4Address(address))
        case ["loghost", address, "vpn-instance", vrf, "source-ip", _]:
            commands.scopes.append((line.number, vrf))
            commands.log_hosts.append(IPv4Address(address))
        case _:
            unknown(line)


def ssh(commands: Commands, line: Line) -> None:
    match line.words[1:]:
        case ["server", "acl", name]:
            commands.ssh_acl = name
        case ["server", ("cipher" | "hmac" | "key-exchange" | "publickey") as kind, *_]:
            commands.ssh_algorithms.add(kind)
        case ["server", "dh-exchange", "min-len", "3072"]:
            commands.ssh_algorithms.add("dh-exchange")
        case ["user", name]:
            commands.users[name] = SshUser(line.number)
        case ["user", name, "authentication-type", kind] if name in commands.users:
            commands.users[name].authentication = kind
        case ["user", name, "assign", ("rsa-key" | "ecc-key") as kind, key] if name in commands.users:
            commands.users[name].assigned = (kind, key)
        case ["user", name, "service-type", service] if name in commands.users:
            commands.users[name].service = service
        case _:
            unknown(line)


def public_key(commands: Commands, line: Line) -> None:
    match line.words, [each.text for each in line.children]:
        case [
            [kind, "peer-public-key", name, "encoding-type", "openssh"],
            ["public-key-code begin", "public-key-code end", "peer-public-key end"],
        ]:
            algorithm, *pieces = [word for each in line.children[0].children for word in each.words]
            right = algorithm.startswith({"rsa": "ssh-rsa", "ecc": "ecdsa-"}[kind])
            if not right or not _is_whole_key(algorithm, "".join(pieces)):
                fail(line.number, f"the key {name} is none, or of another kind")
            commands.public_keys.add((f"{kind}-key", name))
        case _:
            unknown(line)


def _is_whole_key(algorithm: str, encoded: str) -> bool:
    """Whether a key's fields (RFC 4253, section 6.6) fill it, and the first is its algorithm."""
    blob = base64.b64decode(encoded, validate=True)
    parts = []
    while blob:
        length = int.from_bytes(blob[:4])
        parts.append(blob[4 : 4 + length])
        if len(parts[-1]) < length:
            return False
        blob = blob[4 + length :]
    return bool(parts) and parts[0] == algorithm.encode()


def server_group(commands: Commands, line: Line) -> None:
    protocol = line.words[0].removesuffix("-server")
    if line.words[1] != {"hwtacacs": "template", "radius": "group"}[protocol]:
        unknown(line)
    group = commands.server_groups[protocol, line.words[2]] = ServerGroup()
    for each in line.children:
        match each.words[1:]:
            case ["shared-key", "cipher", _] | ["shared-key-cipher", _]:
                group.has_key = True
            case ["source-ip", source] | ["source", "interface", source]:
                group.source = source
            case ["authentication", address, *rest]:
                _server(commands, each, group.authentication, address, rest)
            case ["authorization", address, *rest]:
                _server(commands, each, group.authorization, address, rest)
            case _:
                unknown(each)


def _server(commands: Commands, line: Line, servers: list[IPv4Address], address: str, rest: list[str]) -> None:
    """A server; behind its address stand its VRF, RADIUS's port, and of the second that it is not the first."""
    vrf = None
    if rest[:1] == ["vpn-instance"]:
        vrf, rest = rest[1], rest[2:]
    commands.scopes.append((line.number, vrf))
    expected = ["1812"] if line.words[0] == "radius-server" else ["secondary"] * bool(servers)
    if rest != expected:
        unknown(line)
    servers.append(IPv4Address(address))


def aaa(commands: Commands, line: Line) -> None:
    for each in line.children:
        match each.words:
            case [("authentication-scheme" | "authorization-scheme") as kind, name]:
                [mode] = each.children
                if mode.words[0] != kind.replace("scheme", "mode"):
                    unknown(mode)
                commands.schemes[name] = tuple(mode.words[1:])
            case ["domain", name]:
                commands.domains[name] = _domain(each)
            case _:
                unknown(each)


def _domain(line: Line) -> Domain:
    domain = Domain(line.number)
    for each in line.children:
        match each.words:
            case [("authentication-scheme" | "authorization-scheme") as kind, name]:
                domain.schemes[kind.removesuffix("-scheme")] = name
            case ["hwtacacs-server", name]:
                domain.server = ("hwtacacs", name)
            case ["radius-server", "group", name]:
                domain.server = ("radius", name)
            case _:
                unknown(each)
    return domain


def terminal(commands: Commands, line: Line) -> None:
    commands.terminals[line.text] = {each.text for each in line.children}
