"""A plan's file to its Fabric, with the plan's mistakes as the lab's own kind of error."""

from __future__ import annotations

from pathlib import Path

from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.plan.loader import load_plan
from lanecast_lab.errors import LabError
from lanecast_relay.config.document import DocumentError, UnreadableDocument


def load_fabric(plan: str) -> Fabric:
    """Load, check and compile a plan; raise :class:`LabError` with every mistake, one a line."""
    try:
        return compile_plan(load_plan(Path(plan)))
    except UnreadableDocument as error:
        raise LabError(str(error)) from None
    except DocumentError as error:
        raise LabError("the plan has mistakes:\n" + "\n".join(str(problem) for problem in error.problems)) from None
