"""The commands of a VRP text. One that nobody here knows is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lanecast_templates.readers.huawei_vrp import forwarding, management
from lanecast_templates.readers.huawei_vrp.declarations import Commands, Line, blocks, fail, unknown

SAID = frozenset(
    {
        "bfd",
        "hwtacacs enable",
        "igmp-snooping enable",
        "info-center enable",
        "ntp-service authentication enable",
        "ntp-service ipv6 server disable",
        "ntp-service server disable",
        "return",
        "ssh authentication-type default password",
        "ssh authorization-type default root",
        "ssh server-source all-interface",
        "stelnet server enable",
        "undo ip option source-route enable",
        "undo lldp enable",
        "undo ssh server compatible-ssh1x enable",
        "undo telnet ipv6 server enable",
        "undo telnet server enable",
    }
)
"""Commands of no block that are there or not."""


def read_commands(text: str) -> Commands:
    """The commands of ``text``; raises ValueError with the line of one that is not known."""
    commands = Commands()
    for line in blocks(text):
        try:
            _top(commands, line)
        except (IndexError, KeyError, ValueError) as error:
            if str(error).startswith("line "):
                raise
            fail(line.number, f"{line.words[0]} has a block that is not what it ought to be ({type(error).__name__})")
    return commands


def _top(commands: Commands, line: Line) -> None:
    if line.text in SAID:
        commands.said.add(line.text)
        return
    reader = BLOCKS.get(line.words[0])
    if reader is None:
        unknown(line)
    reader(commands, line)


BLOCKS: Mapping[str, Callable[[Commands, Line], None]] = {
    "aaa": management.aaa,
    "acl": forwarding.acl,
    "bgp": forwarding.bgp,
    "cpu-defend": forwarding.cpu_defend,
    "ecc": management.public_key,
    "hwtacacs-server": management.server_group,
    "info-center": management.info_center,
    "interface": forwarding.interface,
    "ip": forwarding.ip,
    "keychain": management.keychain,
    "msdp": forwarding.msdp,
    "multicast": forwarding.multicast,
    "ntp-service": management.ntp,
    "pim": forwarding.pim,
    "radius-server": management.server_group,
    "rsa": management.public_key,
    "slot": forwarding.slot,
    "ssh": management.ssh,
    "sysname": forwarding.sysname,
    "tcp": management.tcp,
    "traffic": forwarding.traffic,
    "undo": forwarding.undo,
    "user-interface": management.terminal,
    "vlan": forwarding.vlan,
}
"""By a command's first word."""
