"""A relay that runs, as far as it is controlled: its file, its leases, and changes to both, one at a time."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

from lanecast_relay.access.gate import Gate, NotAdmitted
from lanecast_relay.access.leases import (
    Lease,
    LeaseRefused,
    LeaseRequest,
    Leases,
    Rules,
    renewed,
    replaced,
    with_leases,
)
from lanecast_relay.access.secrets import SecretProblem
from lanecast_relay.access.tokens import Admitted
from lanecast_relay.audit_trail import AuditTrail, Promised, receiving
from lanecast_relay.config.document import DocumentError, UnreadableDocument, load_document, validate
from lanecast_relay.config.leases import Api
from lanecast_relay.config.model import RelayFile
from lanecast_relay.engine import Change, Counters, Engine
from lanecast_relay.locks import WAITED_S, held
from lanecast_relay.service import notify, reloading

NEEDS_A_RESTART: dict[str, Callable[[RelayFile], object]] = {
    "name": lambda relay: relay.name,
    "control-socket": lambda relay: relay.control_socket,
    "metrics": lambda relay: relay.metrics,
    "receive-buffer": lambda relay: relay.receive_buffer_bytes,
    "busy-wait": lambda relay: relay.busy_wait_ns,
    "fan-out": lambda relay: relay.fan_out,
    "journal": lambda relay: relay.journal,
    "api.listen": lambda relay: None if relay.api is None else relay.api.listen,
    "audit": lambda relay: relay.audit,
}
"""What is opened once, at the start."""


class Log(Protocol):
    """What is needed of a structlog logger."""

    def info(self, event: str, **fields: object) -> object: ...
    def warning(self, event: str, **fields: object) -> object: ...
    def error(self, event: str, **fields: object) -> object: ...


class NotReloaded(Exception):
    """Nothing has changed. ``refused``: the file is right, and the system said no."""

    def __init__(self, mistakes: list[str], refused: bool = False) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes
        self.refused = refused


def is_local(address: IPv4Address) -> bool:
    """Whether the address is one of this machine's now, or one of its networks' broadcast addresses.

    A socket that is connected to an own address has that address, whatever may be bound (ip(7), ip_nonlocal_bind).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 1))
        except OSError as error:
            if error.errno == errno.EACCES:  # connect(2): a broadcast address
                return True
            if error.errno in NO_WAY_THERE:
                return False
            raise
        own: str = probe.getsockname()[0]
        return own == str(address)


NO_WAY_THERE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL)
"""What a route that leads nowhere says: none, unreachable, blackhole (ip-route(8))."""


@dataclass(slots=True)
class RunningRelay:
    """Everything here may be called from any thread; changes follow each other."""

    file: Path
    relay: RelayFile
    engine: Engine
    trail: AuditTrail
    log: Log
    gate: Gate | None
    cpu: int | None = None
    prepare_certificate: Callable[[Api], Callable[[], None]] | None = None
    """Reads the API's certificate anew and returns what puts it in place, without reading it a second time.

    Raises ``OSError``, ``ValueError`` or ``SecretProblem``.
    """
    changed: Callable[[], None] = lambda: None
    """Called when feeds or subscribers have changed."""
    _leases: Leases = field(default_factory=dict)
    _promised: Leases = field(default_factory=dict)
    """Leases that are being recorded; their addresses are taken."""
    _lock: threading.RLock = field(default_factory=threading.RLock)
    """Never held while a disk is waited for: who looks after leases and the service manager takes it every second."""
    _gate_lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while somebody is admitted, so that no code is taken twice. Taken after ``_lock``, where both are."""
    _reloading: threading.Lock = field(default_factory=threading.Lock)
    """Held while the file is read anew. Taken before the others."""

    def admit(self, source: str, token: str, code: str, with_code: bool) -> Admitted:
        """See :meth:`Gate.admit`. Raises ``OSError`` when a used code cannot be remembered."""
        with self._gate_lock:
            if self.gate is None:
                raise NotAdmitted("the file has no api section")
            admitted, used = self.gate.admit(source, token, code, with_code)
        if used is not None:
            used.save()
        return admitted

    def started(self) -> None:
        """Record who receives from the start. Raises ``OSError`` when it cannot be recorded."""
        with self._lock:
            self.trail.start(receiving(self.relay, {}))

    def stopped(self, last: Counters) -> None:
        """Record that all have ended."""
        with self._lock:
            self._leases = {}
            self.trail.stop(last)

    def leases(self) -> list[Lease]:
        """All of them."""
        with self._lock:
            return list(self._leases.values())

    def rotate_audit_log(self) -> None:
        """Go on in a new audit log when another program has put the old one away."""
        with self._lock:
            self.trail.rotate()

    def reload(self, by: str, admitted: Admitted | None = None, patience_s: float = WAITED_S) -> list[Change]:
        """Read the file anew and go on with it; raise :class:`NotReloaded`, and then nothing has changed.

        The service manager hears of it as of a reload that it asked for (sd_notify(3), RELOADING=1). Raises
        :class:`NotAdmitted` when who asks, if it is by a token, is no longer admitted, and ``OSError`` when another
        reload has not ended within ``patience_s``.
        """
        with held(self._reloading, "another reload has not ended; it may wait for a disk", patience_s):
            if admitted is not None:
                with self._lock:
                    self._still_admitted(admitted)
            reloading()
            try:
                changes = self._reload()
            except NotReloaded as problem:
                for mistake in problem.mistakes:
                    self.log.error("not reloaded", by=by, mistake=mistake)
                raise
            finally:
                notify("READY=1")
            for change in changes:
                self.log.info("changed", by=by, **change)
            self.log.info("reloaded", by=by, changes=len(changes))
            return changes

    def _reload(self) -> list[Change]:
        """Whatever comes from a disk first, and then the change."""
        relay = self._read()
        gate, mistakes = None, _restarts(self.relay, relay)
        if relay.api is not None and not mistakes:
            gate, mistakes = Gate.of(relay.name, relay.api, self.gate)
        if mistakes:
            raise NotReloaded([f"{self.file}: {mistake}" for mistake in mistakes])
        try:
            prepare = None if relay.api is None else self.prepare_certificate
            put_in_place = None if prepare is None or relay.api is None else prepare(relay.api)
            changes = self._go_over_to(relay, gate)
        except (OSError, ValueError, SecretProblem) as error:
            raise NotReloaded([f"{self.file}: {error}"], refused=True) from None
        if put_in_place is not None:
            put_in_place()
        return changes

    def _go_over_to(self, relay: RelayFile, gate: Gate | None) -> list[Change]:
        """The change, as soon as no code that was used before it is good again after a crash that follows it."""
        while True:
            with self._lock, self._gate_lock:
                unsaved = None if gate is None or self.gate is None else gate.takes_over_from(self.gate)
                if unsaved is None:
                    changes = self._change_to(relay)
                    self.gate = gate
                    return changes
            unsaved.save()

    def _change_to(self, relay: RelayFile) -> list[Change]:
        rules, kept, reasons = Rules(relay, is_local), dict(self._leases), dict[str, str]()
        for lease in self._leases.values():
            if (reason := rules.lost(lease, kept.values(), time.time())) is not None:
                del kept[lease.id]
                reasons[lease.name] = reason
        return self._go_on(relay, kept, reasons, "reload")

    def _read(self) -> RelayFile:
        try:
            return validate(RelayFile, load_document(self.file))
        except UnreadableDocument as error:
            raise NotReloaded([str(error)], refused=True) from None
        except DocumentError as error:
            raise NotReloaded([str(problem) for problem in error.problems]) from None

    def _go_on(self, relay: RelayFile, leases: Leases, reasons: Mapping[str, str], otherwise: str) -> list[Change]:
        """The engine first: what it refuses has not happened."""
        reloaded = self.engine.reload(with_leases(relay, leases), self.cpu)
        self.relay, self._leases = relay, leases
        self.changed()
        counters = self.engine.counters()
        self.trail.follow(receiving(relay, leases), reloaded["ended"], counters, reasons, otherwise)
        return reloaded["changes"]

    def _still_admitted(self, admitted: Admitted) -> None:
        """Raise :class:`NotAdmitted` when a reload has taken back what a token was verified by, or it has ended."""
        reason = Rules(self.relay, is_local).withdrawn(admitted, time.time())
        if reason is not None:
            raise NotAdmitted(reason)

    def give(self, admitted: Admitted, request: LeaseRequest) -> Lease:
        """A lease. Raises :class:`LeaseRefused`, :class:`NotAdmitted` when the token was revoked since it was verified,
        and ``OSError`` when it cannot be recorded or sent."""
        with self._lock:
            self._still_admitted(admitted)
            self.sweep()
            rules, known = Rules(self.relay, is_local), {**self._leases, **self._promised}
            lease = rules.give(known, admitted, request, time.monotonic_ns(), time.time())
            if lease.id in self._leases:
                self._leases = {**self._leases, lease.id: lease}
                return lease
            if lease.id in self._promised:
                raise LeaseRefused(503, "the same lease is being given to who asked before: ask again")
            promised = self.trail.promise(lease)
            self._promised = {**self._promised, lease.id: lease}
        try:
            self.trail.wait(promised)
        except OSError as error:
            self._take_back(lease, promised, f"never sent: {error.strerror}")
            raise
        with self._lock:
            self._send(lease, promised)
            self.log.info("lease given", lease=lease.id, subject=lease.claims.sub, feed=request.feed)
            return lease

    def _send(self, lease: Lease, promised: Promised) -> None:
        """Start a lease that is recorded, when nothing that came meanwhile is against it."""
        leases = replaced(self._leases, lease)
        reasons = {it.name: "asked for anew" for it in self._leases.values() if it.id not in leases}
        reason = Rules(self.relay, is_local).lost(lease, leases.values(), time.time())
        if reason is not None:
            self._take_back(lease, promised, f"never sent: {reason}")
            self._still_admitted(lease.admitted)
            raise LeaseRefused(409, f"the relay's file changed meanwhile: {reason}")
        self.trail.keep(promised)
        try:
            self._go_on(self.relay, leases, reasons, "refused")
        except (OSError, ValueError):
            self._take_back(lease, promised, "never sent: the system refused it")
            raise
        self._promised = {id_: one for id_, one in self._promised.items() if id_ != lease.id}

    def _take_back(self, lease: Lease, promised: Promised, reason: str) -> None:
        with self._lock:
            self._promised = {id_: one for id_, one in self._promised.items() if id_ != lease.id}
            self.trail.withdraw(promised, reason)

    def renew(self, admitted: Admitted, lease_id: str) -> Lease:
        """Another period; raise :class:`LeaseRefused` and :class:`NotAdmitted`."""
        with self._lock:
            lease = self._own(admitted, lease_id)
            period_ns = self.relay.api.period_ns if self.relay.api is not None else 0
            fresh = renewed(lease, admitted.claims, period_ns, time.monotonic_ns(), time.time())
            self._leases = {**self._leases, lease_id: fresh}
            return fresh

    def end(self, admitted: Admitted, lease_id: str) -> None:
        """End a lease of one's own; raise :class:`LeaseRefused` and :class:`NotAdmitted`."""
        with self._lock:
            self._end({self._own(admitted, lease_id).id: "ended by its holder"})

    def own(self, admitted: Admitted) -> list[Lease]:
        """The leases of a token's holder; raise :class:`NotAdmitted`."""
        with self._lock:
            self._still_admitted(admitted)
            self.sweep()
            holder = (admitted.claims.iss, admitted.claims.sub)
            return [lease for lease in self._leases.values() if lease.holder == holder]

    def _own(self, admitted: Admitted, lease_id: str) -> Lease:
        self._still_admitted(admitted)
        self.sweep()
        lease = self._leases.get(lease_id)
        if lease is None or lease.holder != (admitted.claims.iss, admitted.claims.sub):
            raise LeaseRefused(404, "no such lease: it has ended, or it is another's")
        return lease

    def sweep(self) -> float | None:
        """End what is over. Returns after how many seconds the next lease is; None: there is none."""
        with self._lock:
            now_ns, wall_s = time.monotonic_ns(), time.time()
            reasons = {lease.id: lease.ended(now_ns, wall_s) for lease in self._leases.values()}
            over = {lease_id: reason for lease_id, reason in reasons.items() if reason is not None}
            if over:
                self._end(over)
            due = [lease.due_ns for lease in self._leases.values()]
            return max(0, min(due) - now_ns) / 1e9 if due else None

    def _end(self, over: Mapping[str, str]) -> None:
        kept = {lease_id: lease for lease_id, lease in self._leases.items() if lease_id not in over}
        reasons = {self._leases[lease_id].name: reason for lease_id, reason in over.items()}
        self._go_on(self.relay, kept, reasons, "ended")
        for name, reason in reasons.items():
            self.log.info("lease ended", lease=name, reason=reason)


def _restarts(before: RelayFile, after: RelayFile) -> list[str]:
    """What a reload cannot change."""
    return [f"{key}: changing it takes a restart" for key, of in NEEDS_A_RESTART.items() if of(before) != of(after)]
