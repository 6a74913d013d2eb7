"""Following who receives what, and recording it: subscribers of the file, and leases."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lanecast_relay.access.leases import Lease
from lanecast_relay.audit import COUNTED, AuditLog, Record, moment
from lanecast_relay.audit_writer import AuditWriter, Awaited, Log
from lanecast_relay.config.model import RelayFile, Subscriber

Counters = dict[str, Any]
Sent = dict[str, int]
"""By the names of :data:`COUNTED`."""

Answered = dict[tuple[str, str, int, str], tuple[int, int]]
"""By feed, channel, stream and epoch: the lowest and the highest number in answers."""


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
    before: Sent = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    """What the engine's counters said at the start."""
    answered_before: Answered = field(default_factory=dict)
    """What the engine's ranges were at the start, of outputs that are still open."""
    answered: Answered = field(default_factory=dict)
    """Of outputs that were closed meanwhile."""

    def keep(self, last: _Counted) -> None:
        """Outputs were closed: what they have sent until now is no longer in the counters."""
        self.before = {each: self.before[each] - last.sent[each] for each in COUNTED}
        self.answered = _joined(self.answered, self._since(last.answered))
        # The range of an output that is opened in their place begins anew.
        self.answered_before = {key: it for key, it in self.answered_before.items() if key not in last.answered}

    def _since(self, answered: Answered) -> Answered:
        """Without the ranges that have not grown: an earlier interval told them."""
        return {key: it for key, it in answered.items() if self.answered_before.get(key) != it}

    def record(self, event: str) -> Record:
        return {"event": event, "id": self.id, "from": self.from_, **self.receiving.record()}

    def closed(self, at: str, reason: str, sent: Sent, answered: Answered) -> Record:
        """``sent`` is what the counters say now."""
        counts = {name: sent[name] - self.before[name] for name in COUNTED}
        ranges = [
            {"feed": feed, "channel": channel, "stream": stream, "epoch": epoch, "first": first, "last": last}
            for (feed, channel, stream, epoch), (first, last) in _joined(self.answered, self._since(answered)).items()
        ]
        return self.record("closed") | {"until": at, "reason": reason, **counts, "answered": ranges}


@dataclass(frozen=True, slots=True)
class Promised:
    """A lease that is being recorded, and not given yet."""

    interval: _Interval
    awaited: Awaited


@dataclass(frozen=True, slots=True)
class _Counted:
    """A subscriber's counters."""

    sent: Sent = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    answered: Answered = field(default_factory=dict)

    @classmethod
    def of(cls, one: Counters) -> _Counted:
        keys = [(each["feed"], each["channel"], each["stream"], each["epoch"]) for each in one["answered"]]
        ranges = [(each["first"], each["last"]) for each in one["answered"]]
        return cls({name: one[name] for name in COUNTED}, dict(zip(keys, ranges, strict=True)))


def _joined(first: Answered, second: Answered) -> Answered:
    joined = dict(first)
    for key, (lowest, highest) in second.items():
        before = joined.get(key, (lowest, highest))
        joined[key] = (min(lowest, before[0]), max(highest, before[1]))
    return joined


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
    """Records changes, where there is a log. A disk that fails or hangs costs no forwarding: records wait in memory."""

    log: AuditLog | None
    to_log: Log
    relay: str
    _writer: AuditWriter | None = None
    _open: dict[str, _Interval] = field(default_factory=dict)

    def start(self, now: Mapping[str, Receiving]) -> None:
        """The relay starts, and ``now`` receives. Raises ``OSError``: one that cannot record does not start."""
        at = moment(time.time())
        self._open = {name: _Interval(secrets.token_hex(8), one, at) for name, one in now.items()}
        if self.log is None:
            return
        self.to_log.info("audit log begins", file=str(self.log.path), previous=self.log.previous)
        started = {"event": "started", "at": at, "relay": self.relay}
        self.log.append([started, *(one.record("opened") for one in self._open.values())])
        self._writer = AuditWriter(self.log, self.to_log)

    def promise(self, lease: Lease) -> Promised:
        """Have a lease recorded before it receives anything. Raises ``OSError`` when that cannot be now.

        To be followed by :meth:`wait`, and then by :meth:`keep` or :meth:`withdraw`.
        """
        interval = _Interval(secrets.token_hex(8), of_lease(lease), moment(time.time()))
        return Promised(interval, self._asked().ask(interval.record("opened")))

    def wait(self, promised: Promised) -> None:
        """Until it is recorded. Raises ``OSError``: what is not recorded is not given."""
        self._asked().wait(promised.awaited)

    def _asked(self) -> AuditWriter:
        if self._writer is None:
            raise OSError("there is no audit log")
        return self._writer

    def keep(self, promised: Promised) -> None:
        """The lease receives from now on."""
        self._open[promised.interval.receiving.name] = promised.interval

    def withdraw(self, promised: Promised, reason: str) -> None:
        """The lease is not given after all. One whose record was thrown away leaves no trace."""
        if promised.awaited.error is None:
            self._open.pop(promised.interval.receiving.name, None)
            nothing = _Counted()
            self._put(promised.interval.closed(moment(time.time()), reason, nothing.sent, nothing.answered))

    def follow(
        self,
        now: Mapping[str, Receiving],
        ended: Iterable[Counters],
        counters: Counters,
        reasons: Mapping[str, str],
        otherwise: str,
    ) -> None:
        """Record the difference to ``now``: ``ended`` and ``counters`` are the engine's, after the change."""
        at, none = moment(time.time()), _Counted()
        last = {one["name"]: _Counted.of(one) for one in ended}
        going = {one["name"]: _Counted.of(one) for one in counters["subscribers"]}
        for name, interval in list(self._open.items()):
            if (kept := last.get(name)) is not None:
                interval.keep(kept)
            if now.get(name) == interval.receiving:
                continue
            sent = going.get(name, none)
            self._put(interval.closed(at, reasons.get(name, otherwise), sent.sent, sent.answered))
            del self._open[name]
        for name, one in now.items():
            if name not in self._open:
                counted = going.get(name, none)
                self._open[name] = _Interval(secrets.token_hex(8), one, at, counted.sent, counted.answered)
                self._put(self._open[name].record("opened"))

    def _put(self, record: Record) -> None:
        if self._writer is not None:
            self._writer.put(record)

    def rotate(self) -> None:
        """Go on in a new file when another program has put the old one away. The new one tells who receives."""
        if self._writer is not None:
            head: Record = {"event": "continued", "at": moment(time.time()), "relay": self.relay}
            self._writer.go_on_in_new_file([head, *(one.record("going-on") for one in self._open.values())])

    def stop(self, counters: Counters) -> None:
        """The relay has drained: everybody's interval ends."""
        self.follow({}, [], counters, {}, "relay stopped")
        self._put({"event": "stopped", "at": moment(time.time())})
        if self._writer is not None:
            self._writer.close()
