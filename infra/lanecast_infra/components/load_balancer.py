"""A load balancer before the machines of a pool."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from lanecast_infra import baiducloud
from lanecast_infra.components.network import VirtualNetwork
from lanecast_infra.regional import Balancer


class LoadBalancer(pulumi.ComponentResource):
    """An address with its listeners, and every machine of the pool behind it with the same weight."""

    def __init__(
        self,
        balancer: Balancer,
        machines: Mapping[str, baiducloud.Instance],
        network: VirtualNetwork,
        parent: pulumi.Resource,
        provider: baiducloud.Provider,
        protect: bool,
    ) -> None:
        super().__init__("lanecast:index:LoadBalancer", balancer.name, None, pulumi.ResourceOptions(parent=parent))
        plain = pulumi.ResourceOptions(parent=self, provider=provider)
        self.balancer = baiducloud.LoadBalancer(
            balancer.name,
            vpc_id=network.vpc.id,
            subnet_id=network.subnets[balancer.subnet].subnet.id,
            address=balancer.address,
            tags=balancer.tags,
            opts=pulumi.ResourceOptions(parent=self, provider=provider, protect=protect),
        )
        for listener in balancer.listeners:
            baiducloud.LoadBalancerListener(
                f"{balancer.name}-{listener.name}",
                blb_id=self.balancer.id,
                protocol="TCP",
                listener_port=listener.port,
                backend_port=listener.backend_port,
                opts=plain,
            )
        for name, machine in machines.items():
            baiducloud.LoadBalancerBackend(
                f"{balancer.name}-{name}", blb_id=self.balancer.id, instance_id=machine.id, opts=plain
            )
        self.register_outputs({})
