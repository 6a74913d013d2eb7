"""A VPC with its subnets."""

from __future__ import annotations

import pulumi

from lanecast_infra import baiducloud
from lanecast_infra.regional import Subnet, Vpc


class VirtualNetwork(pulumi.ComponentResource):
    """A VPC of the plan: the network, and a :class:`RelaySubnet` for each of its subnets."""

    def __init__(self, vpc: Vpc, parent: pulumi.Resource, provider: baiducloud.Provider, protect: bool) -> None:
        super().__init__("lanecast:index:VirtualNetwork", vpc.name, None, pulumi.ResourceOptions(parent=parent))
        self.vpc = baiducloud.Vpc(
            vpc.name,
            cidr=vpc.cidr,
            relay=vpc.transit,
            tags=vpc.tags,
            opts=pulumi.ResourceOptions(parent=self, provider=provider, protect=protect),
        )
        self.subnets = {one.name: RelaySubnet(one, self, provider, protect) for one in vpc.subnets}
        self.register_outputs({})


class RelaySubnet(pulumi.ComponentResource):
    """A subnet that relays' copies arrive in, and its access list."""

    def __init__(self, subnet: Subnet, network: VirtualNetwork, provider: baiducloud.Provider, protect: bool) -> None:
        super().__init__("lanecast:index:RelaySubnet", subnet.name, None, pulumi.ResourceOptions(parent=network))
        self.subnet = baiducloud.Subnet(
            subnet.name,
            vpc_id=network.vpc.id,
            cidr=subnet.cidr,
            zone_name=subnet.zone,
            tags=subnet.tags,
            opts=pulumi.ResourceOptions(parent=self, provider=provider, protect=protect),
        )
        for rule in subnet.access_list:
            baiducloud.NetworkAclRule(
                rule.name,
                subnet_id=self.subnet.id,
                direction="ingress",
                position=rule.position,
                action="allow" if rule.allow else "deny",
                source_ip_address=rule.source,
                opts=pulumi.ResourceOptions(parent=self, provider=provider, protect=protect),
            )
        self.register_outputs({})
