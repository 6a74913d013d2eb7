"""FRR's daemons: where they are, which ones a router runs, and how one is started apart from the machine's own."""

from __future__ import annotations

import shutil
from pathlib import Path

FRR_DAEMONS = Path("/usr/lib/frr")
DAEMON_ORDER = ("zebra", "staticd", "bfdd", "bgpd", "pimd")


def daemons_of(daemons_file: str) -> list[str]:
    """The daemons that a rendered ``/etc/frr/daemons`` switches on; zebra and staticd always run (FRR's own rule)."""
    enabled = {line.partition("=")[0] for line in daemons_file.splitlines() if line.strip().endswith("=yes")}
    return [daemon for daemon in DAEMON_ORDER if daemon in enabled | {"zebra", "staticd"}]


def prepare(directory: Path) -> Path:
    """Make the folder of a router's sockets and process ids; return the empty configuration that daemons start with."""
    directory.mkdir(parents=True, exist_ok=True)
    empty = directory / "empty.conf"
    empty.touch()
    for path in (directory, empty):
        shutil.chown(path, "frr", "frr")
    return empty


def start_command(daemon: str, directory: Path, empty: Path) -> list[str]:
    """The command that starts ``daemon`` in the background; it returns once the daemon listens."""
    return [
        *(str(FRR_DAEMONS / daemon), "-d", "-u", "frr", "-g", "frr", "-f", str(empty)),
        *("-i", str(directory / f"{daemon}.pid"), "-z", str(directory / "zserv.api"), "--vty_socket", str(directory)),
        *("--log", f"file:{directory / daemon}.log"),
    ]


def vtysh_command(directory: Path, *arguments: str) -> list[str]:
    """The command that talks to the daemons of that folder."""
    return ["vtysh", "--vty_socket", str(directory), *arguments]
