"""The life of a relay's process: open everything, forward, listen to signals and the service manager, drain."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

from lanecast_relay.access.gate import Gate
from lanecast_relay.access.secrets import SecretProblem, located
from lanecast_relay.audit import AuditLog
from lanecast_relay.audit_trail import AuditTrail
from lanecast_relay.config.model import RelayFile
from lanecast_relay.control import serving
from lanecast_relay.engine import Counters, Engine, Ranges
from lanecast_relay.losses import LossLog
from lanecast_relay.metrics import exporting
from lanecast_relay.positions import Positions
from lanecast_relay.running import Log, NotReloaded, RunningRelay
from lanecast_relay.service import notify, watchdog_s
from lanecast_relay.unexpected import unexpected
from lanecast_relay.ways import watching

CHECK_S = 1.0
"""How often losses and leases are looked at, in seconds; the shortest lease is as long."""

CONTROL_NICENESS = 15
"""sched(7): of the threads that are not the packet path. On a processor that they share, each look at the counters
would else hold packets up for milliseconds."""

ENDING = {signal.SIGTERM, signal.SIGINT}
SIGNALS = {*ENDING, signal.SIGHUP}


class Refused(Exception):
    """The relay cannot start; says everything that is in the way."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def forward(file: Path, relay: RelayFile, cpu: int | None) -> Counters:
    """Run until a signal asks for the end. Returns the last counters.

    Raises :class:`Refused`, ``OSError``, ``AuditLogInUse`` and ``ControlSocketInUse`` when it cannot start, and
    ``OSError`` when the packet path does not answer.
    """
    _log_to_stderr()
    log = structlog.get_logger(relay=relay.name)
    # Blocked before any thread starts, so that only sigtimedwait sees them and none is lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        positions = Positions(None if relay.journal is None else Path(relay.journal.directory), log)
        return _forward(_prepared(file, relay, cpu, log, positions), log, positions)
    except SecretProblem as problem:
        raise Refused([str(problem)]) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepared(file: Path, relay: RelayFile, cpu: int | None, log: Log, positions: Positions) -> RunningRelay:
    gate = None
    if relay.api is not None:
        gate, mistakes = Gate.of(relay.name, relay.api)
        if mistakes:
            raise Refused(mistakes)
    trail = AuditTrail(None if relay.audit is None else AuditLog(located(relay.audit.log)), log, relay.name)
    # A reload reads the same file, wherever the process goes meanwhile.
    engine = Engine(relay, cpu, positions.known)
    return RunningRelay(file.absolute(), relay, engine, trail, log, gate, cpu)


def _forward(running: RunningRelay, log: Log, positions: Positions) -> Counters:
    engine, relay = running.engine, running.relay
    losses = LossLog(log)
    # What lives until the end is not looked at again: a collection that walks all of it would keep a processor for
    # milliseconds that the packet path may need.
    gc.collect()
    gc.freeze()
    with engine:
        # The packet path's thread has started and keeps its own; this one, and all that it starts now, give way.
        os.setpriority(os.PRIO_PROCESS, 0, CONTROL_NICENESS)
        running.started()
        with _doors(running):
            _announce(relay, engine)
            log.info("forwarding", fan_out=engine.counters()["fan_out"])
            try:
                received = _until_told_to_end(running, losses, positions)
            except RuntimeError as error:
                # Told before the engine is closed, which waits for the packet path.
                log.error("the packet path does not answer", reason=str(error))
                raise OSError(errno.ETIMEDOUT, f"the packet path does not answer: {error}") from None
            notify("STOPPING=1")
            log.info("draining", signal=received.name)
    last = engine.counters()
    running.stopped(last)
    losses.update(last)
    positions.follow(last)
    positions.close()
    return last


@contextlib.contextmanager
def _doors(running: RunningRelay) -> Iterator[None]:
    """What others reach the relay by."""
    relay, counters = running.relay, running.engine.counters
    control = None if relay.control_socket is None else Path(relay.control_socket)
    handlers = {
        "counters": counters,
        "counters-with-ranges": lambda: counters(Ranges.ALL),
        "reload": lambda: _reload(running),
    }
    with contextlib.ExitStack() as doors:
        doors.enter_context(serving(control, handlers, running.log))
        doors.enter_context(exporting(relay.metrics, counters))
        engine = running.engine
        ways = doors.enter_context(watching(engine.fans_out_in_kernel(), engine.destinations, engine.set_ways))
        if ways is not None:
            running.changed = ways.look_again
        if relay.api is not None:
            # Only here: a relay without leases starts without a web server in its memory.
            from lanecast_relay.api import serving_leases

            doors.enter_context(serving_leases(running, relay.api))
        yield


def _reload(running: RunningRelay) -> dict[str, Any]:
    try:
        return {"changes": running.reload("control socket")}
    except NotReloaded as problem:
        return {"mistakes": problem.mistakes, "refused": problem.refused}
    except OSError as error:
        return {"mistakes": [error.strerror or str(error)], "refused": True}


class _Hangups:
    """What SIGHUP asks for, on a thread of its own: it reads files, and a disk that hangs must not end the relay."""

    def __init__(self, running: RunningRelay) -> None:
        self._running = running
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="relay-hangup", daemon=True).start()

    def ask(self) -> None:
        self._running.rotate_audit_log()
        self._asked.put(None)

    def _serve(self) -> None:
        while True:
            self._asked.get()
            try:
                self._running.reload("SIGHUP", patience_s=threading.TIMEOUT_MAX)
            except NotReloaded:
                pass  # Every mistake stands in the log.
            except Exception as error:
                # Whatever it was, the next hangup is heard.
                self._running.log.error("not reloaded", by="SIGHUP", mistake=unexpected(error))


def _until_told_to_end(running: RunningRelay, losses: LossLog, positions: Positions) -> signal.Signals:
    """Nothing here waits for a disk: who is told by the watchdog that the relay lives would end it."""
    hangups = _Hangups(running)
    watchdog = watchdog_s()
    longest_s = CHECK_S if watchdog is None else min(CHECK_S, watchdog / 2)
    wait_s = longest_s
    while True:
        received = signal.sigtimedwait(SIGNALS, wait_s)
        if received is not None and received.si_signo in ENDING:
            return signal.Signals(received.si_signo)
        if received is not None:
            hangups.ask()
        next_s = running.sweep()
        counters = running.engine.counters(Ranges.NEW)  # the packet thread answered: it lives
        losses.update(counters)
        positions.follow(counters)
        if watchdog is not None:
            notify("WATCHDOG=1")
        wait_s = longest_s if next_s is None else min(longest_s, next_s)


def _announce(relay: RelayFile, engine: Engine) -> None:
    """Say on stdout, and to the service manager, that every socket is open and joined."""
    streams = [{"feed": stream["feed"], "channel": stream["channel"]} for stream in engine.counters()["streams"]]
    ready = {"ready": True, "name": relay.name, "streams": streams, "control_socket": relay.control_socket}
    print(json.dumps(ready), flush=True)
    notify("READY=1")
