"""A peering, made by the stack of its first VPC's region."""

from __future__ import annotations

import pulumi

from lanecast_infra import baiducloud
from lanecast_infra.regional import Peering as Declared


class Peering(pulumi.ComponentResource):
    """Two VPCs that reach each other, DNS of both sides included. Routes to it are made with the networks'."""

    def __init__(
        self,
        peering: Declared,
        local_vpc: pulumi.Input[str],
        peer_vpc: pulumi.Input[str],
        parent: pulumi.Resource,
        provider: baiducloud.Provider,
        protect: bool,
    ) -> None:
        super().__init__("lanecast:index:Peering", peering.name, None, pulumi.ResourceOptions(parent=parent))
        self.connection = baiducloud.PeerConnection(
            peering.name,
            bandwidth_in_mbps=peering.bandwidth_mbps,
            local_vpc_id=local_vpc,
            peer_vpc_id=peer_vpc,
            peer_region=peering.peer_code,
            dns_sync=peering.dns_sync,
            description=peering.name,
            tags=peering.tags,
            opts=pulumi.ResourceOptions(parent=self, provider=provider, protect=protect),
        )
        self.register_outputs({})
