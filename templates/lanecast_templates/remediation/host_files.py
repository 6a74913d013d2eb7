"""Files of a Linux host: what makes a changed one take effect.

Most have commands that run once the file is in place, or away. Some have others that run before, because the file's
own program knows only what it says now.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from lanecast_templates.box_files import RELAY_PROGRAM


@dataclass(frozen=True, slots=True)
class Made:
    """What a file makes, and what takes it away: where that is another one, or none, the old one has to go first."""

    text: str
    """A regular expression over the whole file; ``command`` is spelled from its groups."""
    command: str


@dataclass(frozen=True, slots=True)
class HostFile:
    """One kind of file, by a pattern of its path below the node's folder; ``{name}`` is the file's own name."""

    path: str
    apply: tuple[str, ...] = ()
    """Where it is changed or new."""
    new: tuple[str, ...] = ()
    """Besides, where it is new."""
    before_removal: tuple[str, ...] = ()
    after_removal: tuple[str, ...] = ()
    made: Made | None = None
    holds_secret: bool = False
    """Whether the whole file is about a secret, whose words tell nobody where it is."""
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """The commands around putting a file in place, or taking it away."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


_READ_UNITS = "systemctl daemon-reload"
_RELOAD_NETWORK = "networkctl reload"

HOST_FILES = (
    HostFile(
        "etc/systemd/network/*.netdev",
        apply=(_RELOAD_NETWORK,),
        # networkd makes links that are not there, and neither changes nor removes one.
        made=Made(r"(?ms)^Name=(\S+)$.*^Id=\d+$", r"networkctl delete \1"),
    ),
    HostFile("etc/systemd/network/*.network", apply=(_RELOAD_NETWORK,), after_removal=(_RELOAD_NETWORK,)),
    HostFile(
        "etc/systemd/networkd.conf.d/*.conf",
        apply=("systemctl restart systemd-networkd.service",),
        after_removal=("systemctl restart systemd-networkd.service",),
    ),
    HostFile(
        "etc/sysctl.d/*.conf",
        apply=("sysctl --load=/etc/sysctl.d/{name}",),
        note="a setting that is no longer there keeps its value until the next boot",
    ),
    HostFile(
        "etc/nftables.conf",
        apply=("nft -f /etc/nftables.conf",),
        before_removal=("nft delete table inet lanecast",),
    ),
    HostFile("etc/keepalived/lanecast-take-over", note="keepalived runs it when the next address comes"),
    HostFile(
        "etc/keepalived/keepalived.conf",
        apply=("systemctl reload-or-restart keepalived.service",),
        new=("systemctl enable keepalived.service",),
        before_removal=("systemctl disable --now keepalived.service",),
    ),
    HostFile(
        "etc/systemd/system/frr.service.d/*.conf",
        apply=(_READ_UNITS,),
        after_removal=(_READ_UNITS,),
        note="it counts when FRR is started next",
    ),
    HostFile(
        "etc/frr/daemons",
        apply=("systemctl restart frr.service",),
        note="every routing daemon starts afresh: sessions fall and come again",
    ),
    HostFile("etc/frr/vtysh.conf", note="vtysh reads it when it is started next"),
    HostFile("etc/chrony/lanecast.keys", apply=("systemctl restart chrony.service",), holds_secret=True),
    HostFile(
        "etc/chrony/chrony.conf",
        apply=("systemctl restart chrony.service",),
        new=("systemctl enable chrony.service",),
        before_removal=("systemctl disable --now chrony.service",),
    ),
    HostFile("etc/linuxptp/ptp4l.conf", apply=("systemctl restart lanecast-ptp4l.service",)),
    HostFile(
        "etc/systemd/system/lanecast-*.service",
        apply=(_READ_UNITS, "systemctl restart {name}"),
        new=("systemctl enable {name}",),
        before_removal=("systemctl disable --now {name}",),
        after_removal=(_READ_UNITS,),
        note="the service stops in order and starts afresh",
    ),
    HostFile(
        "etc/rsyslog.d/*.conf",
        apply=("systemctl restart rsyslog.service",),
        after_removal=("systemctl restart rsyslog.service",),
    ),
    HostFile(
        "etc/lanecast/relay.yaml",
        apply=(f"{RELAY_PROGRAM} reload /etc/lanecast/relay.yaml",),
        note="a reload names what cannot change while the relay runs: then systemctl restart lanecast-relay.service",
    ),
    HostFile("lanecast.yaml", note="for the Prometheus server, which is not the plan's: it reads it on a reload"),
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


def applying(path: PurePosixPath, old: str | None, new: str | None) -> Applied:
    """The commands that make the file take effect, where ``old`` was in place before; None: it is not there."""
    kind = host_file(path)
    before = list(_taken_away(kind.made, old or "", new or ""))
    if new is None:
        before += kind.before_removal
        after = kind.after_removal
    else:
        after = (*kind.apply, *(kind.new if old is None else ()))
    named = (tuple(command.format(name=path.name) for command in commands) for commands in (before, after))
    return Applied(*named)


def _taken_away(made: Made | None, old: str, new: str) -> tuple[str, ...]:
    if made is None:
        return ()
    before, after = re.search(made.text, old), re.search(made.text, new)
    if before is None or (after is not None and before[0] == after[0]):
        return ()
    return (before.expand(made.command),)
