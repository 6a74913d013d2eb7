"""``lanecast-relay journal show`` and ``lanecast-relay replay``.

Exit codes: 0 everything left, 1 something did not (the kernel refused it, or the replay was stopped), 2 the journal,
the options or the system do not allow it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console, Group
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lanecast_relay import _core
from lanecast_relay.config.model import DEFAULT_HOLE_WAIT_NS
from lanecast_relay.config.quantity import DURATION
from lanecast_relay.moments import write_time
from lanecast_relay.replay import Asked, ReplayError, plan_replay

EXIT_INCOMPLETE = 1
EXIT_NOT_POSSIBLE = 2

PROGRESS_S = 0.2
"""How often a replay is looked at, in seconds."""

JournalPath = Annotated[Path, typer.Argument(metavar="JOURNAL", help="A journal's directory.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of tables.")]

journal_app = typer.Typer(name="journal", help="What a relay has recorded.", no_args_is_help=True)


def mount(app: typer.Typer) -> None:
    """Add the commands to the relay's own."""
    app.add_typer(journal_app)
    app.command()(replay)


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


def replay(
    journal: JournalPath,
    feed: Annotated[str | None, typer.Option(help="Needed where the journal has several.", show_default=False)] = None,
    channel: Annotated[
        list[str] | None, typer.Option(help="Only this channel; may be repeated.", show_default=False)
    ] = None,
    to_address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[CHANNEL=]ADDRESS:PORT",
            help="Send each message once, in order, as a relay would; or with --line that line's datagrams as they"
            " came. A group, a subscriber, or a unicast line of another relay. Repeat it for each channel.",
            show_default=False,
        ),
    ] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LINE[[/CHANNEL]=ADDRESS:PORT]",
            help="Only this line; with an address, that line to that address. Repeat it to feed each line of another"
            " relay: --line A=10.0.0.1:5000 --line B=10.0.0.1:5001.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME_OR_NUMBER",
            help="2026-11-23T16:40:16.5Z, 16:40:16.5 (UTC, the first such moment of the journal), or a sequence number."
            " Default: the beginning.",
            show_default=False,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TIME_OR_NUMBER",
            help="As --from, and included; a time of day is the first after --from. Default: the end.",
            show_default=False,
        ),
    ] = None,
    stream: Annotated[int, typer.Option(help="Which unit or partition of the channel numbers belong to.", min=0)] = 0,
    speed: Annotated[str, typer.Option(metavar="FACTOR", help="1, 10x, 0.5, or max.")] = "1",
    interface: Annotated[str | None, typer.Option(help="By which interface to send.", show_default=False)] = None,
    ttl: Annotated[int, typer.Option(help="Over how many hops a group is sent to.", min=0, max=255)] = 1,
    hole_wait: Annotated[
        str, typer.Option(metavar="DURATION", help="How long another line is waited for, in recorded time.")
    ] = DURATION.write(DEFAULT_HOLE_WAIT_NS),
    as_json: AsJson = False,
) -> None:
    """Send what JOURNAL recorded again, with the exchange's own bytes and spacing.

    To a subscriber, at ten times the speed, a minute of the morning:

    lanecast-relay replay JOURNAL --to-address 10.8.2.10:20001 --from 09:30:00 --to 09:31:00 --speed 10x

    Each line to another relay, which arbitrates them as if they came from the exchange:

    lanecast-relay replay JOURNAL --line A=10.0.0.1:5000 --line B=10.0.0.1:5001 --from 120000
    """
    began_s = time.monotonic()
    asked = Asked(journal, feed, channel or [], line or [], to_address or [], start, end, stream, speed)
    try:
        configuration = plan_replay(asked, interface, ttl, DURATION.read(hole_wait))
        native = _core.Replay(json.dumps(configuration))
        prepared_ns = int((time.monotonic() - began_s) * 1e9)
        native.start()
        report = _follow(native, configuration, quiet=as_json or not sys.stderr.isatty())
    except ReplayError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{journal}: {error.strerror or error}")
    except ValueError as error:
        _fail(f"--hole-wait {hole_wait}: {error}")
    report["first_datagram_ns"] += prepared_ns
    summary = {"journal": str(journal), **_described(configuration), **report}
    print(json.dumps(summary) if as_json else _sentence(summary))
    if report["stopped"] or report["refused"]:
        raise typer.Exit(EXIT_INCOMPLETE)


def _follow(native: _core.Replay, configuration: dict[str, Any], quiet: bool) -> dict[str, Any]:
    """Wait for the end and show how far it is; Ctrl-C ends it. Returns what it came to."""
    times = _core.journal_times(Path(configuration["directory"])) or (0, 0)
    first_ns, last_ns = max(configuration["from_ns"], times[0]), min(configuration["to_ns"], times[1])
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
            task = bar.add_task("", total=max(last_ns - first_ns, 1))
            while not native.wait(PROGRESS_S):
                now = json.loads(native.progress())
                at_ns = max(now["at_ns"] - first_ns, 0)
                bar.update(task, completed=at_ns, description=f"{now['datagrams']} datagrams")
    except KeyboardInterrupt:
        pass  # what it came to until now is told, and that it was stopped
    report: dict[str, Any] = json.loads(native.finish())
    return report


def _described(configuration: dict[str, Any]) -> dict[str, Any]:
    return {key: configuration[key] for key in ("feed", "targets", "from_ns", "to_ns", "numbers", "speed")}


def _sentence(summary: dict[str, Any]) -> str:
    refused = "".join(f", {count} refused ({errno})" for errno, count in summary["refused"].items())
    lost = f", {summary['lost_messages']} messages are on no line" if summary["lost_messages"] else ""
    late = "" if summary["speed"] is None else f", late by at most {summary['late_p99_ns'] / 1000:.0f} µs (p99)"
    stopped = "stopped: " if summary["stopped"] else ""
    return (
        f"{stopped}{summary['datagrams']} datagrams, {summary['bytes']} bytes in {summary['elapsed_ns'] / 1e9:.3f} s"
        f"{late}{lost}{refused}"
    )


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
