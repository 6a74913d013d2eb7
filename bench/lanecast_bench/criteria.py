"""What the relay is held to, judged within one run: ratios of medians over the rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from lanecast_bench.results import Cell, Measurement, Run, Scenario
from lanecast_bench.suites import CME, FANOUTS, MIAX


def edge_pps(measurement: Measurement) -> float:
    """The highest rate that passed, in messages a second into the relay."""
    return float(measurement.rate_pps)


def out_pps(measurement: Measurement) -> float:
    """Messages a second that came through to all receivers."""
    return measurement.trial.out_pps if measurement.trial else 0.0


def p50_us(measurement: Measurement) -> float:
    """Median latency in microseconds."""
    return measurement.trial.latency_ns.p50 / 1000 if measurement.trial else 0.0


def p99_us(measurement: Measurement) -> float:
    """The latency that 99 % kept, in microseconds."""
    return measurement.trial.latency_ns.p99 / 1000 if measurement.trial else 0.0


Figure = Callable[[Measurement], float]
FIGURES: dict[Scenario, tuple[tuple[str, Figure], ...]] = {
    Scenario.PLAIN: (("lossless input, messages/s", edge_pps),),
    Scenario.ARBITRATE: (("exactly-once input, messages/s", edge_pps),),
    Scenario.LATENCY: (("p50, µs", p50_us), ("p99, µs", p99_us)),
    Scenario.OVERLOAD: (("came through, messages/s", out_pps),),
}
"""What each scenario measures, and what it is called."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, and their least and greatest."""

    median: float
    least: float
    greatest: float
    rounds: int


def spread(run: Run, cell: Cell, figure: Figure) -> Spread | None:
    """A figure over the rounds that could be measured; None when none could."""
    values = [figure(each) for each in run.of(cell) if each.trial is not None]
    return Spread(median(values), min(values), max(values), len(values)) if values else None


@dataclass(frozen=True, slots=True)
class Criterion:
    """``relay`` against ``baseline``: the ratio of their figures is at least ``bound``, or at most it."""

    scenario: Scenario
    relay: str
    baseline: str
    fanout: int
    mix: str
    figure: int
    bound: float
    at_most: bool = False

    @property
    def text(self) -> str:
        """What is asked, in words."""
        name, _ = FIGURES[self.scenario][self.figure]
        sign = "≤" if self.at_most else "≥"
        asked = f"{self.relay} {sign} {self.bound:g} × {self.baseline}"
        return f"{self.scenario.value}, fan-out {self.fanout}, {name}: {asked}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """``ratio`` and ``passed`` are None where the run has not measured both."""

    criterion: Criterion
    ratio: float | None
    passed: bool | None


def _at_least(scenario: Scenario, relay: str, baseline: str, fanouts: tuple[int, ...], bound: float) -> list[Criterion]:
    mix = MIAX if scenario is Scenario.OVERLOAD else CME
    return [Criterion(scenario, relay, baseline, fanout, mix, 0, bound) for fanout in fanouts]


CRITERIA = (
    *_at_least(Scenario.PLAIN, "lanecast", "ref-gso-bigbuf", FANOUTS, 1.0),
    *_at_least(Scenario.PLAIN, "lanecast", "socat", (64,), 8.0),
    *_at_least(Scenario.PLAIN, "lanecast", "python", (64,), 2.0),
    *_at_least(Scenario.PLAIN, "lanecast-journal", "lanecast", FANOUTS, 0.85),
    *_at_least(Scenario.ARBITRATE, "lanecast", "arb-gso", FANOUTS, 1.0),
    *_at_least(Scenario.ARBITRATE, "lanecast-journal", "lanecast", FANOUTS, 0.85),
    *_at_least(Scenario.ARBITRATE, "lanecast-kernel", "arb-gso", (8, 64), 1.3),
    Criterion(Scenario.LATENCY, "lanecast", "ref-gso-bigbuf", 64, CME, 0, 1.0, at_most=True),
    Criterion(Scenario.LATENCY, "lanecast", "ref-gso-bigbuf", 64, CME, 1, 1.0, at_most=True),
    *_at_least(Scenario.OVERLOAD, "lanecast-mold", "lanecast", (64,), 4.0),
)


def judge(run: Run) -> list[Judgement]:
    """Every criterion against a run."""
    return [_judge(run, criterion) for criterion in CRITERIA]


def _judge(run: Run, criterion: Criterion) -> Judgement:
    _, figure = FIGURES[criterion.scenario][criterion.figure]
    ours, theirs = (
        spread(run, Cell(scenario=criterion.scenario, relay=name, fanout=criterion.fanout, mix=criterion.mix), figure)
        for name in (criterion.relay, criterion.baseline)
    )
    if ours is None or theirs is None or not theirs.median:
        return Judgement(criterion, None, None)
    ratio = ours.median / theirs.median
    return Judgement(criterion, ratio, ratio <= criterion.bound if criterion.at_most else ratio >= criterion.bound)
