"""Instances behind a security group of their own: what subscribers' pools and bridges have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from lanecast_infra import baiducloud
from lanecast_infra.components.network import VirtualNetwork
from lanecast_infra.regional import Pool

KEPT: Final = ["imageId", "userData"]
"""Neither a newer image of the name nor new files, which other ways bring to it, make a machine anew by themselves."""


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """What every machine is made of: a size, an image, and by its name what it is given at its first start."""

    spec: str
    image: pulumi.Input[str]
    user_data: Mapping[str, pulumi.Input[str]]
    renewed: frozenset[str]
    """Those that may be made anew where one of these has changed."""


class GuardedMachines:
    """A security group and the instances that are in it, each with the address that the plan gives it."""

    def __init__(
        self,
        pool: Pool,
        network: VirtualNetwork,
        settings: MachineSettings,
        parent: pulumi.Resource,
        provider: baiducloud.Provider,
        protect: bool,
    ) -> None:
        plain = pulumi.ResourceOptions(parent=parent, provider=provider)
        self.group = baiducloud.SecurityGroup(pool.name, vpc_id=network.vpc.id, tags=pool.tags, opts=plain)
        for rule in pool.rules:
            baiducloud.SecurityGroupRule(
                rule.name,
                security_group_id=self.group.id,
                direction="ingress",
                protocol=rule.protocol,
                port_range=rule.ports,
                source_ip=rule.source,
                remark=rule.remark,
                opts=plain,
            )
        baiducloud.SecurityGroupRule(
            f"{pool.name}-out", security_group_id=self.group.id, direction="egress", remark="answers", opts=plain
        )
        self.instances = {
            one.name: baiducloud.Instance(
                one.name,
                spec=settings.spec,
                image_id=settings.image,
                subnet_id=network.subnets[one.subnet].subnet.id,
                internal_ip=one.address,
                security_group_ids=[self.group.id],
                user_data=settings.user_data[one.name],
                tags=one.tags,
                opts=pulumi.ResourceOptions(
                    parent=parent,
                    provider=provider,
                    protect=protect,
                    ignore_changes=[] if one.name in settings.renewed else KEPT,
                ),
            )
            for one in pool.machines
        }
