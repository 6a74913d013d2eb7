"""The instances of one subscriber, and what may reach them."""

from __future__ import annotations

import pulumi

from lanecast_infra import baiducloud
from lanecast_infra.access import ANYWHERE
from lanecast_infra.components.network import VirtualNetwork
from lanecast_infra.regional import Pool


class SubscriberPool(pulumi.ComponentResource):
    """A security group and the instances that are in it, each with the address that relays send to."""

    def __init__(
        self,
        pool: Pool,
        network: VirtualNetwork,
        spec: str,
        image: str,
        parent: pulumi.Resource,
        provider: baiducloud.Provider,
        protect: bool,
    ) -> None:
        super().__init__("lanecast:index:SubscriberPool", pool.name, None, pulumi.ResourceOptions(parent=parent))
        plain = pulumi.ResourceOptions(parent=self, provider=provider)
        self.group = baiducloud.SecurityGroup(pool.name, vpc_id=network.vpc.id, tags=pool.tags, opts=plain)
        for rule in pool.rules:
            baiducloud.SecurityGroupRule(
                rule.name,
                security_group_id=self.group.id,
                direction="ingress",
                protocol=rule.protocol,
                port_range=ANYWHERE if rule.port is None else str(rule.port),
                source_ip=rule.source,
                remark=rule.remark,
                opts=plain,
            )
        baiducloud.SecurityGroupRule(
            f"{pool.name}-out", security_group_id=self.group.id, direction="egress", remark="answers", opts=plain
        )
        # An image is looked up by name, and a newer one is no reason to make a machine anew.
        machine = pulumi.ResourceOptions(parent=self, provider=provider, protect=protect, ignore_changes=["imageId"])
        self.instances = {
            one.name: baiducloud.Instance(
                one.name,
                spec=spec,
                image_id=image,
                subnet_id=network.subnets[one.subnet].subnet.id,
                internal_ip=one.address,
                security_group_ids=[self.group.id],
                tags=one.tags,
                opts=machine,
            )
            for one in pool.machines
        }
        self.register_outputs({})
