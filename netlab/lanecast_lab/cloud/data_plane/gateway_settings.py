"""What a dedicated-line gateway's program is told, apart from FRR's own files, and how things are called there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from lanecast_lab.cloud.data_plane.health import Check, Kind

SETTINGS, CONFIGURATION, DAEMONS = "gateway.json", "frr.conf", "daemons"
PROCESS_ID = "gateway.pid"
LINE = "line"
"""The gateway's interface towards the site."""

VPC_PORT = "vpc-port"
"""Its cable towards the VPC's router, a port of the bridge that is its interface there: with the cable out, routes and
addresses of the gateway stay."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is not FRR's."""

    bgp: bool
    down: bool
    """A fault says so."""
    check: Check | None
    """How the site is asked whether it is there."""

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @staticmethod
    def read(text: str) -> Settings:
        """What :meth:`text` wrote."""
        found = json.loads(text)
        check = found["check"]
        if check is not None:
            check = Check(**{**check, "kind": Kind(check["kind"]), "good_statuses": tuple(check["good_statuses"])})
        return Settings(found["bgp"], found["down"], check)
