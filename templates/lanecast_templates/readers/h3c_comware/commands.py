"""The commands of a Comware text. One that nobody here knows is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lanecast_templates.readers.h3c_comware import forwarding, management
from lanecast_templates.readers.h3c_comware.declarations import Commands, Line, fail, unknown, views

SAID = frozenset(
    {
        "clock protocol ntp",
        "igmp-snooping",
        "info-center enable",
        "ntp-service authentication enable",
        "ntp-service enable",
        "return",
        "ssh server enable",
        "undo ftp server enable",
        "undo ip http enable",
        "undo ip https enable",
        "undo ip redirects enable",
        "undo ip unreachables enable",
        "undo lldp global enable",
        "undo telnet server enable",
    }
)
"""Commands of the system view that are there or not."""


def read_commands(text: str) -> Commands:
    """The commands of ``text``; raises ValueError with the line of one that is not known."""
    commands = Commands()
    for line in views(text):
        try:
            _in_system_view(commands, line)
        except (IndexError, KeyError, ValueError) as error:
            if str(error).startswith("line "):
                raise
            fail(line.number, f"{line.words[0]} has a view that is not what it ought to be ({type(error).__name__})")
    return commands


def _in_system_view(commands: Commands, line: Line) -> None:
    if line.text in SAID:
        if line.children:
            unknown(line.children[0])
        commands.said.add(line.text)
        return
    reader = VIEWS.get(line.words[0])
    if reader is None:
        unknown(line)
    reader(commands, line)


def _sysname(commands: Commands, line: Line) -> None:
    commands.name = line.words[1]


VIEWS: Mapping[str, Callable[[Commands, Line], None]] = {
    "acl": forwarding.acl,
    "bgp": forwarding.bgp,
    "control-plane": forwarding.control_plane,
    "domain": management.domain,
    "hwtacacs": management.scheme,
    "info-center": management.info_center,
    "interface": forwarding.interface,
    "ip": forwarding.ip,
    "line": management.terminal,
    "local-user": management.local_user,
    "msdp": forwarding.msdp,
    "multicast": forwarding.multicast,
    "ntp-service": management.ntp,
    "pim": forwarding.pim,
    "public-key": management.public_key,
    "qos": forwarding.qos,
    "radius": management.scheme,
    "ssh": management.ssh,
    "ssh2": management.ssh2,
    "sysname": _sysname,
    "traffic": forwarding.traffic,
    "vlan": forwarding.vlan,
}
"""By a command's first word."""
