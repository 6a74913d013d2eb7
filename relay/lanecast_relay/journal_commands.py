"""``lanecast-relay journal show``, and ``lanecast-relay replay`` among the other commands.

Exit codes: 0 shown, 2 the journal cannot be read; those of a replay are its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console, Group
from rich.table import Table

from lanecast_relay import _core, replay_command
from lanecast_relay.config.units import DURATION
from lanecast_relay.moments import write_time

EXIT_NOT_POSSIBLE = 2

JournalPath = Annotated[Path, typer.Argument(metavar="JOURNAL", help="A journal's directory.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of tables.")]

journal_app = typer.Typer(name="journal", help="What a relay has recorded.", no_args_is_help=True)


def mount(app: typer.Typer) -> None:
    """Add the commands to the relay's own."""
    app.add_typer(journal_app)
    # Its options are its own: as ``lanecast-relay replay`` it begins without any of this.
    passed_on = {"ignore_unknown_options": True, "allow_extra_args": True}
    app.command(context_settings=passed_on, add_help_option=False)(replay)


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(EXIT_NOT_POSSIBLE)


@journal_app.command()
def show(journal: JournalPath, as_json: AsJson = False) -> None:
    """Segments, lines and numbers of JOURNAL, and what is missing; also while a relay writes it."""
    try:
        report = json.loads(_core.journal_show(journal))
    except OSError as error:
        _fail(f"{journal}: {error.strerror or error}")
    if as_json:
        print(json.dumps(report))
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(_report_view(report))


def replay(context: typer.Context) -> None:
    """Send what JOURNAL recorded again, with the exchange's own bytes and spacing; --help lists the options."""
    raise typer.Exit(replay_command.main(context.args, context.command_path))


def _report_view(report: dict[str, Any]) -> Group:
    missing = [text for segment in report["segments"] for text in _missing(segment)]
    return Group(_segments(report), _lines(report), *(missing or ["nothing is known to be missing"]))


def _segments(report: dict[str, Any]) -> Table:
    written = "being written" if report["is_written"] else "not being written"
    table = Table(title=f"{report['directory']}: {written}", title_justify="left")
    for name in ("segment", "state", "first", "last"):
        table.add_column(name)
    for name in ("datagrams", "bytes"):
        table.add_column(name, justify="right")
    for segment in report["segments"]:
        times = (write_time(segment[name]) if segment["datagrams"] else "-" for name in ("first_ns", "last_ns"))
        numbers = (str(segment[name]) for name in ("datagrams", "bytes"))
        table.add_row(str(segment["sequence"]), segment["state"], *times, *numbers)
    return table


def _lines(report: dict[str, Any]) -> Table:
    table = Table(title="lines", title_justify="left")
    for name in ("feed", "channel", "line", "protocol", "stream", "epoch"):
        table.add_column(name)
    for name in ("lowest", "highest", "datagrams"):
        table.add_column(name, justify="right")
    for line in report["lines"]:
        names = (line["feed"], line["channel"], line["line"], line["protocol"])
        for stream in line["streams"]:
            numbers = (str(stream[name]) for name in ("lowest", "highest", "datagrams"))
            table.add_row(*names, str(stream["stream"]), stream["epoch"], *numbers)
        if not line["streams"]:
            table.add_row(*names, "", "", "", "", str(line["datagrams"]))
    return table


def _missing(segment: dict[str, Any]) -> list[str]:
    """Sentences on what is not in a segment and should be."""
    found = []
    who = f"segment {segment['sequence']}"
    missing_ns, last = segment["missing_at_most_ns"], write_time(segment["last_ns"])
    if segment["state"] == "failed":
        found.append(
            f"{who}: the disk refused to take more: of the {missing_ns / 1e9:.3f} s after {last} nothing was recorded,"
            " or only a part"
        )
    elif missing_ns is not None:
        found.append(
            f"{who}: its writer ended without closing it: of what came after {last},"
            f" up to {DURATION.write(missing_ns)} is missing;"
            f" {segment['torn_bytes']} bytes at its end are no whole datagram"
        )
    if segment["unrecorded_datagrams"]:
        found.append(
            f"{who}: {segment['unrecorded_datagrams']} datagrams were not recorded: the disk was too slow or refused"
        )
    return found
