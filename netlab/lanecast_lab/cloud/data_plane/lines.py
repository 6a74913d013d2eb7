"""Physical lines: a patch panel each, a node with a bridge for every VLAN that a channel has, where sites plug in."""

from __future__ import annotations

from lanecast_lab.cloud.api.et import CHANNEL, LINE
from lanecast_lab.cloud.data_plane.draft import Draft, vlan_bridge
from lanecast_lab.cloud.data_plane.model import WITHOUT_IPV6, Interface, Node


def describe(draft: Draft) -> None:
    """A node for each line; the bridges of its VLANs are there whether a gateway is or not."""
    for line in draft.lines.values():
        channels = draft.snapshot.parts(line.resource.key, CHANNEL)
        vlans = {int(channel.body["vlanId"]) for channel in channels}
        draft.add(
            Node(
                key=line.resource.key,
                kind=LINE,
                name=line.resource.body["name"],
                region=line.resource.region,
                interfaces=(
                    *(Interface(vlan_bridge(vlan), bridge=True) for vlan in sorted(vlans)),
                    *(port for _, port in line.ports),
                ),
                sysctls=WITHOUT_IPV6,
            )
        )
