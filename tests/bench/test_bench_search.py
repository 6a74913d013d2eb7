"""The search finds the edge of whatever passes below a rate, and counts what proves something."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from lanecast_bench.search import DISTURBED_FACTOR, FIRST_GROWTH, KNOWN_GROWTH, LEAST_RATE_PPS, Limits, find_edge


@dataclass(frozen=True)
class Outcome:
    good: bool
    disturbed: bool = False


@given(
    edge=st.integers(LEAST_RATE_PPS, 2_000_000),
    start=st.integers(LEAST_RATE_PPS, 2_000_000),
    step=st.floats(0.01, 0.3),
    growth=st.sampled_from([FIRST_GROWTH, KNOWN_GROWTH]),
)
def test_the_edge_of_a_monotone_relay_is_found_within_the_step(
    edge: int, start: int, step: float, growth: float
) -> None:
    limits = Limits(start_pps=start, step=step, tries=1, most_rates=200, growth=growth)
    found = find_edge(lambda rate: Outcome(rate <= edge), lambda outcome: outcome.good, limits)
    if found.best is None:  # halving from above went below what is looked for
        assert edge < LEAST_RATE_PPS * growth
        return
    assert found.rate_pps <= edge
    assert edge - found.rate_pps <= max(1, step * (edge + 1) / (1 - step))


def test_a_relay_that_passes_nothing_has_no_edge() -> None:
    found = find_edge(lambda rate: Outcome(False), lambda outcome: outcome.good, Limits(start_pps=1000, tries=2))
    assert found.best is None
    assert found.rate_pps == 0


def test_the_number_of_rates_is_bounded() -> None:
    tried: list[int] = []

    def trial(rate: int) -> Outcome:
        tried.append(rate)
        return Outcome(True)

    find_edge(trial, lambda outcome: outcome.good, Limits(start_pps=1000, most_rates=4))
    assert tried == [1000, 2000, 4000, 8000]


def test_a_failure_that_was_disturbed_does_not_count() -> None:
    outcomes = iter([Outcome(False, True), Outcome(False), Outcome(False, True), Outcome(True)])
    limits = Limits(start_pps=1000, tries=2, most_rates=1)
    found = find_edge(lambda rate: next(outcomes), lambda outcome: outcome.good, limits)
    assert found.rate_pps == 1000
    assert len(found.trials) == 4


def test_a_machine_that_is_always_disturbed_ends_the_search() -> None:
    limits = Limits(start_pps=1000, tries=2, most_rates=1)
    found = find_edge(lambda rate: Outcome(False, True), lambda outcome: outcome.good, limits)
    assert found.best is None
    assert len(found.trials) == 2 * DISTURBED_FACTOR
