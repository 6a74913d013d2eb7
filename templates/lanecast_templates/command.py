"""``lanecast render``: what runs in production and in the lab, as files."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lanecast.commands.common import JsonOption, PlanArgument, compile_or_exit
from lanecast_templates.renderer import RenderError, SecretResolver, render_fabric
from lanecast_templates.writer import InTheWayError, write

COULD_NOT_WRITE = 2


def render(
    plan: PlanArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write into.", metavar="DIR")],
    force: Annotated[bool, typer.Option(help="Replace files in the way that this command did not write.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Write the configuration of every router, host and relay of PLAN into DIR, a folder a node.

    Files are named as they are on the box (NODE/etc/frr/frr.conf). The exchange's and the cloud's own routers, which
    only the lab runs, are below counterparts/. Files in DIR that this command did not write are not touched.

    Exit status: 0 done, 1 the plan has mistakes, 2 the files cannot be written.
    """
    fabric = compile_or_exit(plan)
    try:
        files = render_fabric(fabric, SecretResolver(directory=plan.parent))
        done = write(files, output, force)
    except RenderError as error:
        for problem in error.problems:
            typer.echo(f"{plan}: {problem}", err=True)
        raise typer.Exit(1) from None
    except InTheWayError as error:
        typer.echo(f"error: {error}; move them away or use --force", err=True)
        raise typer.Exit(COULD_NOT_WRITE) from None
    except OSError as error:
        typer.echo(f"error: {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(COULD_NOT_WRITE) from None
    if json_output:
        sys.stdout.write(json.dumps(asdict(done), indent=2) + "\n")
        return
    for name in done.written:
        typer.echo(f"written  {output / name}")
    for name in done.removed:
        typer.echo(f"removed  {output / name}")
    typer.echo(f"{len(done.written)} written, {len(done.unchanged)} unchanged, {len(done.removed)} removed")
