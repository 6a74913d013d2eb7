"""A dedicated-line gateway's own program, in its namespace: FRR for a channel with BGP, and whether the site is there.

``python -m … DIRECTORY``: settings are in the directory, SIGHUP reads them again; what it finds is written there. While
the site cannot be reached the gateway pulls its cable towards the VPC's router, so that routes over it count no longer.

FRR's daemons are in a process namespace of their own, which ends with this program however that ends, and their sockets
in a folder in memory that nobody else sees.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from lanecast_lab.cloud.data_plane.frr_changes import changes
from lanecast_lab.cloud.data_plane.gateway_settings import (
    CONFIGURATION,
    DAEMONS,
    LINE,
    PROCESS_ID,
    SETTINGS,
    VPC_PORT,
    Settings,
)
from lanecast_lab.cloud.data_plane.health import Watch
from lanecast_lab.cloud.data_plane.status import write_status
from lanecast_lab.cloud.data_plane.told import Told
from lanecast_lab.errors import LabError
from lanecast_lab.node import run
from lanecast_templates.frr_configuration import complaints, missing_lines
from lanecast_templates.frr_daemons import daemons_of, prepare, start_command, vtysh_command

FRR_DIRECTORY = Path("/etc/frr")
"""Hidden here by a folder in memory: what the machine's own FRR is told is not for this one."""

RTMGRP_LINK, RTMGRP_IPV4_ROUTE = 0x1, 0x40
"""include/uapi/linux/rtnetlink.h"""

NETLINK_BYTES = 1 << 16
HOLD = 'read pid rest </proc/self/stat && echo "$pid" && exec cat'


class Frr:
    """The daemons of one gateway, and what they were told last."""

    def __init__(self) -> None:
        run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(FRR_DIRECTORY)], "frr")
        self._holder: subprocess.Popen[str] | None = None
        self._inside: list[str] = []
        self._running: set[str] = set()
        self._told = ""

    def tell(self, configuration: str, daemons: list[str]) -> None:
        """Run with this from now on. Raises :class:`LabError` when it is refused."""
        if configuration == self._told:
            return
        lines = changes(self._told, configuration) if self._told else None
        if lines is None:
            self.stop()
        self._start(daemons)
        self._load(configuration if lines is None else lines)
        if missing := missing_lines(configuration, self._running_configuration()):
            shown = "; ".join(line for line in missing if " password " not in line)
            raise LabError(f"FRR does not run what was asked, in {len(missing)} lines: {shown}")
        self._told = configuration

    def _start(self, daemons: list[str]) -> None:
        if self._holder is None:
            self._holder = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--kill-child", "--", "sh", "-c", HOLD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._holder.stdout is not None  # asked for above
            self._inside = ["nsenter", f"--target={self._holder.stdout.readline().strip()}", "--pid", "--"]
        empty = prepare(FRR_DIRECTORY)
        (FRR_DIRECTORY / "vtysh.conf").write_text("service integrated-vtysh-config\n")
        for daemon in daemons:
            if daemon not in self._running:
                run([*self._inside, *start_command(daemon, FRR_DIRECTORY, empty)], "frr")
                self._running.add(daemon)

    def _load(self, lines: str) -> None:
        """From a pipe, so that a secret is in no second file and no command line; what is refused may hold it, too."""
        command = [*self._inside, *vtysh_command(FRR_DIRECTORY, "-f", "/dev/stdin")]
        done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
        refused = complaints(done.stdout) + complaints(done.stderr)
        if refused or done.returncode:
            raise LabError(f"FRR refused {len(refused)} lines of its configuration (status {done.returncode})")

    def _running_configuration(self) -> str:
        return run([*self._inside, *vtysh_command(FRR_DIRECTORY, "-c", "show running-config")], "frr")

    def stop(self) -> None:
        """End the daemons: their process namespace ends with the process that holds it."""
        if self._holder is not None:
            self._holder.communicate("")
            self._holder = None
            self._running.clear()
            self._told = ""


@dataclass(slots=True)
class _Program:
    directory: Path
    frr: Frr | None = None
    settings: Settings = field(init=False)
    watch: Watch = field(init=False)
    _plugged: bool | None = None

    def __post_init__(self) -> None:
        self.watch = Watch(self.judge)

    def read(self) -> None:
        """Take the settings as they are now."""
        self.settings = Settings.read((self.directory / SETTINGS).read_text())
        self.watch.set({"site": self.settings.check} if self.settings.check else {})
        if self.settings.bgp:
            self.frr = self.frr or Frr()
            daemons = daemons_of((self.directory / DAEMONS).read_text())
            self.frr.tell((self.directory / CONFIGURATION).read_text(), daemons)
        elif self.frr is not None:
            self.frr.stop()
        self.judge()

    def notice(self, changed: socket.socket) -> None:
        """Routes or links are not as they were."""
        _drain(changed)
        self.judge()

    def judge(self) -> None:
        """Plug in or out, by what is known of the site."""
        learned = _learned() if self.settings.bgp else []
        answers = self.watch.opinions().get("site")
        usable = not self.settings.down and answers is not False and (bool(learned) or not self.settings.bgp)
        if usable is not _is_up(VPC_PORT):
            run(["ip", "link", "set", "dev", VPC_PORT, "up" if usable else "down"], "gateway")
        write_status(self.directory, {"usable": usable, "learned": learned, "answers": answers})


def _learned() -> list[str]:
    """What the site has announced and the kernel now has as routes."""
    routes = json.loads(run(["ip", "-json", "route", "show", "proto", "bgp", "dev", LINE], "gateway") or "[]")
    return sorted(str(route["dst"]) for route in routes)


def _is_up(interface: str) -> bool:
    [link] = json.loads(run(["ip", "-json", "link", "show", "dev", interface], "gateway"))
    return "UP" in link["flags"]


def _netlink() -> socket.socket:
    """Tells of every change of routes and links."""
    changed = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    changed.bind((0, RTMGRP_LINK | RTMGRP_IPV4_ROUTE))
    return changed


def _drain(changed: socket.socket) -> None:
    """Read what there is: that something changed is all that matters, even if more was said than fits."""
    try:
        while changed.recv(NETLINK_BYTES):
            continue
    except BlockingIOError:
        return
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise


async def _run(directory: Path) -> None:
    program = _Program(directory)
    # FRR takes a while to start, for which nobody has to wait
    told = Told(directory, PROCESS_ID, program.read)
    with _netlink() as changed:
        program.read()
        asyncio.get_running_loop().add_reader(changed, program.notice, changed)
        await told.is_over()
        asyncio.get_running_loop().remove_reader(changed)
    program.watch.stop()
    if program.frr is not None:
        program.frr.stop()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
