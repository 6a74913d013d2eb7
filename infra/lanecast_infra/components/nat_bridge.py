"""A bridge that translates: its instances in the middle VPC, and the addresses that they hold for each other."""

from __future__ import annotations

import pulumi

from lanecast_infra import baiducloud
from lanecast_infra.components.machines import GuardedMachines, MachineSettings
from lanecast_infra.components.network import VirtualNetwork
from lanecast_infra.regional import Pool


class NatBridge(pulumi.ComponentResource):
    """The instances behind a security group, and each shared address bound to all of them."""

    def __init__(
        self,
        bridge: Pool,
        network: VirtualNetwork,
        settings: MachineSettings,
        parent: pulumi.Resource,
        provider: baiducloud.Provider,
        protect: bool,
    ) -> None:
        super().__init__("lanecast:index:NatBridge", bridge.name, None, pulumi.ResourceOptions(parent=parent))
        self.machines = GuardedMachines(bridge, network, settings, self, provider, protect)
        self.shared = {
            one.name: baiducloud.HaVip(
                one.name,
                subnet_id=network.subnets[one.subnet].subnet.id,
                private_ip_address=one.address,
                instance_ids=[self.machines.instances[name].id for name in one.machines],
                description=f"of bridge {bridge.name}",
                opts=pulumi.ResourceOptions(parent=self, provider=provider, protect=protect),
            )
            for one in bridge.shared
        }
        self.register_outputs({})
