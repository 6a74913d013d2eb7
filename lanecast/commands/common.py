"""What the subcommands share: how a plan is loaded at the door, and how its mistakes are told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lanecast.compiler import compile_plan
from lanecast.compiler.invention import PoolExhaustedError
from lanecast.fabric import Fabric
from lanecast.plan.loader import LoadedPlan, load_plan
from lanecast_relay.config.document import DocumentError, Problem, UnreadableDocument

WITH_MISTAKES = 1
UNREADABLE = 2

PlanArgument = Annotated[Path, typer.Argument(help="The plan's file.", metavar="PLAN", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def tell(problems: Iterable[Problem]) -> None:
    """Print mistakes and warnings on standard error, one a line."""
    for problem in problems:
        typer.echo(str(problem), err=True)


def tell_json(plan: Path, problems: Iterable[Problem], passed: bool) -> None:
    """Print mistakes and warnings as one JSON object on standard output."""
    content = {"plan": str(plan), "passed": passed, "problems": [asdict(problem) for problem in problems]}
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def load_or_exit(path: Path, json_output: bool = False) -> LoadedPlan:
    """Load a plan; on mistakes print all of them and exit with 1, and with 2 when the file cannot be read."""
    try:
        return load_plan(path)
    except UnreadableDocument as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(UNREADABLE) from None
    except DocumentError as error:
        if json_output:
            tell_json(path, error.problems, passed=False)
        else:
            tell(error.problems)
            count = sum(problem.severity == "error" for problem in error.problems)
            typer.echo(f"{path}: {count} mistake{'s' if count != 1 else ''}", err=True)
        raise typer.Exit(WITH_MISTAKES) from None


def compile_or_exit(path: Path, locked: Mapping[str, str] | None = None) -> Fabric:
    """Load and compile a plan, with ``locked`` instead of its lock file if given; exit as :func:`load_or_exit` does."""
    loaded = load_or_exit(path)
    tell(loaded.warnings)
    try:
        return compile_plan(loaded, locked)
    except PoolExhaustedError as error:
        typer.echo(f"{path}: {error}: make the pool larger", err=True)
    except DocumentError as error:
        tell(error.problems)
    raise typer.Exit(WITH_MISTAKES)
