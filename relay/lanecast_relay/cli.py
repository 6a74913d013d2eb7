"""The relay's command: ``lanecast-relay``, and mounted as ``lanecast relay``.

Exit codes: 0 done, 1 the file is wrong (every mistake is listed), 2 the file cannot be read, or the system refused.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import stat
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import structlog
import typer
from rich.console import Console
from rich.live import Live

from lanecast_relay.config.document import DocumentError, UnreadableDocument, load_document, validate
from lanecast_relay.config.model import RelayFile
from lanecast_relay.control import ControlSocketInUse, read_counters, serving
from lanecast_relay.engine import Counters, Engine
from lanecast_relay.journal_commands import mount
from lanecast_relay.losses import LossLog
from lanecast_relay.metrics import exporting
from lanecast_relay.service import notify, watchdog_s
from lanecast_relay.tables import counters_view
from lanecast_relay.top import samples, view
from lanecast_relay.ways import watching

EXIT_WRONG_FILE = 1
EXIT_REFUSED = 2

LOSS_CHECK_S = 1.0
"""How often new losses are looked for and logged, in seconds."""

app = typer.Typer(
    name="relay",
    help="Turn the multicast lines of a feed into unicast: each message once, in order.",
    no_args_is_help=True,
    add_completion=False,
)
mount(app)
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
    relay = _load(file)
    _log_to_stderr()
    try:
        counters = _forward(relay, cpu)
    except OSError as error:
        _fail(EXIT_REFUSED, f"{file}: {error.strerror or error}")
    except ControlSocketInUse as error:
        _fail(EXIT_REFUSED, f"{file}: {error}")
    _show(counters, as_json)


@app.command()
def check(file: RelayPath) -> None:
    """Read FILE and list every mistake in it; open nothing."""
    relay = _load(file)
    streams = sum(len(feed.channels) for feed in relay.feeds.values())
    print(f"{file}: {relay.name} is right: {streams} streams, {len(relay.subscribers)} subscribers")


@app.command()
def counters(
    target: Annotated[
        Path, typer.Argument(metavar="SOCKET_OR_FILE", help="A control socket, or a relay's file that names one.")
    ],
    as_json: AsJson = False,
) -> None:
    """Print the counters of a relay that is running."""
    _show(_ask(_control_socket(target)), as_json)


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


def _ask(path: Path) -> Counters:
    try:
        return read_counters(path)
    except OSError as error:
        _fail(EXIT_REFUSED, f"{path}: {error.strerror or error}: is the relay running?")


def _control_socket(target: Path) -> Path:
    return target if target.exists() and stat.S_ISSOCK(target.stat().st_mode) else _named_socket(target)


def _named_socket(file: Path) -> Path:
    relay = _load(file)
    if relay.control_socket is None:
        _fail(EXIT_WRONG_FILE, f"{file}: it names no control-socket, so a running relay cannot be asked; add one")
    return Path(relay.control_socket)


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _forward(relay: RelayFile, cpu: int | None) -> Counters:
    """Run until a signal asks for the end. Returns the last counters."""
    log = structlog.get_logger(relay=relay.name)
    # Blocked before any thread starts, so that only sigtimedwait sees them and none is lost.
    signals = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        engine = Engine(relay, cpu)
        losses = LossLog(log)
        with engine:
            control = None if relay.control_socket is None else Path(relay.control_socket)
            with (
                serving(control, engine.counters),
                exporting(relay.metrics, engine.counters),
                watching(engine.fans_out_in_kernel(), engine.destinations, engine.set_ways),
            ):
                _announce(relay, engine)
                log.info("forwarding", fan_out=engine.counters()["fan_out"])
                watchdog = watchdog_s()
                wait_s = LOSS_CHECK_S if watchdog is None else min(LOSS_CHECK_S, watchdog / 2)
                while (received := signal.sigtimedwait(signals, wait_s)) is None:
                    losses.update(engine.counters())  # the packet thread answered: it lives
                    if watchdog is not None:
                        notify("WATCHDOG=1")
                notify("STOPPING=1")
                log.info("draining", signal=signal.Signals(received.si_signo).name)
        last = engine.counters()
        losses.update(last)
        return last
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _announce(relay: RelayFile, engine: Engine) -> None:
    """Say on stdout, and to the service manager, that every socket is open and joined."""
    streams = [{"feed": stream["feed"], "channel": stream["channel"]} for stream in engine.counters()["streams"]]
    ready = {"ready": True, "name": relay.name, "streams": streams, "control_socket": relay.control_socket}
    print(json.dumps(ready), flush=True)
    notify("READY=1")


def main() -> None:
    """Entry point of ``lanecast-relay``."""
    app()


if __name__ == "__main__":
    main()
