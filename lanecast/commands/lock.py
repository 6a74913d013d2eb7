"""``lanecast lock``: keep every value that a plan leaves open."""

from __future__ import annotations

import typer

from lanecast.commands.common import PlanArgument, compile_or_exit
from lanecast.lockfile import lock_path, read_lock, write_lock


def lock(plan: PlanArgument) -> None:
    """Write PLAN's lock file: addresses, ports and AS numbers that the plan leaves open, so that none moves later.

    Values that the lock file holds already stay; what the plan no longer needs goes.
    """
    before = read_lock(plan) or {}
    fabric = compile_or_exit(plan)
    write_lock(plan, fabric.invented)
    added = len(set(fabric.invented) - set(before))
    gone = len(set(before) - set(fabric.invented))
    typer.echo(f"{lock_path(plan)}: {len(fabric.invented)} values, {added} new, {gone} gone")
