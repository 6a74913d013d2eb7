"""The relay's command: ``lanecast-relay``, and mounted as ``lanecast relay``.

Exit codes: 0 done, 1 the file is wrong (every mistake is listed), 2 the file cannot be read, or the system refused.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import stat
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.live import Live

from lanecast_relay.audit import AuditLogInUse
from lanecast_relay.audit_commands import audit_commands
from lanecast_relay.config.document import DocumentError, UnreadableDocument, load_document, validate
from lanecast_relay.config.model import RelayFile
from lanecast_relay.control import ControlSocketInUse, ask_to_reload, read_counters
from lanecast_relay.engine import Counters
from lanecast_relay.journal_commands import mount
from lanecast_relay.lease_commands import lease_commands
from lanecast_relay.tables import counters_view
from lanecast_relay.token_commands import otp_commands, token_commands
from lanecast_relay.top import samples, view

EXIT_WRONG_FILE = 1
EXIT_REFUSED = 2

app = typer.Typer(
    name="relay",
    help="Turn the multicast lines of a feed into unicast: each message once, in order.",
    no_args_is_help=True,
    add_completion=False,
)
mount(app)
app.add_typer(token_commands)
app.add_typer(otp_commands)
app.add_typer(lease_commands)
app.add_typer(audit_commands)
RelayPath = Annotated[Path, typer.Argument(metavar="FILE", help="The relay's file.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of tables.")]


def _fail(code: int, *lines: str) -> NoReturn:
    for line in lines:
        print(line, file=sys.stderr)
    raise typer.Exit(code)


def _load(path: Path) -> RelayFile:
    try:
        return validate(RelayFile, load_document(path))
    except UnreadableDocument as error:
        _fail(EXIT_REFUSED, str(error))
    except DocumentError as error:
        _fail(EXIT_WRONG_FILE, *(str(problem) for problem in error.problems))


def _show(counters: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(counters), flush=True)
    else:
        # Piped, a table keeps its columns instead of being cut to 80 characters.
        Console(width=None if sys.stdout.isatty() else 160).print(counters_view(counters))


@app.command()
def run(
    file: RelayPath,
    as_json: AsJson = False,
    cpu: Annotated[int | None, typer.Option(help="The CPU that the packet path runs on.", min=0)] = None,
) -> None:
    """Forward until SIGTERM or SIGINT, then drain and print the counters."""
    # What only a running relay needs takes longer to load than all that the other commands need.
    from lanecast_relay.forwarding import Refused, forward

    relay = _load(file)
    try:
        counters = forward(file, relay, cpu)
    except Refused as refused:
        _fail(EXIT_REFUSED, *(f"{file}: {reason}" for reason in refused.reasons))
    except OSError as error:
        _fail(EXIT_REFUSED, f"{file}: {error.strerror or error}")
    except (ControlSocketInUse, AuditLogInUse) as error:
        _fail(EXIT_REFUSED, f"{file}: {error}")
    _show(counters, as_json)


@app.command()
def check(file: RelayPath) -> None:
    """Read FILE and list every mistake in it; open nothing."""
    relay = _load(file)
    streams = sum(len(feed.channels) for feed in relay.feeds.values())
    print(f"{file}: {relay.name} is right: {streams} streams, {len(relay.subscribers)} subscribers")


@app.command()
def reload(
    target: Annotated[
        Path, typer.Argument(metavar="FILE_OR_SOCKET", help="A relay's file that names its control socket, or that.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a running relay read its file anew, and print what changed, or every mistake: then it goes on as it was."""
    path = _control_socket(target)
    try:
        answer = ask_to_reload(path)
    except OSError as error:
        _fail(EXIT_REFUSED, f"{path}: {error.strerror or error}: is the relay running?")
    if as_json:
        print(json.dumps(answer))
    if "mistakes" in answer:
        code = EXIT_REFUSED if answer["refused"] else EXIT_WRONG_FILE
        _fail(code, *(() if as_json else answer["mistakes"]), "not reloaded: the relay goes on as it was")
    if not as_json:
        for change in answer["changes"]:
            print(f"{change['what']} {change['name']}: {change['change']}".replace(" :", ":"))
        print(f"reloaded: {len(answer['changes'])} changes")


@app.command()
def counters(
    target: Annotated[
        Path, typer.Argument(metavar="SOCKET_OR_FILE", help="A control socket, or a relay's file that names one.")
    ],
    as_json: AsJson = False,
) -> None:
    """Print the counters of a relay that is running."""
    _show(_ask(_control_socket(target), ranges=True), as_json)


@app.command()
def top(
    target: Annotated[
        Path, typer.Argument(metavar="SOCKET_OR_FILE", help="A control socket, or a relay's file that names one.")
    ],
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1, metavar="SECONDS")] = 1.0,
    count: Annotated[int | None, typer.Option(help="End after so many looks.", min=1)] = None,
) -> None:
    """Watch a running relay: each line's rate and share, losses, each subscriber's rate. Ctrl-C ends it."""
    path = _control_socket(target)
    looks = samples(lambda: _ask(path), interval)
    before = next(looks)
    console = Console(width=None if sys.stdout.isatty() else 120)
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(console=console, auto_refresh=False, screen=sys.stdout.isatty()) as live,
    ):
        for now in itertools.islice(looks, count):
            live.update(view(before, now), refresh=True)
            before = now


def _ask(path: Path, ranges: bool = False) -> Counters:
    try:
        return read_counters(path, ranges)
    except OSError as error:
        _fail(EXIT_REFUSED, f"{path}: {error.strerror or error}: is the relay running?")


def _control_socket(target: Path) -> Path:
    return target if target.exists() and stat.S_ISSOCK(target.stat().st_mode) else _named_socket(target)


def _named_socket(file: Path) -> Path:
    relay = _load(file)
    if relay.control_socket is None:
        _fail(EXIT_WRONG_FILE, f"{file}: it names no control-socket, so a running relay cannot be asked; add one")
    return Path(relay.control_socket)


def main() -> None:
    """Entry point of ``lanecast-relay``."""
    app()


if __name__ == "__main__":
    main()
