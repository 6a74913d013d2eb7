"""Reports from audit logs, for exchanges and for whoever asks."""

from __future__ import annotations

import csv
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lanecast_relay.audit import COUNTED
from lanecast_relay.audit_report import Month, report

EXIT_WRONG = 1
EXIT_REFUSED = 2

audit_commands = typer.Typer(name="audit", help="Who received what and when.", no_args_is_help=True)


@audit_commands.callback()
def _several_commands() -> None:
    """Who received what and when."""


class Form(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@audit_commands.command("report")
def report_command(
    logs: Annotated[list[Path], typer.Argument(help="Audit logs, oldest first.")],
    feed: Annotated[str, typer.Option(help="The feed.")],
    month: Annotated[str, typer.Option(help="The month in UTC, such as 2026-11.")],
    form: Annotated[Form, typer.Option("--format", help="How it is printed.")] = Form.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print who received a feed in a month. Exit 1 when a log is not whole: what is wrong is said on standard error."""
    try:
        rows, problems = report(logs, feed, Month.of(month))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(EXIT_REFUSED) from None
    except ValueError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EXIT_WRONG) from None
    if as_json or form is Form.JSON:
        print(json.dumps({"feed": feed, "month": month, "receivers": rows, "problems": problems}))
    elif form is Form.CSV:
        _csv(rows)
    else:
        Console(width=None if sys.stdout.isatty() else 200).print(_table(feed, month, rows))
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(EXIT_WRONG)


COLUMNS = (
    "subscriber",
    "subject",
    "token",
    "delivery",
    "outputs",
    "from",
    "until",
    "known_until",
    "reason",
    *COUNTED,
    "answered",
    "counts_other_feeds",
)


def _csv(rows: list[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {name: "; ".join(row[name]) for name in ("outputs", "answered")})


def _table(feed: str, month: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{feed} in {month}: who received it", title_justify="left")
    for name in ("who", "channel and address", "from", "until", "why it ended"):
        table.add_column(name)
    for name in COUNTED:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("numbers in answers")
    for row in rows:
        until = row["until"] or f"at least {row['known_until']}"
        counts = ["—" if row[name] is None else str(row[name]) for name in COUNTED]
        if row["counts_other_feeds"]:
            counts = [f"{count} (all feeds)" for count in counts]
        who = row["subject"] or row["subscriber"]
        outputs, answered = "\n".join(row["outputs"]), "\n".join(row["answered"])
        table.add_row(who, outputs, row["from"], until, row["reason"], *counts, answered)
    return table
