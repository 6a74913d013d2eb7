"""What one region's stack is about: its part of the compiled cloud, as plain values that a stack can export."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lanecast.cloud_state import CloudState


class UnknownRegionError(Exception):
    """The plan has no region of that name."""

    def __init__(self, region: str, known: list[str]) -> None:
        super().__init__(f"the plan has no region {region}: set lanecast:region to one of {', '.join(known)}")


def region_outputs(state: CloudState, region: str) -> dict[str, Any]:
    """What ``region`` must hold: VPCs, gateways and instances in it, and peerings that it creates.

    A peering is created by the stack of the region of its first VPC. Raises :class:`UnknownRegionError`.
    """
    regions = sorted({vpc.region for vpc in state.vpcs})
    if region not in regions:
        raise UnknownRegionError(region, regions)
    inside = {vpc.name for vpc in state.vpcs if vpc.region == region}
    parts: dict[str, list[Any]] = {
        "vpcs": [vpc for vpc in state.vpcs if vpc.name in inside],
        "peerings": [peering for peering in state.peerings if peering.first in inside],
        "gateways": [gateway for gateway in state.gateways if gateway.vpc in inside],
        "shared_addresses": [one for one in state.shared_addresses if one.subnet.rpartition(".")[0] in inside],
        "instances": [one for one in state.instances if one.subnet.rpartition(".")[0] in inside],
    }
    return {name: [_plain(asdict(item)) for item in items] for name, items in parts.items()}


def _plain(value: Any) -> Any:
    """Addresses as text: a stack's outputs are JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
