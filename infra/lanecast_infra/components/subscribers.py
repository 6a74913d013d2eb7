"""The instances of one subscriber, and what may reach them."""

from __future__ import annotations

import pulumi

from lanecast_infra import baiducloud
from lanecast_infra.components.load_balancer import LoadBalancer
from lanecast_infra.components.machines import GuardedMachines, MachineSettings
from lanecast_infra.components.network import VirtualNetwork
from lanecast_infra.regional import Pool


class SubscriberPool(pulumi.ComponentResource):
    """A security group and the instances that are in it, each with the address that relays send to; and the load
    balancer before them, where there is one."""

    def __init__(
        self,
        pool: Pool,
        network: VirtualNetwork,
        settings: MachineSettings,
        parent: pulumi.Resource,
        provider: baiducloud.Provider,
        protect: bool,
    ) -> None:
        super().__init__("lanecast:index:SubscriberPool", pool.name, None, pulumi.ResourceOptions(parent=parent))
        self.machines = GuardedMachines(pool, network, settings, self, provider, protect)
        if pool.balancer is not None:
            LoadBalancer(pool.balancer, self.machines.instances, network, self, provider, protect)
        self.register_outputs({})
