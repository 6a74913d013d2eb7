"""Finds the highest rate that passes, to within a step: up or down until it lies between two rates, then halfway.

A rate passes in the best of its tries. A failed try that other work disturbed does not count, and is repeated while
there are fewer than :data:`DISTURBED_FACTOR` times the tries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

DISTURBED_FACTOR = 3
LEAST_RATE_PPS = 50
"""Below this no relay is looked for."""

FIRST_GROWTH = 2.0
KNOWN_GROWTH = 1.25
"""The first steps' factor when nothing is known of the relay, and when the search starts at its last known edge."""


class Outcome(Protocol):
    """What a search has to know of a trial."""

    @property
    def disturbed(self) -> bool:
        """A failure of it proves nothing."""


Result = TypeVar("Result", bound=Outcome)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a search starts and when it ends. ``step``: the share by which the edge may be too low."""

    start_pps: int
    step: float = 0.06
    tries: int = 3
    most_rates: int = 14
    growth: float = FIRST_GROWTH


@dataclass(slots=True)
class Edge(Generic[Result]):
    """The highest rate that passed, its trial, and every trial on the way; None where no rate passed."""

    rate_pps: int = 0
    best: Result | None = None
    trials: list[Result] = field(default_factory=list)


def find_edge(trial: Callable[[int], Result], passed: Callable[[Result], bool], limits: Limits) -> Edge[Result]:
    """Search upwards or downwards from the start, then between the highest pass and the lowest failure."""
    edge: Edge[Result] = Edge()
    rate, failed_at = max(LEAST_RATE_PPS, limits.start_pps), 0
    for _ in range(limits.most_rates):
        good = _try(trial, passed, rate, limits.tries, edge.trials)
        if good is not None:
            edge.rate_pps, edge.best = rate, good
        else:
            failed_at = rate
        if not failed_at:
            rate = max(rate + 1, round(rate * limits.growth))
        elif edge.best is None:
            rate = int(rate / limits.growth)
            if rate < LEAST_RATE_PPS:
                break
        elif (failed_at - edge.rate_pps) / failed_at < limits.step or failed_at - edge.rate_pps <= 1:
            break
        else:
            rate = (edge.rate_pps + failed_at) // 2
    return edge


def _try(
    trial: Callable[[int], Result],
    passed: Callable[[Result], bool],
    rate_pps: int,
    tries: int,
    record: list[Result],
) -> Result | None:
    """The first trial that passes; None once enough undisturbed ones failed."""
    failures = 0
    for _ in range(DISTURBED_FACTOR * tries):
        result = trial(rate_pps)
        record.append(result)
        if passed(result):
            return result
        failures += not result.disturbed
        if failures == tries:
            break
    return None
