"""Who holds the addresses that several instances share: what their VPC's router has heard of it by ARP."""

from __future__ import annotations

from pathlib import Path
from socket import AF_INET

from pyroute2 import IPRoute, NetlinkError

from lanecast_lab.cloud.data_plane.inside import run_inside
from lanecast_lab.cloud.data_plane.looking import read_registry
from lanecast_lab.errors import LabError


def heard_holders(state: Path, vpc_id: str) -> dict[str, str]:
    """By IPv4 address the hardware address that was announced for it last; empty without a data plane or that VPC."""
    try:
        [router] = [node for node in read_registry(state).nodes if node.id == vpc_id]
        return run_inside(router.pid, _neighbours)
    except (LabError, ValueError, OSError, NetlinkError):  # none runs, or the router is being made or removed
        return {}


def _neighbours() -> dict[str, str]:
    """Of the calling thread's namespace."""
    with IPRoute() as kernel:
        told = kernel.get_neighbours(family=AF_INET)
        return {one.get("NDA_DST"): mac for one in told if (mac := one.get("NDA_LLADDR")) is not None}
