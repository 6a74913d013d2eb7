"""What containerlab calls each platform, and which ports its images have.

Images of vendors are virtual models with ports of their own: a router whose ports in the plan are called otherwise
cannot run there with its configuration unmodified.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MANAGEMENT_PORT = 0
"""``eth0`` of a container is containerlab's own."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How containerlab runs a platform."""

    name: str
    image: str
    """What is run unless ``variable`` says otherwise."""
    variable: str
    ports: re.Pattern[str]
    """A port's name; what its group finds numbers it."""
    offset: int
    """What is to be added to that number for the container's ``ethN``."""
    example: str
    """The first port."""
    starts_with: bool = True
    """Whether the image starts with a configuration in the form that is rendered."""

    def container_port(self, port: str) -> str | None:
        """The container's name of a port; None where the image has no such port."""
        found = self.ports.fullmatch(port)
        if found is None:
            return None
        first, *further = found[1].split("/")
        number = int(first) + self.offset
        return "_".join([f"eth{number}", *further]) if number > MANAGEMENT_PORT else None


KINDS: Mapping[str, Kind] = {
    "eos": Kind(
        "arista_ceos", "ceos:4.32.0F", "LANECAST_EOS_IMAGE", re.compile(r"Ethernet(\d+(?:/\d+){0,2})"), 0, "Ethernet1"
    ),
    "ios-xe": Kind(
        "cisco_c8000v",
        "vrnetlab/cisco_c8000v:17.11.01a",
        "LANECAST_IOS_XE_IMAGE",
        re.compile(r"GigabitEthernet(\d+)"),
        -1,
        "GigabitEthernet2",
    ),
    "nx-os": Kind(
        "cisco_n9kv",
        "vrnetlab/cisco_n9kv:10.5.2",
        "LANECAST_NX_OS_IMAGE",
        re.compile(r"Ethernet1/(\d+)"),
        0,
        "Ethernet1/1",
    ),
    "junos": Kind(
        "juniper_vjunosrouter",
        "vrnetlab/juniper_vjunosrouter:23.2R1.15",
        "LANECAST_JUNOS_IMAGE",
        re.compile(r"ge-0/0/(\d+)"),
        1,
        "ge-0/0/0",
    ),
    "huawei-vrp": Kind(
        "huawei_vrp",
        "vrnetlab/huawei_vrp:ne40e",
        "LANECAST_HUAWEI_VRP_IMAGE",
        re.compile(r"Ethernet1/0/(\d+)"),
        1,
        "Ethernet1/0/0",
    ),
    "vyos": Kind("vyosnetworks_vyos", "vyos:1.4", "LANECAST_VYOS_IMAGE", re.compile(r"eth(\d+)"), 0, "eth1", False),
}
"""By platform; containerlab has no kind for those that are not here."""
