"""How a router is reached, kept in time and listened to, in Comware's terms."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from lanecast.plan.model import AaaProtocol
from lanecast.router import Aaa, Router, User
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.h3c_comware_keys import hexadecimal_key

KEY_LINE = 64
"""How many of a key's digits stand on a line, which has to be shorter than what a terminal takes."""

MOST_SERVERS = 17
"""A primary and sixteen secondary ones."""

MOST_OF_PASSWORD = 80
MOST_OF_NTP_KEY = 32
MOST_OF_SERVER_KEY = {AaaProtocol.TACACS: 255, AaaProtocol.RADIUS: 64}
"""How long Comware takes secrets, in clear."""


@dataclass(frozen=True, slots=True)
class ComwareUser:
    """A user's name and public key, in hexadecimal digits cut into lines."""

    name: str
    key_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComwareAaa:
    """Who may log in is asked of these servers; the router itself counts only while none answers."""

    protocol: str
    """What Comware calls it: ``hwtacacs`` or ``radius``."""
    duties: tuple[str, ...]
    """What servers are named for; RADIUS authorizes in its answers."""
    servers: tuple[IPv4Address, ...]
    key: str


@dataclass(frozen=True, slots=True)
class ComwareManagement:
    """The management of a router. ``source``: where its own requests come from, by name and by address."""

    source: str | None
    source_address: IPv4Address | None
    ssh_list: int | None
    """None: SSH is not served."""
    ntp_servers: tuple[IPv4Address, ...]
    ntp_key_id: int | None
    ntp_key: str | None
    syslog: tuple[IPv4Address, ...]
    aaa: ComwareAaa | None
    users: tuple[ComwareUser, ...]


def comware_management(router: Router, secrets: RouterSecrets, ssh_list: int | None) -> ComwareManagement:
    """Return the router's management in Comware's terms. Raises :class:`RenderError` for what Comware cannot say."""
    held = router.management
    return ComwareManagement(
        source=held.source_interface,
        source_address=router.interface(held.source_interface).address.ip if held.source_interface else None,
        ssh_list=ssh_list,
        ntp_servers=held.ntp.servers if held.ntp else (),
        ntp_key_id=held.ntp.key_id if held.ntp else None,
        ntp_key=word(router, secrets.ntp_key(), "the NTP key", MOST_OF_NTP_KEY),
        syslog=held.syslog,
        aaa=None if held.aaa is None else _aaa(router, held.aaa, secrets.aaa_key()),
        users=tuple(_user(router, user) for user in held.users),
    )


def word(router: Router, secret: str | None, what: str, most: int) -> str | None:
    """The secret, as one word of a command line; a question mark would call Comware's help."""
    if secret is None:
        return None
    if "?" in secret or '"' in secret or not secret or any(each.isspace() for each in secret):
        raise RenderError(
            f"{router.name}: {what} has a blank, a quote or a question mark, or is empty, which Comware cannot take"
        )
    if len(secret) > most:
        raise RenderError(f"{router.name}: {what} is longer than the {most} characters that Comware takes")
    return secret


def _aaa(router: Router, held: Aaa, key: str | None) -> ComwareAaa:
    if len(held.servers) > MOST_SERVERS:
        raise RenderError(f"{router.name}: Comware takes {MOST_SERVERS} AAA servers, not {len(held.servers)}")
    tacacs = held.protocol is AaaProtocol.TACACS
    return ComwareAaa(
        protocol="hwtacacs" if tacacs else "radius",
        duties=("authentication", "authorization") if tacacs else ("authentication",),
        servers=held.servers,
        key=word(router, key, "the AAA key", MOST_OF_SERVER_KEY[held.protocol]) or "",
    )


def _user(router: Router, user: User) -> ComwareUser:
    algorithm, encoded = user.ssh_key.split()[:2]
    digits = hexadecimal_key(algorithm, encoded)
    if digits is None:
        raise RenderError(
            f"{router.name}: Comware cannot take the {algorithm} key of {user.name}: use RSA, ECDSA-256 or ECDSA-384"
        )
    return ComwareUser(user.name, tuple(digits[start : start + KEY_LINE] for start in range(0, len(digits), KEY_LINE)))
