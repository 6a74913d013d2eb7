"""A plan's file to its Fabric, with the plan's mistakes as the lab's own kind of error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.plan.loader import load_plan
from lanecast_lab.errors import LabError
from lanecast_lab.stand_ins import as_frr
from lanecast_relay.config.document import DocumentError, UnreadableDocument


def load_fabric(plan: str) -> tuple[Fabric, list[str]]:
    """Load, check and compile a plan as the lab runs it; return with it what the verdict should say of that.

    Raises :class:`LabError` with every mistake, one a line, or with what the lab cannot run.
    """
    try:
        loaded = load_plan(Path(plan))
        run, notes = as_frr(loaded.plan)
        return compile_plan(replace(loaded, plan=run)), notes
    except UnreadableDocument as error:
        raise LabError(str(error)) from None
    except DocumentError as error:
        raise LabError("the plan has mistakes:\n" + "\n".join(str(problem) for problem in error.problems)) from None
