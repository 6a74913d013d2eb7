"""A cloud that differs from the plan in any one field is told by that field's name."""

from __future__ import annotations

from dataclasses import fields, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from lanecast.cloud_state import CloudRoute, CloudState
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.comparison import differences
from lanecast_lab.cloud.data_plane.snapshot import Snapshot
from lanecast_lab.cloud.held import comparable, held
from lanecast_lab.loading import load_fabric

ROOT = Path(__file__).parents[2]
LEFT_OUT = {"region", "delay_ns", "uplink", "router"}
"""Fields that no cloud holds."""


@pytest.fixture(scope="module")
def expected() -> CloudState:
    fabric, _ = load_fabric(str(ROOT / "examples/three-regions.yaml"))
    return comparable(fabric.cloud)


def another(value: object) -> object:
    """A value of the same type that is not this one."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case IPv4Interface():
            return IPv4Interface(f"{value.ip + 1}/{value.network.prefixlen}")
        case IPv4Address():
            return value + 1
        case IPv4Network():
            return IPv4Network((int(value.network_address) ^ 1 << 28, value.prefixlen))
        case tuple():
            return value[1:]
    raise TypeError(value)


def test_the_same_state_differs_in_nothing(expected: CloudState) -> None:
    assert differences(expected, expected) == []


@pytest.mark.parametrize("part", ["vpcs", "peerings", "gateways", "instances", "shared_addresses"])
def test_every_field_of_every_part_counts(expected: CloudState, part: str) -> None:
    first, *rest = getattr(expected, part)
    for one in fields(first):
        if one.name in LEFT_OUT | {"name"}:
            continue
        changed = replace(first, **{one.name: another(getattr(first, one.name))})
        found = differences(expected, replace(expected, **{part: (changed, *rest)}))
        assert len(found) == 1, found
        assert found[0].startswith(f"{part} {first.name}.{one.name}"), found


@pytest.mark.parametrize("part", ["vpcs", "peerings", "gateways", "instances", "shared_addresses"])
def test_what_is_missing_and_what_nobody_expects_is_named(expected: CloudState, part: str) -> None:
    first, *rest = getattr(expected, part)
    without = replace(expected, **{part: tuple(rest)})
    assert differences(expected, without) == [f"{part} {first.name}: missing"]
    assert differences(without, expected) == [f"{part} {first.name}: not expected"]


def test_a_route_for_a_part_of_a_vpc_is_another_one() -> None:
    def routes(source: str) -> tuple[CloudRoute, ...]:
        rule = {"sourceAddress": source, "destinationAddress": "10.1.0.0/16", "nexthopId": "dcgw-1"}
        found = [
            Resource("vpc-1", "vpc", "", "", None, {"cidr": "10.0.0.0/16", "relay": False}),
            Resource("rt-1", "route-table", "", "", "vpc-1", {}),
            Resource("rr-1", "route-rule", "", "", "rt-1", rule),
        ]
        return held(Snapshot(found, 0.0)).vpcs[0].routes

    [everywhere], [part] = routes("0.0.0.0/0"), routes("10.0.1.0/24")
    assert (everywhere.target, part.target) == ("dcgw-1", "dcgw-1 from 10.0.1.0/24")


def test_a_route_is_known_by_where_it_leads(expected: CloudState) -> None:
    first, *rest = expected.vpcs
    route, *others = first.routes

    def having(*routes: CloudRoute) -> CloudState:
        return replace(expected, vpcs=(replace(first, routes=routes), *rest))

    place = f"vpcs {first.name}.routes to {route.prefix}"
    elsewhere = replace(route, target="elsewhere")
    assert differences(expected, having(*others)) == [f"{place}: missing"]
    assert differences(expected, having(elsewhere, *others)) == [
        f"{place}.target: expected {route.target}, found elsewhere"
    ]
    (told,) = differences(expected, having(route, elsewhere, *others))
    assert told.startswith(f"{place}: expected ")
    assert "elsewhere" in told
