"""What Junos's ``system`` says of logins, time and logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

from lanecast_templates.readers.facts import ManagementFacts
from lanecast_templates.readers.junos_blocks import Block

Homes = Mapping[str, str | None]
"""The routing instance of each of the router's addresses."""

METHODS = {"tacplus": ("tacacs+", "tacplus-server"), "radius": ("radius", "radius-server")}
TEMPLATE_USER = "remote"
"""The account whose rights those have that an AAA server lets in; nobody can log in as it."""
KEYS = ("ssh-ed25519", "ssh-ecdsa", "ssh-rsa")


def management(system: Block, homes: Homes, into_ssh: frozenset[IPv4Network]) -> ManagementFacts:
    """Everything; ``into_ssh``: from where the router's own filter lets SSH in."""
    users = set(_users(system.block("login")))
    aaa = _aaa(system, homes)
    if (TEMPLATE_USER in users) != (aaa is not None):
        raise system.wrong(f"user {TEMPLATE_USER} has the rights of whom AAA lets in: it is missing, or for nothing")
    ssh = system.block("services").block("ssh")
    has_ssh = bool(ssh)
    if has_ssh and not ssh.has("root-login", "deny"):
        raise ssh.wrong("root may log in")
    servers, key_id = _ntp(system.block("ntp"), homes)
    return ManagementFacts(
        ssh_sources=into_ssh if has_ssh else frozenset(),
        ntp_servers=servers,
        ntp_key_id=key_id,
        ptp_domain=None,
        syslog=frozenset(_syslog(system.block("syslog"), homes)),
        aaa=aaa,
        users=frozenset(users) - {TEMPLATE_USER},
    )


def _users(login: Block) -> Iterator[str]:
    """Users, each with the rights and the way in that it is to have."""
    for name, block in login.blocks("user"):
        rights = block.word("class")
        authentication = block.block("authentication")
        keys = [words for kind in KEYS for words in authentication.each(kind)]
        expected = ("read-only", 0) if name == TEMPLATE_USER else ("super-user", 1)
        if (rights, len(keys)) != expected:
            raise block.wrong(f"{name} has not the rights and keys of such a user")
        yield name


def _aaa(system: Block, homes: Homes) -> tuple[str, tuple[IPv4Address, ...]] | None:
    """Without ``password`` in the order local users count only while no server answers."""
    order = system.words("authentication-order")
    found = {}
    for method, (protocol, container) in METHODS.items():
        servers = tuple(_access_servers(system.block(container), homes))
        if servers:
            found[method] = protocol, servers
    if tuple(found) != order:
        raise system.wrong("authentication-order does not name the servers that there are, and nothing else")
    return next(iter(found.values()), None)


def _access_servers(container: Block, homes: Homes) -> Iterator[IPv4Address]:
    for address, block in container.blocks():
        if block.word("secret") is None or block.number("timeout") is None:
            raise block.wrong("a server without its key or without a bound on how long it is waited for")
        _asked_from(block, block.word("source-address"), block.word("routing-instance"), homes)
        yield IPv4Address(address)


def _syslog(syslog: Block, homes: Homes) -> Iterator[IPv4Address]:
    for address, block in syslog.blocks("host"):
        if block.word("any") is None:
            raise block.wrong("a server that is told of some facilities alone")
        _asked_from(block, block.word("source-address"), block.word("routing-instance"), homes)
        yield IPv4Address(address)


def _asked_from(block: Block, source: str | None, instance: str | None, homes: Homes) -> None:
    """A server is asked from an address of the router's, in the routing instance of that address."""
    if source is None or source not in homes or homes[source] != instance:
        raise block.wrong("a server is not asked from an address of the router's, where that address is")


def _ntp(ntp: Block, homes: Homes) -> tuple[frozenset[IPv4Address], int | None]:
    """The servers, and the key that all of them have to sign with."""
    keys = {words[0] for words in ntp.each("authentication-key") if words[1] == "type" and words[3] == "value"}
    trusted = set(ntp.words("trusted-key"))
    from_ = [_options(words) for words in ntp.each("source-address")]
    servers, signing = set(), set()
    for words in ntp.each("server"):
        options = _options(words)
        servers.add(IPv4Address(options[""]))
        signing.add(options.get("key"))
        for each in from_ or [{"": ""}]:
            if each.get("routing-instance") != options.get("routing-instance"):
                raise ntp.wrong("a server is asked in another routing instance than its source's")
            _asked_from(ntp, each[""], each.get("routing-instance"), homes)
    if signing - {None} != keys or keys != trusted or len(signing) > 1:
        raise ntp.wrong("not all servers sign with the one key that is trusted")
    key = next(iter(signing), None)
    return frozenset(servers), None if key is None else int(key)


def _options(words: tuple[str, ...]) -> dict[str, str]:
    """A value with options behind it: ``10.0.0.5 key 3``."""
    return {"": words[0], **dict(zip(words[1::2], words[2::2], strict=True))}
