"""Which region a request is for: by a path prefix, by its Host header, by the socket it came in on, or the default."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lanecast_lab.cloud.api.errors import inappropriate, invalid_uri

REGIONS = ("bj", "bd", "su", "gz", "fwh", "hkg", "sin", "fsh", "cd", "nj", "yq")
"""[docs: regions and endpoints] The codes in host names and in the names of zones."""

OWN_DOMAIN = ["baidubce", "com"]
"""[docs] Where ``SERVICE.REGION`` is a host name, and ``SERVICE`` that of one without regions."""

GLOBAL = "global"
"""Where resources of services without a region are kept."""

EVERY_ADDRESS = "0.0.0.0"
PREFIX = re.compile(r"^(?:/region)?/([a-z]+)(/v\d/.*)$")
ZONE = re.compile(r"cn-([a-z]+)-[a-f]")


@dataclass(frozen=True, slots=True)
class Regions:
    """How this server tells regions apart."""

    default: str
    by_socket: dict[tuple[str, int], str] = field(default_factory=dict)
    """By address and port; one that listens everywhere has the address 0.0.0.0."""

    def split(self, socket: tuple[str, int], host: str, path: str) -> tuple[str, bool, str]:
        """The region, whether the request named it, and the path without the region's prefix.

        ``socket``: the address and port at which it came in.
        """
        if (found := PREFIX.match(path)) and found[1] in REGIONS:
            return found[1], True, found[2]
        labels = host.lower().partition(":")[0].split(".")
        named = next((label for label in labels if label in REGIONS), None) or self.of_socket(socket)
        return named or self.default, named is not None, path

    def of_socket(self, socket: tuple[str, int]) -> str | None:
        """The region that a socket is for alone."""
        return self.by_socket.get(socket) or self.by_socket.get((EVERY_ADDRESS, socket[1]))


def check_host(host: str) -> None:
    """Refuse a host name of the real cloud's whose region there is not. [assumed] It resolves nowhere, really."""
    labels = host.lower().partition(":")[0].split(".")
    if labels[-2:] == OWN_DOMAIN and len(labels) > 3 and labels[-3] not in REGIONS:
        raise invalid_uri(f"the host name {host!r} has no region: {labels[-3]!r} is none")


def check_zone(zone: str, region: str, region_is_named: bool) -> None:
    """A zone is ``cn-REGION-LETTER``; of the request's own region, where the request named one."""
    found = ZONE.fullmatch(zone)
    if not found or found[1] not in REGIONS:
        raise inappropriate(f"zoneName: {zone!r} is no zone, as cn-{region}-a is")
    if region_is_named and found[1] != region:
        raise inappropriate(f"zoneName: {zone!r} is not in region {region}")
