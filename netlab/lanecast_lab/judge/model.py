"""A verdict: what a run measured against what the plan promises, in the shape of verdict.json (design, "The lab")."""

from __future__ import annotations

from dataclasses import dataclass, field

from lanecast_lab.errors import LabError

Number = float | str | None

MILLISECOND_NS = 1_000_000

RANGES_SHOWN = 100
"""How many ranges of missing numbers a verdict lists; their count is always whole."""


class RunInvalid(LabError):
    """The judge's own means failed, so that nothing can be said of the network: exit status 2."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("the run cannot be judged:\n" + "\n".join(f"  {reason}" for reason in reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Check:
    """One promise or expectation. ``passed`` is None where the run does not show it, one way or the other."""

    name: str
    passed: bool | None
    wanted: Number
    measured: Number
    unit: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive numbers of one epoch, both ends included."""

    epoch: str
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        numbers = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.epoch.strip()}:{numbers}" if self.epoch.strip() else numbers


@dataclass(frozen=True, slots=True)
class SubscriberResult:
    """What became of one stream at one instance. Every message is either received or missing.

    A message is *received* when a copy of it arrived at all. ``duplicated`` counts the copies after the first,
    ``corrupted`` the copies whose bytes are not those sent, ``out_of_order`` the intact messages that arrived after a
    later one, ``unexpected`` the datagrams on the stream's port that hold something else.
    """

    name: str
    """The instance."""
    feed: str
    stream: str
    expected: int
    received: int
    intact: int
    """Received with the bytes that were sent."""
    duplicated: int
    out_of_order: int
    corrupted: int
    unexpected: int
    only_on: dict[str, int]
    """Messages that the exchange sent on one line alone."""
    recovered: int
    """Messages that the exchange sent on no line and that are there intact: they came from a re-request server."""
    never_sent: tuple[Range, ...]
    """Missing because the exchange's egress lost them on every line."""
    lost_on_the_way: tuple[Range, ...]
    latencies_ns: tuple[int, ...]
    """Of the intact messages, sorted."""
    undisturbed_ns: tuple[int, ...]
    """The same without the time in which the machine under the lab stood still, sorted."""

    @property
    def missing(self) -> int:
        """Messages of which no copy arrived."""
        return self.expected - self.received

    @property
    def faultless(self) -> bool:
        """Whether every message arrived once, in order, unchanged."""
        return not (self.missing or self.duplicated or self.out_of_order or self.corrupted)


@dataclass(frozen=True, slots=True)
class Unexpected:
    """Datagrams that an instance had no reason to receive."""

    instance: str
    port: int
    what: str
    count: int


@dataclass(frozen=True, slots=True)
class RecoveryServer:
    """What one re-request server of an exchange was asked and answered."""

    exchange: str
    server: str
    requests: int
    answered: int
    messages: int
    """In all answers together; relays ask each for themselves."""
    unanswered: dict[str, int]
    """Requests by why they got no answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was injected, and what it did."""

    name: str
    at_ms: float
    failover_ms: float
    lost: int


@dataclass(slots=True)
class Timings:
    """How long each part of the run took, in seconds."""

    build_s: float = 0
    converge_s: float = 0
    traffic_s: float = 0
    teardown_s: float = 0


@dataclass(slots=True)
class Verdict:
    """A run's outcome; whoever runs the lab adds checks, faults, notes and timings of its own."""

    plan: str
    seed: int
    checks: list[Check] = field(default_factory=list)
    subscribers: list[SubscriberResult] = field(default_factory=list)
    unexpected: list[Unexpected] = field(default_factory=list)
    recovery: list[RecoveryServer] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    timings: Timings = field(default_factory=Timings)

    @property
    def passed(self) -> bool:
        """Whether no check is false; what the run did not show does not count against it."""
        return all(check.passed is not False for check in self.checks)


def percentile(sorted_values: tuple[int, ...], percent: int, out_of: int | None = None) -> int | None:
    """The nearest-rank percentile; with ``out_of`` above the number of values, the absent ones rank last.

    None when the rank falls on an absent value.
    """
    total = len(sorted_values) if out_of is None else out_of
    rank = max(1, -(-percent * total // 100))
    return sorted_values[rank - 1] if rank <= len(sorted_values) else None
