"""What an instance of a cloud does at its first start: which files it is given, and what takes each of them into use.

A bare image becomes the plan's instance by its user data alone. Later changes come by other ways (the Ansible project).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lanecast_templates.user_data import InstanceFile, write_user_data

ETC = PurePosixPath("/etc")
SETTINGS = ETC / "sysctl.d"
UNITS = ETC / "systemd/system"


@dataclass(frozen=True, slots=True)
class Service:
    """A service that a file is of, and the packages that bring its programs."""

    name: str
    packages: tuple[str, ...] = ()


SERVICES = {
    ETC / "nftables.conf": Service("nftables", ("nftables",)),
    ETC / "keepalived/keepalived.conf": Service("keepalived", ("keepalived", "conntrack")),
    ETC / "chrony/chrony.conf": Service("chrony", ("chrony",)),
    UNITS / "lanecast-relay.service": Service("lanecast-relay"),
}
"""By file. The relay's program is no package: the image has it."""


def user_data(header: str, files: Sequence[InstanceFile]) -> str:
    """The user data of an instance with these files."""
    services = [service for path, service in SERVICES.items() if any(file.path == path for file in files)]
    packages = [package for service in services for package in service.packages]
    return write_user_data(header, packages, files, _commands(files, [service.name for service in services]))


def _commands(files: Sequence[InstanceFile], services: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """In the order of a boot: kernel settings, then services. Later starts need none of it."""
    for file in files:
        if file.path.parent == SETTINGS:
            yield ("sysctl", "-p", str(file.path))
    if any(file.path.parent == UNITS for file in files):
        yield ("systemctl", "daemon-reload")
    if services:
        yield ("systemctl", "enable", *services)
        yield ("systemctl", "restart", *services)
