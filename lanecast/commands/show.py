"""``lanecast show``: the compiled network as a person reads it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lanecast.commands.common import JsonOption, PlanArgument, compile_or_exit
from lanecast.drawing import draw
from lanecast.tables import network_tables


def show(
    plan: PlanArgument,
    svg: Annotated[Path | None, typer.Option(help="Draw the network into a file instead.", metavar="FILE")] = None,
    json_output: JsonOption = False,
) -> None:
    """Print PLAN's compiled network: nodes, links, addresses, and who receives what from where."""
    fabric = compile_or_exit(plan)
    if svg is not None:
        svg.write_text(draw(fabric), encoding="utf-8")
        typer.echo(f"{svg} is written")
    elif json_output:
        sys.stdout.write(json.dumps(asdict(fabric), indent=2, default=str) + "\n")
    else:
        console = Console(width=None if sys.stdout.isatty() else 120)
        for table in network_tables(fabric):
            console.print(table)
