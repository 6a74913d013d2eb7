"""The Pulumi program of the benchmark: so many networks, each with a little of everything, until the stack is full."""

from __future__ import annotations

import pulumi

from lanecast_infra.baiducloud import (
    Instance,
    NetworkAclRule,
    RouteRule,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
)

SUBNETS = 4
ACCESS_RULES = 4
"""Of each subnet."""
GROUP_RULES = 8
ROUTES = 8
INSTANCES = 2
A_NETWORK = 1 + SUBNETS + SUBNETS * ACCESS_RULES + 1 + GROUP_RULES + INSTANCES + ROUTES
"""Resources of one network."""


def make() -> None:
    """As many networks as `bench:networks` says."""
    for number in range(int(pulumi.Config("bench").require("networks"))):
        _network(f"n{number}", number)


def _network(name: str, number: int) -> None:
    vpc = Vpc(name, cidr=f"10.{number}.0.0/16", tags={"bench": name})
    subnets = [_subnet(f"{name}.s{index}", vpc, f"10.{number}.{index}.0/24") for index in range(SUBNETS)]
    group = SecurityGroup(f"{name}-group", vpc_id=vpc.id)
    for index in range(GROUP_RULES):
        SecurityGroupRule(
            f"{name}-rule-{index}",
            security_group_id=group.id,
            direction="ingress",
            protocol="udp",
            port_range=str(20000 + index),
            source_ip="10.0.0.0/8",
        )
    instances = [
        Instance(
            f"{name}-{index}",
            spec="bcc.g5.c2m8",
            image_id="m-1",
            subnet_id=subnets[index].id,
            internal_ip=f"10.{number}.{index}.10",
            security_group_ids=[group.id],
        )
        for index in range(INSTANCES)
    ]
    for index in range(ROUTES):
        RouteRule(
            f"{name}-route-{index}",
            route_table_id=vpc.route_table_id,
            destination_address=f"172.16.{index}.0/24",
            nexthop_type="custom",
            nexthop_id=instances[0].id,
        )


def _subnet(name: str, vpc: Vpc, cidr: str) -> Subnet:
    subnet = Subnet(name, vpc_id=vpc.id, cidr=cidr, zone_name="cn-hkg-a")
    for index in range(ACCESS_RULES):
        NetworkAclRule(
            f"{name}-{index}",
            subnet_id=subnet.id,
            direction="ingress",
            position=10 + index,
            action="allow",
            source_ip_address=f"10.{index}.0.0/16",
        )
    return subnet
