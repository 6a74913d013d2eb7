"""Starts a cloud's instance from its user data, as cloud-init would: files are written, then commands run.

What is run here is the subset that ``lanecast_templates.user_data`` writes. Packages must be on the machine already.
There is no service manager: enabling a service is for boots that do not come, and starting one runs what its unit runs.
Kernel settings that a machine has once are left alone: the machine is not the lab's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from lanecast_lab.errors import LabError
from lanecast_lab.node import Node, executable, give_relay_folders, missing_programs
from lanecast_templates.user_data import InstanceFile, UserDataError, read_user_data

ETC = PurePosixPath("/etc")
MACHINES_ETC = "etc-of-the-machine"

MACHINE_SETTINGS = "/etc/sysctl.d/61-lanecast-machine.conf"

RELAY = "relay"
"""What a node's relay is called among its processes."""

PROGRAMS = {"nftables": "nft", "keepalived": "keepalived", "conntrack": "conntrack"}
"""What each Debian package is wanted for."""


def start(node: Node, text: str) -> None:
    """Do what an instance's user data says. Raises :class:`LabError`."""
    if text.startswith("#!"):
        _run_script(node, text)
        return
    try:
        data = read_user_data(text)
    except UserDataError as error:
        raise LabError(f"{node.name}: user data: {error}") from None
    if missing := [package for package in data.packages if missing_programs([PROGRAMS.get(package, package)])]:
        raise LabError(f"{node.name} needs programs that this machine lacks: install {', '.join(missing)}")
    _write(node, data.files)
    for command in data.commands:
        _run(node, command)


def _run_script(node: Node, text: str) -> None:
    """User data may be a script as well (cloud-init, user-data formats). What it leaves running goes with the node."""
    _write(node, ())
    script = node.directory / "user-data"
    script.write_text(text)
    script.chmod(0o700)
    with (node.directory / "user-data.log").open("w") as log:
        status = subprocess.run(
            node.inside([str(script)]), stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, cwd="/"
        ).returncode
    if status != 0:
        said = (node.directory / "user-data.log").read_text(errors="replace")[-500:].strip()
        raise LabError(f"{node.name}: user data: exit status {status}: {said}")


def _write(node: Node, files: tuple[InstanceFile, ...]) -> None:
    """Give the node an /etc of its own: the machine's, with the instance's files in place of its own.

    Folders that files go to are the node's; everything else is a link to the machine's, which stays as it is.
    """
    own = node.directory / "etc"
    machines = node.directory / MACHINES_ETC
    own.mkdir(parents=True)
    machines.mkdir()
    node.run("mount", "--bind", str(ETC), str(machines))
    _link_entries(Path(ETC), machines, own)
    for file in files:
        if not file.path.is_relative_to(ETC):
            raise LabError(f"{node.name}: user data writes {file.path}, and only {ETC} is the node's own here")
        place = own / file.path.relative_to(ETC)
        for folder in reversed(place.relative_to(own).parents[:-1]):
            _make_own(own / folder, Path(ETC) / folder, machines / folder)
        place.unlink(missing_ok=True)
        place.write_text(file.text)
        place.chmod(file.mode)
    node.run("mount", "--bind", str(own), str(ETC))


def _link_entries(there: Path, shown_at: Path, own: Path) -> None:
    """Link each entry of the machine's folder ``there``, which the node has at ``shown_at``."""
    for entry in there.iterdir():
        (own / entry.name).symlink_to(shown_at / entry.name)


def _make_own(folder: Path, there: Path, shown_at: Path) -> None:
    """Put a folder of the node's own in place of the link to the machine's."""
    if folder.is_dir() and not folder.is_symlink():
        return
    folder.unlink(missing_ok=True)
    folder.mkdir()
    if there.is_dir():
        _link_entries(there, shown_at, folder)


def _run(node: Node, command: tuple[str, ...]) -> None:
    match command:
        case ("systemctl", "enable", *_) | ("systemctl", "daemon-reload"):
            return
        case ("sysctl", "-p", settings) if settings == MACHINE_SETTINGS:
            return
        case ("systemctl", "restart", *services):
            for service in services:
                if service not in SERVICES:
                    raise LabError(f"{node.name}: nothing is known here of the service {service}")
                SERVICES[service](node)
        case _:
            node.run(*command)


def _start_nftables(node: Node) -> None:
    node.run("nft", "-f", "/etc/nftables.conf")


def _start_keepalived(node: Node) -> None:
    files = [f"--{kind}={node.directory / f'{kind}.pid'}" for kind in ("pid", "vrrp_pid")]
    node.start(
        "keepalived", "keepalived", "--dont-fork", "--log-console", "--log-detail", "--no-syslog", "--vrrp", *files
    )


def _start_relay(node: Node) -> None:
    give_relay_folders(node)
    node.start(RELAY, executable("lanecast-relay"), "run", "/etc/lanecast/relay.yaml", "--json")


SERVICES: dict[str, Callable[[Node], None]] = {
    "nftables": _start_nftables,
    "keepalived": _start_keepalived,
    "lanecast-relay": _start_relay,
}
"""What starting a service is, as its Debian unit has it."""
