"""``lanecast lock``: keep every value that a plan leaves open."""

from __future__ import annotations

import typer

from lanecast.commands.common import WITH_MISTAKES, PlanArgument, compile_or_exit, tell
from lanecast.lockfile import lock_path, read_lock, write_lock
from lanecast_relay.config.document import DocumentError


def lock(plan: PlanArgument) -> None:
    """Write PLAN's lock file: addresses, ports and AS numbers that the plan leaves open, so that none moves later.

    Values that the lock file holds already stay, unless the plan rules them out; what the plan no longer needs goes.
    """
    try:
        before = read_lock(plan) or {}
    except DocumentError as error:
        tell(error.problems)
        typer.echo(
            f"{lock_path(plan)}: mend it or take it from version control; removing it may move addresses", err=True
        )
        raise typer.Exit(WITH_MISTAKES) from None
    fabric = compile_or_exit(plan, before)
    write_lock(plan, fabric.invented)
    added = len(set(fabric.invented) - set(before))
    gone = len(set(before) - set(fabric.invented))
    moved = sum(1 for purpose, value in fabric.invented.items() if before.get(purpose, value) != value)
    typer.echo(f"{lock_path(plan)}: {len(fabric.invented)} values, {added} new, {moved} moved, {gone} gone")
