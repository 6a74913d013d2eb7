"""``lanecast init``: a small commented plan to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.", metavar="PLAN")] = Path("plan.yaml"),
) -> None:
    """Write a small plan with comments that passes `lanecast check`; never over a file that exists."""
    text = files("lanecast").joinpath("example-plan.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        typer.echo(f"error: {path} exists already; name another file", err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"error: {path}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{path} is written; next: lanecast check {path}")
