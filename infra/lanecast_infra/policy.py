"""What no stack may hold, told before anything is made."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from lanecast.cloud_state import NAME_TAG, PLAN_TAG
from lanecast_infra.access import ANYWHERE
from lanecast_infra.regional import Balancer, Gateway, Machine, Peering, Pool, Regional, Subnet, Vpc

TAGS = (PLAN_TAG, NAME_TAG)
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
            yield from _open_lists(subnet)
    for pool in (*regional.pools, *regional.bridges):
        for rule in pool.rules:
            if _is_everywhere(rule.source):
                yield f"{rule.name}: lets everybody in: 0.0.0.0/0 is no source"


def _open_lists(subnet: Subnet) -> Iterator[str]:
    """A list that lets everybody in, or says nothing of the rest, is none."""
    if not subnet.access_list:
        yield f"{subnet.name}: has no access list"
        return
    for rule in subnet.access_list:
        if rule.allow and _is_everywhere(rule.source):
            yield f"{rule.name}: lets everybody in: 0.0.0.0/0 is no source"
    last = max(subnet.access_list, key=lambda rule: rule.position)
    if last.allow or not _is_everywhere(last.source):
        yield f"{subnet.name}: its access list does not end with a rule that lets nothing else in"


def _is_everywhere(source: str) -> bool:
    return source == ANYWHERE or IPv4Network(source).prefixlen == 0


def _tagged(regional: Regional) -> Iterator[Vpc | Subnet | Peering | Gateway | Pool | Machine | Balancer]:
    for vpc in regional.vpcs:
        yield vpc
        yield from vpc.subnets
    yield from regional.peerings
    yield from regional.gateways
    for pool in (*regional.pools, *regional.bridges):
        yield pool
        yield from pool.machines
        if pool.balancer is not None:
            yield pool.balancer
