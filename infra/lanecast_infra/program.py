"""The Pulumi program: compiles the plan and exports what the stack's region must hold. It creates no resources yet."""

from __future__ import annotations

from pathlib import Path

import pulumi

from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_infra.region import region_outputs


def run() -> None:
    """Export the region's part of the plan; the stack's configuration names both (lanecast:plan, lanecast:region)."""
    configuration = pulumi.Config("lanecast")
    fabric = compile_plan(load_plan(Path(configuration.require("plan"))))
    for name, value in region_outputs(fabric.cloud, configuration.require("region")).items():
        pulumi.export(name, value)
