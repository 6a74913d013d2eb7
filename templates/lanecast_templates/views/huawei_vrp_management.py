"""How a router is reached, kept in time and listened to, in VRP's terms."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from lanecast.plan.model import AaaProtocol
from lanecast.router import Aaa, Router, User
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.huawei_vrp_lists import SSH_LIST

KEY_KINDS = {"ssh-rsa": "rsa", "ecdsa-": "ecc"}
"""What VRP calls the algorithms of public keys that it takes from users, by their beginning."""

KEY_LINE = 64
"""How much of a key stands on a line, which has to be shorter than what a terminal takes."""

MOST_TACACS_SERVERS = 2
"""A primary and a secondary."""


@dataclass(frozen=True, slots=True)
class VrpUser:
    """A user's name and public key, cut into lines."""

    name: str
    kind: str
    """``rsa`` or ``ecc``."""
    key_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VrpAaa:
    """Who may log in is asked of these servers; the router itself counts only while none answers."""

    protocol: AaaProtocol
    servers: tuple[IPv4Address, ...]
    key: str

    @property
    def tacacs(self) -> bool:
        """Whether it is HWTACACS, which authorizes as well, and not RADIUS."""
        return self.protocol is AaaProtocol.TACACS


@dataclass(frozen=True, slots=True)
class VrpManagement:
    """The management of a router. ``source``: where its own requests come from, by name and by address."""

    source: str | None
    source_address: IPv4Address | None
    ssh_list: str | None
    """None: SSH is not served to anyone on the router's interfaces, whose filters keep it out."""
    ntp_servers: tuple[IPv4Address, ...]
    ntp_key_id: int | None
    ntp_key: str | None
    syslog: tuple[IPv4Address, ...]
    aaa: VrpAaa | None
    users: tuple[VrpUser, ...]


def vrp_management(router: Router, secrets: RouterSecrets) -> VrpManagement:
    """Return the router's management in VRP's terms. Raises :class:`RenderError` for what VRP cannot say."""
    held = router.management
    return VrpManagement(
        source=held.source_interface,
        source_address=router.interface(held.source_interface).address.ip if held.source_interface else None,
        ssh_list=SSH_LIST if held.ssh_sources else None,
        ntp_servers=held.ntp.servers if held.ntp else (),
        ntp_key_id=held.ntp.key_id if held.ntp else None,
        ntp_key=word(router, secrets.ntp_key(), "the NTP key"),
        syslog=held.syslog,
        aaa=None if held.aaa is None else _aaa(router, held.aaa, word(router, secrets.aaa_key(), "the AAA key")),
        users=tuple(_user(router, user) for user in held.users),
    )


def word(router: Router, secret: str | None, what: str) -> str | None:
    """The secret, as one word of a command line; a question mark would call VRP's help."""
    if secret is not None and ("?" in secret or '"' in secret or not secret or any(each.isspace() for each in secret)):
        raise RenderError(
            f"{router.name}: {what} has a blank, a quote or a question mark, or is empty, which VRP cannot take"
        )
    return secret


def _aaa(router: Router, held: Aaa, key: str | None) -> VrpAaa:
    if held.protocol is AaaProtocol.TACACS and len(held.servers) > MOST_TACACS_SERVERS:
        raise RenderError(f"{router.name}: VRP takes {MOST_TACACS_SERVERS} TACACS+ servers, not {len(held.servers)}")
    return VrpAaa(held.protocol, held.servers, key or "")


def _user(router: Router, user: User) -> VrpUser:
    algorithm, encoded = user.ssh_key.split()[:2]
    kind = next((kind for beginning, kind in KEY_KINDS.items() if algorithm.startswith(beginning)), None)
    if kind is None:
        raise RenderError(
            f"{router.name}: VRP takes no {algorithm} key, which {user.name} has: use an RSA or ECDSA key"
        )
    pieces = [encoded[start : start + KEY_LINE] for start in range(0, len(encoded), KEY_LINE)]
    return VrpUser(user.name, kind, (f"{algorithm} {pieces[0]}", *pieces[1:]))
