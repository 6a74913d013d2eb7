"""A region: its provider and its virtual networks."""

from __future__ import annotations

import pulumi

from lanecast_infra.baiducloud import Provider
from lanecast_infra.components.network import VirtualNetwork
from lanecast_infra.regional import Regional


class Region(pulumi.ComponentResource):
    """Every VPC of one region, with its subnets. Peerings and routes lead out of it and are made beside it."""

    def __init__(self, regional: Regional, protect: bool) -> None:
        super().__init__("lanecast:index:Region", regional.region)
        settings = pulumi.Config("baiducloud")
        self.provider = Provider(
            regional.region,
            region=regional.code,
            access_key=settings.get("accessKey"),
            secret_key=settings.get_secret("secretKey"),
            endpoint=settings.get("endpoint"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.networks = {vpc.name: VirtualNetwork(vpc, self, self.provider, protect) for vpc in regional.vpcs}
        self.register_outputs({})
