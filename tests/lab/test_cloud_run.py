"""The lab on an emulated cloud: real `pulumi up` for three regions, packets through what it declared, `pulumi destroy`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from emulated_networks import ROOT, lab_run, left_behind, machine

pytestmark = pytest.mark.lab

THREE_REGIONS = ROOT / "examples/three-regions.yaml"
DELETE = f"{sys.executable} {Path(__file__).parent / 'delete_route_rule.py'}"


def test_three_regions_made_by_pulumi_carry_the_feed_and_are_gone_afterwards(tmp_path: Path) -> None:
    before = machine()
    run = lab_run(tmp_path, THREE_REGIONS, "--cloud", "pulumi", "--duration", "3")
    assert run.status == 0, run.errors + json.dumps(run.verdict.get("checks"), indent=1)
    assert {one["name"] for one in run.verdict["subscribers"]} >= {
        "quotes-hk-1",
        "quotes-bj-1",
        "quotes-bj-2",
        "audit-bj-1",
    }
    for one in run.verdict["subscribers"]:
        assert one["expected"] == one["received"] > 0
        assert (one["missing"], one["duplicated"], one["out_of_order"], one["corrupted"]) == (0, 0, 0, 0)
    assert run.check("cloud as planned")["passed"] is True
    assert run.check("cloud empty after pulumi destroy")["passed"] is True
    assert left_behind(before) == {}


def test_a_route_rule_that_is_deleted_behind_pulumis_back_breaks_the_paths_that_need_it(tmp_path: Path) -> None:
    """The far region's answers to nobody need it; the bridge's way to the third region does."""
    change = f"{DELETE} gz gz.core 10.10.0.0/16"
    run = lab_run(
        tmp_path, THREE_REGIONS, "--cloud", "pulumi", "--cloud-change", change, "--no-destroy", "--duration", "2"
    )
    assert run.status == 1, run.errors
    told = run.check("cloud as planned")
    assert (told["passed"], told["measured"]) == (False, 1)
    assert told["detail"] == "vpcs gz.core.routes to 10.10.0.0/16: missing"
    received = {one["name"]: (one["received"], one["missing"]) for one in run.verdict["subscribers"]}
    assert received["quotes-hk-1"][1] == 0
    assert received["quotes-hk-1"][0] > 0
    for name in ("quotes-bj-1", "quotes-bj-2", "audit-bj-1"):
        assert received[name][0] == 0, name
        assert received[name][1] > 0, name


def test_an_uplink_without_a_dedicated_line_is_refused_at_once(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(THREE_REGIONS.read_text().replace("physical-line: dcphy-8zc3n5hk1b6v, ", ""))
    run = lab_run(tmp_path / "report", plan, "--cloud", "pulumi")
    assert run.status == 2
    assert "names none for hk1-up2: add it" in " ".join(run.errors.split())


def test_a_change_that_fails_ends_the_run_with_what_it_said(tmp_path: Path) -> None:
    before = machine()
    run = lab_run(tmp_path, THREE_REGIONS, "--cloud", "pulumi", "--cloud-change", "ls /no/such/folder")
    assert run.status == 2
    assert "ls /no/such/folder: exit status 2" in " ".join(run.errors.split())
    assert left_behind(before) == {}
