"""Following who receives what, and recording it: subscribers of the file, and leases."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lanecast_relay.access.leases import Lease
from lanecast_relay.audit import AuditLog, AuditLogInUse, Record, moment
from lanecast_relay.config.model import RelayFile, Subscriber

ALIVE_EVERY_S = 60.0
"""After a crash the report knows to within so long until when the relay was there."""

PENDING_RECORDS = 10_000
"""How many records wait in memory while the disk takes none."""

Counters = dict[str, Any]
Sent = tuple[int, int]
"""Datagrams and bytes."""


class Log(Protocol):
    """What is needed of a structlog logger."""

    def info(self, event: str, **fields: object) -> object: ...
    def error(self, event: str, **fields: object) -> object: ...


@dataclass(frozen=True, slots=True)
class Receiving:
    """Who receives what, as it stands in the log."""

    name: str
    delivery: str
    outputs: tuple[tuple[str, str, str], ...]
    """Feed, channel, address."""
    lease: str | None = None
    issuer: str | None = None
    subject: str | None = None
    token: str | None = None
    """A hash of the token's ``jti``."""

    def record(self) -> Record:
        """As fields of a line."""
        outputs = [{"feed": feed, "channel": channel, "to": to} for feed, channel, to in self.outputs]
        more = {} if self.lease is None else {"issuer": self.issuer, "subject": self.subject, "token": self.token}
        kind = "subscriber" if self.lease is None else "lease"
        return {"kind": kind, "subscriber": self.name, **more, "delivery": self.delivery, "outputs": outputs}


@dataclass(slots=True)
class _Interval:
    id: str
    receiving: Receiving
    from_: str
    before: Sent = (0, 0)
    """What the engine's counters said at the start."""

    def record(self, event: str) -> Record:
        return {"event": event, "id": self.id, "from": self.from_, **self.receiving.record()}


def receiving(relay: RelayFile, leases: Mapping[str, Lease]) -> dict[str, Receiving]:
    """Everybody who receives, by the name that the counters use."""
    everybody = [_of(name, subscriber) for name, subscriber in relay.subscribers.items()]
    everybody += [of_lease(lease) for lease in leases.values()]
    return {one.name: one for one in everybody}


def of_lease(lease: Lease) -> Receiving:
    """A lease's holder."""
    token = hashlib.sha256(lease.claims.jti.encode()).hexdigest()[:16]
    return _of(lease.name, lease.subscriber(), lease.id, lease.claims.iss, lease.claims.sub, token)


def _of(name: str, subscriber: Subscriber, *lease: str) -> Receiving:
    outputs = tuple(
        (feed, channel, str(to)) for feed, channels in subscriber.feeds.items() for channel, to in channels.items()
    )
    return Receiving(name, subscriber.delivery.value, outputs, *lease)


@dataclass(slots=True)
class AuditTrail:
    """Records changes, where there is a log. One that fails costs no forwarding: what it lacks waits in memory."""

    log: AuditLog | None
    to_log: Log
    relay: str
    _open: dict[str, _Interval] = field(default_factory=dict)
    _pending: deque[Record] = field(default_factory=deque)
    _missed: int = 0
    _failing: bool = False
    _alive_at_s: float = 0.0

    def start(self) -> None:
        """The relay starts. Raises ``OSError``: one that cannot record does not start."""
        if self.log is not None:
            self.to_log.info("audit log begins", file=str(self.log.path), previous=self.log.previous)
            self.log.append([{"event": "started", "at": moment(time.time()), "relay": self.relay}])
            self._alive_at_s = time.monotonic()

    def open_lease(self, lease: Lease) -> None:
        """Record a lease before it receives anything. Raises ``OSError``: what is not recorded is not given."""
        if self.log is None:
            raise OSError("there is no audit log")
        interval = _Interval(secrets.token_hex(8), of_lease(lease), moment(time.time()))
        self._pending.append(interval.record("opened"))
        try:
            self._write()
        except OSError:
            self._pending.pop()
            raise
        self._open[lease.name] = interval

    def follow(
        self,
        now: Mapping[str, Receiving],
        ended: Iterable[Counters],
        counters: Counters,
        reasons: Mapping[str, str],
        otherwise: str,
    ) -> None:
        """Record the difference to ``now``: ``ended`` and ``counters`` are the engine's, after the change."""
        at = moment(time.time())
        last = {one["name"]: (one["datagrams"], one["bytes"]) for one in ended}
        going = {one["name"]: (one["datagrams"], one["bytes"]) for one in counters["subscribers"]}
        for name, interval in list(self._open.items()):
            kept, sent = last.get(name, (0, 0)), going.get(name, (0, 0))
            if now.get(name) == interval.receiving:
                # What an output that was opened anew has sent until now is no longer in its counters.
                interval.before = (interval.before[0] - kept[0], interval.before[1] - kept[1])
                continue
            datagrams = kept[0] + sent[0] - interval.before[0]
            sent_bytes = kept[1] + sent[1] - interval.before[1]
            reason = reasons.get(name, otherwise)
            end = {"until": at, "reason": reason, "datagrams": datagrams, "bytes": sent_bytes}
            self._pending.append(interval.record("closed") | end)
            del self._open[name]
        for name, one in now.items():
            if name not in self._open:
                self._open[name] = _Interval(secrets.token_hex(8), one, at, going.get(name, (0, 0)))
                self._pending.append(self._open[name].record("opened"))
        self.tick()

    def tick(self) -> None:
        """Write what waits, and now and then that the relay is there."""
        if self.log is None:
            self._pending.clear()
            return
        now_s = time.monotonic()
        if not self._pending and now_s - self._alive_at_s < ALIVE_EVERY_S:
            return
        if not self._pending:
            self._pending.append({"event": "alive", "at": moment(time.time())})
        try:
            self._write()
        except OSError as error:
            self._fails(error)

    def _write(self) -> None:
        if self.log is None:
            return
        missed = [{"event": "missed", "records": self._missed}] if self._missed else []
        self.log.append([*missed, *self._pending])
        if self._failing:
            self.to_log.info("audit log is written again", waited=len(self._pending), missed=self._missed)
        self._pending.clear()
        self._missed, self._failing = 0, False
        self._alive_at_s = time.monotonic()

    def _fails(self, error: OSError) -> None:
        while len(self._pending) > PENDING_RECORDS:
            self._pending.popleft()
            self._missed += 1
        if not self._failing:
            self.to_log.error("audit log cannot be written", reason=str(error), waiting=len(self._pending))
        self._failing = True

    def rotate(self) -> None:
        """Go on in a new file when another program has put the old one away. The new one tells who receives."""
        if self.log is None or not self.log.moved():
            return
        try:
            self.log.reopen()
        except (OSError, AuditLogInUse) as error:
            self.to_log.error("audit log cannot be opened anew; the old one goes on", reason=str(error))
            return
        self.to_log.info("audit log goes on in a new file", previous=self.log.previous)
        head: Record = {"event": "continued", "at": moment(time.time()), "relay": self.relay}
        self._pending.extendleft(reversed([head, *(one.record("going-on") for one in self._open.values())]))
        self.tick()

    def stop(self, counters: Counters) -> None:
        """The relay has drained: everybody's interval ends."""
        self.follow({}, [], counters, {}, "relay stopped")
        self._pending.append({"event": "stopped", "at": moment(time.time())})
        self.tick()
        if self.log is not None:
            self.to_log.info("audit log ends", previous=self.log.previous, unwritten=len(self._pending))
            self.log.close()
