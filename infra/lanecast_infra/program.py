"""The Pulumi program: compiles the plan and exports what the stack's region must hold. It creates no resources yet."""

from __future__ import annotations

from pathlib import Path

import pulumi
from pulumi.runtime import get_root_directory

from lanecast.compiler import compile_plan
from lanecast.compiler.invention import PoolExhaustedError
from lanecast.plan.loader import load_plan
from lanecast_infra.region import UnknownRegionError, region_outputs
from lanecast_relay.config.document import DocumentError, UnreadableDocument


def run() -> None:
    """Export the region's part of the plan; the stack's configuration names both (lanecast:plan, lanecast:region).

    A relative plan is looked for beside Pulumi.yaml. What is wrong with plan or region stops the stack with its text.
    """
    configuration = pulumi.Config("lanecast")
    path = Path(get_root_directory()) / configuration.require("plan")
    try:
        fabric = compile_plan(load_plan(path))
        outputs = region_outputs(fabric.cloud, configuration.require("region"))
    except (UnreadableDocument, DocumentError, PoolExhaustedError, UnknownRegionError) as error:
        raise pulumi.RunError(str(error)) from None
    for name, value in outputs.items():
        pulumi.export(name, value)
