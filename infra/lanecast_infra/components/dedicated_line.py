"""The cloud's end of a dedicated line."""

from __future__ import annotations

import pulumi

from lanecast_infra import baiducloud
from lanecast_infra.regional import Gateway


class DedicatedLineGateway(pulumi.ComponentResource):
    """A channel of a physical line, which is there already, and the gateway that joins it to its VPC."""

    def __init__(
        self,
        gateway: Gateway,
        vpc: pulumi.Input[str],
        bgp_key: pulumi.Input[str] | None,
        parent: pulumi.Resource,
        provider: baiducloud.Provider,
        protect: bool,
    ) -> None:
        kind = "lanecast:index:DedicatedLineGateway"
        super().__init__(kind, gateway.name, None, pulumi.ResourceOptions(parent=parent))
        options = pulumi.ResourceOptions(parent=self, provider=provider, protect=protect)
        bfd = gateway.bfd
        self.channel = baiducloud.DedicatedLineChannel(
            f"{gateway.name}-channel",
            et_id=gateway.physical_line,
            vlan_id=gateway.vlan,
            baidu_address=gateway.cloud_address,
            customer_address=gateway.site_address,
            route_type="static-route" if gateway.site_asn is None else "bgp",
            networks=gateway.site_networks or None,
            bgp_asn=None if gateway.site_asn is None else str(gateway.site_asn),
            bgp_key=bgp_key,
            bfd_detect_multiplier=bfd.multiplier if bfd else None,
            bfd_send_interval=bfd.interval_ms if bfd else None,
            bfd_receive_interval=bfd.interval_ms if bfd else None,
            tags=gateway.tags,
            opts=options,
        )
        self.gateway = baiducloud.DedicatedLineGateway(
            gateway.name,
            vpc_id=vpc,
            speed=gateway.speed_mbps,
            et_id=gateway.physical_line,
            channel_id=self.channel.channel_id,
            local_cidrs=gateway.local_cidrs,
            tags=gateway.tags,
            opts=options,
        )
        self.register_outputs({})
