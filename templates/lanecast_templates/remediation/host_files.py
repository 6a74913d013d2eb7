"""Files of a Linux host: what makes a changed one take effect.

A file is put in place first, then its commands run. What it no longer asks for has commands of its own, because ``ip``
only ever adds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from lanecast_templates.renderer import RELAY_PROGRAM


@dataclass(frozen=True, slots=True)
class Gone:
    """Lines that are taken away when they are no longer there. ``key``: what has to be different for that."""

    line: str
    """A regular expression; ``key`` and ``command`` are spelled from its groups."""
    key: str
    command: str


@dataclass(frozen=True, slots=True)
class HostFile:
    """One kind of file, by a pattern of its path below the node's folder."""

    path: str
    apply: tuple[str, ...] = ()
    """Where it is changed or new; ``{name}`` is the file's own name."""
    new: tuple[str, ...] = ()
    """Besides, where it is new."""
    removed: tuple[str, ...] = ()
    """Where it is no longer rendered, before it is deleted."""
    gone: tuple[Gone, ...] = ()
    gone_first: bool = False
    note: str | None = None


HOST_FILES = (
    HostFile(
        "etc/lanecast/links.ip",
        apply=("ip -force -batch /etc/lanecast/links.ip",),
        gone=(Gone(r"link add link (\S+) name (\S+) type vlan id (\d+)$", r"\1 \2 \3", r"ip link delete dev \2"),),
        # A VLAN that changes its number or port has to go before it can come again.
        gone_first=True,
        note="links that are there already are told as existing, and stay",
    ),
    HostFile(
        "etc/lanecast/network.ip",
        apply=("ip -batch /etc/lanecast/network.ip",),
        gone=(
            Gone(r"address replace (\S+) dev (\S+)$", r"\1 \2", r"ip address delete \1 dev \2"),
            Gone(r"route replace (\S+) via \S+ dev \S+ metric (\d+)$", r"\1 \2", r"ip route delete \1 metric \2"),
        ),
    ),
    HostFile(
        "etc/sysctl.d/*.conf",
        apply=("sysctl --load=/etc/sysctl.d/{name}",),
        note="a setting that is no longer there keeps its value until the next boot",
    ),
    HostFile(
        "etc/nftables.conf",
        apply=("nft -f /etc/nftables.conf",),
        removed=("nft delete table inet lanecast",),
    ),
    HostFile(
        "etc/frr/daemons",
        apply=("systemctl restart frr.service",),
        note="every routing daemon starts afresh: sessions fall and come again",
    ),
    HostFile("etc/frr/vtysh.conf", note="vtysh reads it when it is started next"),
    HostFile(
        "etc/systemd/system/lanecast-relay.service",
        apply=("systemctl daemon-reload", "systemctl restart lanecast-relay.service"),
        new=("systemctl enable lanecast-relay.service",),
        removed=("systemctl disable --now lanecast-relay.service",),
        note="the relay drains and starts afresh",
    ),
    HostFile(
        "etc/systemd/system/*.service",
        apply=("systemctl daemon-reload",),
        new=("systemctl enable {name}",),
        removed=("systemctl disable {name}",),
        note="it runs at the next boot; until then what it would do is done by the files that it applies",
    ),
    HostFile(
        "etc/systemd/network/*",
        apply=("networkctl reload",),
    ),
    HostFile(
        "etc/lanecast/relay.yaml",
        apply=(f"{RELAY_PROGRAM} reload /etc/lanecast/relay.yaml",),
        note="a reload names what cannot change while the relay runs: then systemctl restart lanecast-relay.service",
    ),
)
"""In the order in which they are applied: links before what stands on them. The first that fits counts."""

UNKNOWN = HostFile("*", note="no command is declared for this file")


def host_file(path: PurePosixPath) -> HostFile:
    """The kind of a file below a node's folder."""
    return next((kind for kind in HOST_FILES if fnmatchcase(str(path), kind.path)), UNKNOWN)


def order(path: PurePosixPath) -> int:
    """The place of a file among those that are applied."""
    kind = host_file(path)
    return HOST_FILES.index(kind) if kind in HOST_FILES else len(HOST_FILES)


def applying(path: PurePosixPath, old: str | None, new: str | None) -> tuple[str, ...]:
    """The commands that make the file take effect, where ``old`` was in place before; None: it is not there."""
    kind = host_file(path)
    gone = _taken_away(kind.gone, old or "", new or "")
    fixed = kind.removed if new is None else (*kind.apply, *(kind.new if old is None else ()))
    commands = (command.format(name=path.name) for command in fixed)
    return (*gone, *commands) if kind.gone_first else (*commands, *gone)


def _taken_away(rules: Iterable[Gone], old: str, new: str) -> list[str]:
    commands: list[str] = []
    for rule in rules:
        before, after = _spelled(rule, old), _spelled(rule, new)
        commands += [command for key, command in before.items() if key not in after]
    return commands


def _spelled(rule: Gone, text: str) -> Mapping[str, str]:
    found = (re.match(rule.line, line) for line in text.splitlines())
    return {match.expand(rule.key): match.expand(rule.command) for match in found if match is not None}
