"""What no stack may hold, told before anything is made."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from lanecast_infra.regional import Peering, Regional, Subnet, Vpc

TAGS = ("lanecast-plan", "lanecast-name")
"""By these a person, and a run after a kill, tell whose a resource is."""


def violations(regional: Regional) -> list[str]:
    """Every breach of a policy, each with the name of what breaks it."""
    return list(_violations(regional))


def _violations(regional: Regional) -> Iterator[str]:
    for one in _tagged(regional):
        if missing := [tag for tag in TAGS if not one.tags.get(tag)]:
            yield f"{one.name}: the tag {' and '.join(missing)} is missing"
    for vpc in regional.vpcs:
        for subnet in vpc.subnets:
            if not ip_network(subnet.cidr).subnet_of(ip_network(vpc.cidr)):  # type: ignore[arg-type]
                yield f"{subnet.name}: {subnet.cidr} is not inside {vpc.name}, {vpc.cidr}"
        destinations = [rule.destination for rule in vpc.rules]
        for rule in vpc.rules:
            if destinations.count(rule.destination) > 1:
                yield f"{rule.name}: another rule of {vpc.name} leads to {rule.destination} as well"


def _tagged(regional: Regional) -> Iterator[Vpc | Subnet | Peering]:
    for vpc in regional.vpcs:
        yield vpc
        yield from vpc.subnets
    yield from regional.peerings
