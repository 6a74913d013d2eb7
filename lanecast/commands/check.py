"""``lanecast check``: every mistake of a plan in one run."""

from __future__ import annotations

import typer

from lanecast.commands.common import JsonOption, PlanArgument, load_or_exit, tell, tell_json


def check(plan: PlanArgument, json_output: JsonOption = False) -> None:
    """Report every mistake in PLAN, each with its line.

    Exit status: 0 when there is none, 1 with mistakes, 2 when the file cannot be read.
    """
    loaded = load_or_exit(plan, json_output)
    if json_output:
        tell_json(plan, loaded.warnings, passed=True)
        return
    tell(loaded.warnings)
    held = loaded.plan
    vpcs = sum(len(region.vpcs) for region in held.regions.values())
    instances = sum(subscriber.count for subscriber in held.subscribers.values())
    typer.echo(
        f"{plan}: right: {len(held.feeds)} feeds, {len(held.sites)} sites, {len(held.regions)} regions, "
        f"{vpcs} VPCs, {instances} subscriber instances"
    )
