"""The Pulumi program: what one region's stack exports, and what stops it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, set_all_config
from pulumi.runtime.settings import get_root_resource
from pulumi.runtime.stack import Stack

from lanecast.cloud_state import CloudState
from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_infra import program
from lanecast_infra.region import UnknownRegionError, region_outputs

ROOT = Path(__file__).parent.parent.parent
PLAN = "examples/two-sites.yaml"

Export = Callable[[str, str], dict[str, Any]]


class NotMockedError(Exception):
    """The program asked for something that these tests expect it not to."""


class NothingIsMade(mocks.Mocks):
    """Refuses every resource and call: the program makes none yet."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        raise NotMockedError(args.typ)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise NotMockedError(args.token)


@pytest.fixture(scope="module")
def state() -> CloudState:
    return compile_plan(load_plan(ROOT / PLAN)).cloud


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch) -> Export:
    """Runs the program with a plan and a region and returns what it exports."""

    def run(plan: str, region: str) -> dict[str, Any]:
        mocks.set_mocks(NothingIsMade(), project="lanecast", stack=region)
        set_all_config({"lanecast:plan": plan, "lanecast:region": region})
        monkeypatch.setattr(program, "get_root_directory", lambda: str(ROOT))
        program.run()
        stack = get_root_resource()
        assert isinstance(stack, Stack)
        return dict(stack.outputs)

    return run


def test_a_region_holds_its_own_part_only(state: CloudState) -> None:
    outputs = region_outputs(state, "hk")
    assert [vpc["name"] for vpc in outputs["vpcs"]] == ["hk.hub"]
    assert {instance["subnet"] for instance in outputs["instances"]} == {"hk.hub.apps"}
    assert {gateway["vpc"] for gateway in outputs["gateways"]} == {"hk.hub"}


def test_the_regions_together_hold_everything_once(state: CloudState) -> None:
    outputs = [region_outputs(state, region) for region in ("bj", "gz", "hk")]
    for kind in ("vpcs", "peerings", "gateways", "instances"):
        names = sorted(one["name"] for part in outputs for one in part[kind])
        assert names == sorted(one.name for one in getattr(state, kind)), kind


def test_the_region_of_the_first_vpc_creates_a_peering(state: CloudState) -> None:
    made = {region: [one["name"] for one in region_outputs(state, region)["peerings"]] for region in ("bj", "gz", "hk")}
    assert made == {"bj": [], "gz": ["gz-bj"], "hk": ["hub-gz"]}


def test_both_ends_route_to_the_peering(state: CloudState) -> None:
    for region in ("gz", "hk"):
        routes = region_outputs(state, region)["vpcs"][0]["routes"]
        assert "hub-gz" in {route["target"] for route in routes}


def test_an_unknown_region_lists_the_known_ones(state: CloudState) -> None:
    with pytest.raises(UnknownRegionError, match="no region sh: set lanecast:region to one of bj, gz, hk"):
        region_outputs(state, "sh")


def test_the_program_exports_the_region(export: Export, state: CloudState) -> None:
    assert export(PLAN, "hk") == region_outputs(state, "hk")


def test_the_program_stops_at_an_unknown_region(export: Export) -> None:
    with pytest.raises(pulumi.RunError, match="set lanecast:region to one of bj, gz, hk"):
        export(PLAN, "sh")


def test_the_program_stops_at_a_plan_with_mistakes(export: Export, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("lanecast: 1\nregoins: {}\n")
    with pytest.raises(pulumi.RunError, match=r"plan\.yaml:2: regoins"):
        export(str(plan), "hk")


def test_the_program_stops_where_there_is_no_plan(export: Export, tmp_path: Path) -> None:
    with pytest.raises(pulumi.RunError, match=r"none\.yaml"):
        export(str(tmp_path / "none.yaml"), "hk")
