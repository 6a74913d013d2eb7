"""``lanecast-relay replay``: what a journal recorded, sent again.

Exit codes: 0 everything left, 1 something did not (nothing was there, the kernel refused it, or the replay was
stopped), 2 the journal, the options or the system do not allow it.

A replay is to begin at once, so this module loads little: no typer, no pydantic, and what draws only once it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lanecast_relay import _core
from lanecast_relay.config.defaults import DEFAULT_HOLE_WAIT_NS, DEFAULT_RECOVERY_WAIT_NS
from lanecast_relay.config.units import DURATION
from lanecast_relay.replay import Asked, ReplayError, Waits, plan_replay

EXIT_INCOMPLETE = 1
EXIT_NOT_POSSIBLE = 2

PROGRESS_S = 0.2
"""How often a replay is looked at, in seconds."""

DESCRIPTION = """\
Send what JOURNAL recorded again, with the exchange's own bytes and spacing.

To a subscriber, at ten times the speed, a minute of the morning:

  {name} JOURNAL --to-address 10.8.2.10:20001 --from 09:30:00 --to 09:31:00 --speed 10x

Each line to another relay, which arbitrates them as if they came from the exchange:

  {name} JOURNAL --line A=10.0.0.1:5000 --line B=10.0.0.1:5001 --from 120000
"""


def main(arguments: Sequence[str], name: str) -> int:
    """Replay as the arguments say, and return the exit code."""
    began_s = time.monotonic()
    options = _parser(name).parse_args(arguments)
    asked = Asked(
        journal=options.journal,
        feed=options.feed,
        channels=options.channel,
        lines=options.line,
        to_addresses=options.to_address,
        start=options.start,
        end=options.end,
        stream=options.stream,
        speed=options.speed,
    )
    try:
        journal = _core.Journal(asked.journal)
        waits = Waits(_duration("--hole-wait", options.hole_wait), _duration("--recovery-wait", options.recovery_wait))
        configuration = plan_replay(journal, asked, waits, options.interface, options.ttl)
        native = _core.Replay(json.dumps(configuration))
        prepared_ns = int((time.monotonic() - began_s) * 1e9)
        native.start(journal)
        report = _follow(native, journal, configuration, quiet=options.json or not sys.stderr.isatty())
    except ReplayError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{asked.journal}: {error.strerror or error}")
    report["first_datagram_ns"] += prepared_ns if report["first_datagram_ns"] else 0
    summary = {"journal": str(asked.journal), **_described(configuration), **report}
    print(json.dumps(summary) if options.json else _sentence(summary))
    if report["datagrams"] == 0 and not report["refused"] and not report["stopped"]:
        print(f"{asked.journal}: nothing was recorded of what is asked for, so nothing left", file=sys.stderr)
        return EXIT_INCOMPLETE
    return EXIT_INCOMPLETE if report["stopped"] or report["refused"] else 0


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return EXIT_NOT_POSSIBLE


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=name,
        description=DESCRIPTION.format(name=name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("journal", metavar="JOURNAL", type=Path, help="a journal's directory")
    _add_what(parser)
    add(
        "--to-address",
        action="append",
        default=[],
        metavar="[CHANNEL=]ADDRESS:PORT",
        help="send each message once, in order, as a relay would; or with --line that line's datagrams as they came. A"
        " group, a subscriber, or a unicast line of another relay; repeat it for each channel",
    )
    add("--speed", default="1", metavar="FACTOR", help="1, 10x, 0.5, or max")
    add("--interface", help="by which interface to send")
    add("--ttl", type=_integer(255), default=1, help="over how many hops a group is sent to")
    add(
        "--hole-wait",
        default=DURATION.write(DEFAULT_HOLE_WAIT_NS),
        metavar="DURATION",
        help="how long another line is waited for, in recorded time: %(default)s",
    )
    add(
        "--recovery-wait",
        default=DURATION.write(DEFAULT_RECOVERY_WAIT_NS),
        metavar="DURATION",
        help="how long the recorded answers of re-request servers are waited for after that: %(default)s",
    )
    add("--json", action="store_true", help="JSON instead of a sentence")
    return parser


def _add_what(parser: argparse.ArgumentParser) -> None:
    """The options that say which part of the journal."""
    add = parser.add_argument
    add("--feed", help="needed where the journal has several")
    add("--channel", action="append", default=[], help="only this channel; may be repeated")
    add(
        "--line",
        action="append",
        default=[],
        metavar="LINE[[/CHANNEL]=ADDRESS:PORT]",
        help="only this line; with an address, that line to that address; repeat it to feed each line of another relay",
    )
    add(
        "--from",
        dest="start",
        metavar="TIME_OR_NUMBER",
        help="2026-11-23T16:40:16.5Z, 16:40:16.5 (UTC, the first such moment of the journal), or a sequence number; the"
        " beginning without it",
    )
    add(
        "--to",
        dest="end",
        metavar="TIME_OR_NUMBER",
        help="as --from, and included; a time of day is the first after --from; the end without it",
    )
    add(
        "--stream",
        type=_integer(2**64 - 1),
        default=0,
        help="which unit or partition of the channel numbers belong to",
    )


def _integer(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) <= most):
            raise argparse.ArgumentTypeError(f"expected a number from 0 to {most}")
        return int(text)

    return read


def _duration(option: str, text: str) -> int:
    try:
        return DURATION.read(text)
    except ValueError as error:
        raise ReplayError(f"{option} {text}: {error}") from None


def _follow(native: _core.Replay, journal: _core.Journal, configuration: dict[str, Any], quiet: bool) -> dict[str, Any]:
    """Wait for the end and show how far it is; Ctrl-C ends it. Returns what it came to."""
    try:
        if quiet:
            while not native.wait(PROGRESS_S):
                pass  # here Python looks for signals
        else:
            _draw(native, journal, configuration)
    except KeyboardInterrupt:
        pass  # what it came to until now is told, and that it was stopped
    report: dict[str, Any] = json.loads(native.finish())
    return report


def _draw(native: _core.Replay, journal: _core.Journal, configuration: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    times = journal.times() or (0, 0)
    first_ns, last_ns = max(configuration["from_ns"], times[0]), min(configuration["to_ns"], times[1])
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=max(last_ns - first_ns, 1))
        while not native.wait(PROGRESS_S):
            now = json.loads(native.progress())
            at_ns = max(now["at_ns"] - first_ns, 0)
            bar.update(task, completed=at_ns, description=f"{now['datagrams']} datagrams")


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
