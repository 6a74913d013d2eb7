"""Writing the audit log from a thread of its own: a disk that hangs holds up those who wait for it, and nobody else."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from lanecast_relay.audit import AuditLog, AuditLogInUse, Record, moment

ALIVE_EVERY_S = 60.0
"""After a crash the report knows to within so long until when the relay was there."""

AGAIN_AFTER_S = 1.0
"""How long after a failure what waits is tried again, when nothing new comes before."""

RECORDED_WITHIN_S = 3.0
"""How long somebody waits for a record to be on the disk."""

PENDING_RECORDS = 10_000
"""How many records wait in memory while the disk takes none."""


class Log(Protocol):
    """What is needed of a structlog logger."""

    def info(self, event: str, **fields: object) -> object: ...
    def error(self, event: str, **fields: object) -> object: ...


@dataclass(slots=True, eq=False)
class Awaited:
    """A record that somebody waits for: on the disk, or not at all."""

    record: Record
    given_up: bool = False
    """Too late for who waited; it is written as any other."""
    over: bool = False
    error: OSError | None = None


@dataclass(slots=True)
class _Work:
    head: list[Record] | None
    """What a new file begins with, when one is asked for."""
    last: bool


class AuditWriter:
    """Everything here may be called from any thread; nothing but :meth:`wait` and :meth:`close` waits for the disk."""

    def __init__(self, log: AuditLog, to_log: Log) -> None:
        self._log = log
        self._to_log = to_log
        self._changed = threading.Condition()
        self._pending: deque[Record | Awaited] = deque()
        self._head: list[Record] | None = None
        self._fresh = False
        self._ending = False
        self._missed = 0
        self._failing = False
        self._busy_since_s: float | None = None
        self._alive_at_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="relay-audit", daemon=True)
        self._thread.start()

    def put(self, *records: Record) -> None:
        """Have ``records`` written, as soon as the disk takes them."""
        with self._changed:
            self._add(*records)

    def ask(self, record: Record) -> Awaited:
        """Have ``record`` written or thrown away; :meth:`wait` tells which. Raises ``OSError`` while the disk hangs."""
        with self._changed:
            since_s = self._busy_since_s
            if since_s is not None and time.monotonic() - since_s > RECORDED_WITHIN_S:
                raise _hangs()
            awaited = Awaited(record)
            self._add(awaited)
            return awaited

    def _add(self, *records: Record | Awaited) -> None:
        self._pending.extend(records)
        self._limit()
        self._fresh = True
        self._changed.notify_all()

    def wait(self, awaited: Awaited) -> None:
        """Until it is on the disk. Raises ``OSError`` when it is not; with ``given_up`` it may be later."""
        with self._changed:
            if not self._changed.wait_for(lambda: awaited.over, RECORDED_WITHIN_S):
                awaited.given_up = True
                raise _hangs()
            if awaited.error is not None:
                raise awaited.error

    def go_on_in_new_file(self, head: list[Record]) -> None:
        """When another program has put the file away: a new one, which begins with ``head``."""
        with self._changed:
            self._head = head
            self._changed.notify_all()

    def close(self) -> None:
        """Write what waits, once; then the file is closed, unless the disk hangs."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(RECORDED_WITHIN_S)
        if self._thread.is_alive():
            self._to_log.error("audit log does not end: its disk hangs", unwritten=len(self._pending))
            return
        self._to_log.info("audit log ends", previous=self._log.previous, unwritten=len(self._pending))
        self._log.close()

    def _run(self) -> None:
        while True:
            work = self._wait_for_work()
            if work.head is not None:
                self._rotate(work.head)
            batch, missed = self._take()
            if batch:
                self._settle(batch, missed, self._append(batch, missed))
            if work.last:
                return

    def _wait_for_work(self) -> _Work:
        with self._changed:
            self._busy_since_s = None
            alive_s = self._alive_at_s + ALIVE_EVERY_S - time.monotonic()
            wait_s = AGAIN_AFTER_S if self._pending else max(0.0, alive_s)
            self._changed.wait_for(lambda: self._fresh or self._ending or self._head is not None, wait_s)
            if not self._pending and self._alive_at_s + ALIVE_EVERY_S <= time.monotonic():
                self._pending.append({"event": "alive", "at": moment(time.time())})
            work = _Work(self._head, self._ending)
            self._head, self._fresh = None, False
            self._busy_since_s = time.monotonic()
            return work

    def _rotate(self, head: list[Record]) -> None:
        try:
            if not self._log.moved():
                return
            self._log.reopen()
        except (OSError, AuditLogInUse) as error:
            self._to_log.error("audit log cannot be opened anew; the old one goes on", reason=str(error))
            return
        self._to_log.info("audit log goes on in a new file", previous=self._log.previous)
        with self._changed:
            self._pending.extendleft(reversed(head))

    def _take(self) -> tuple[list[Record | Awaited], int]:
        """What waits, and how many were thrown away before it: while this is written, there may be more."""
        with self._changed:
            batch = list(self._pending)
            self._pending.clear()
            return batch, self._missed

    def _append(self, batch: list[Record | Awaited], missed: int) -> OSError | None:
        head = [{"event": "missed", "records": missed}] if missed else []
        records = [each.record if isinstance(each, Awaited) else each for each in batch]
        try:
            self._log.append([*head, *records])
        except OSError as error:
            return error
        return None

    def _settle(self, batch: list[Record | Awaited], missed: int, error: OSError | None) -> None:
        """Tell those who wait; what was not written and still has to be, waits on."""
        with self._changed:
            kept = []
            for each in batch:
                if error is not None and not (isinstance(each, Awaited) and not each.given_up):
                    kept.append(each)
                elif isinstance(each, Awaited):
                    each.over, each.error = True, error
            self._pending.extendleft(reversed(kept))
            if error is None:
                self._recovered(len(batch), missed)
            else:
                self._fails(error)
            self._changed.notify_all()

    def _recovered(self, written: int, missed: int) -> None:
        if self._failing:
            self._to_log.info("audit log is written again", waited=written, missed=missed)
        self._missed, self._failing = self._missed - missed, False
        self._alive_at_s = time.monotonic()

    def _fails(self, error: OSError) -> None:
        self._limit()
        if not self._failing:
            self._to_log.error("audit log cannot be written", reason=str(error), waiting=len(self._pending))
        self._failing = True

    def _limit(self) -> None:
        while len(self._pending) > PENDING_RECORDS:
            oldest = self._pending.popleft()
            self._missed += 1
            if isinstance(oldest, Awaited):
                oldest.over, oldest.error = True, _hangs()


def _hangs() -> OSError:
    return OSError(errno.ETIMEDOUT, "the audit log's disk does not answer")
