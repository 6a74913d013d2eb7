"""What `make bench` measures, and how long that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lanecast_bench.measure import SEARCHED, measure
from lanecast_bench.namespaces import network
from lanecast_bench.relays import RELAYS, multicast_legs
from lanecast_bench.results import Cell, Measurement, Run, Scenario, Settings

CME, MIAX = "mix_cme", "mix_miax"
"""The sizes of real packets (``bench/mixes``): long enough to fragment batches, and short enough to be packed anew."""

FANOUTS = (1, 8, 64)
KNOWN_SEARCH_TRIALS, NEW_SEARCH_TRIALS = 10, 16
"""How many trials a search takes that starts at the last edge, and one that knows nothing: as measured."""

AROUND_TRIAL_S = 1.5
"""What a trial takes beside its sending: waiting for quiet, starting, and the sink's last look."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Cells that answer one question."""

    scenario: Scenario
    relays: tuple[str, ...]
    fanouts: tuple[int, ...]
    mix: str


SUITES = {
    "plain": Suite(
        Scenario.PLAIN, ("lanecast", "ref-gso-bigbuf", "python", "socat", "lanecast-kernel", "tc-clone"), FANOUTS, CME
    ),
    "journal": Suite(Scenario.PLAIN, ("lanecast", "lanecast-journal"), FANOUTS, CME),
    "arbitrate": Suite(
        Scenario.ARBITRATE, ("lanecast", "arb-gso", "lanecast-journal", "lanecast-kernel"), FANOUTS, CME
    ),
    "latency": Suite(
        Scenario.LATENCY,
        ("lanecast", "ref-gso-bigbuf", "lanecast-sockets", "lanecast-busy", "lanecast-kernel"),
        (64,),
        CME,
    ),
    "overload": Suite(Scenario.OVERLOAD, ("lanecast", "lanecast-mold"), (64,), MIAX),
}
QUICK_FANOUTS = (64,)
QUICK = {
    "rounds": 1,
    "seconds": 1.0,
    "tries": 1,
    "step": 0.12,
    "most_rates": 9,
    "quiet_wait_s": 1.0,
}
"""The settings of ``--quick``: whether everything runs and about how fast, in less than five minutes."""


def select(suites: Iterable[str], relays: Sequence[str], fanouts: Sequence[int]) -> list[Cell]:
    """The cells of these suites, each once; ``relays`` and ``fanouts`` leave only theirs where they name any."""
    cells = [
        Cell(scenario=suite.scenario, relay=relay, fanout=fanout, mix=suite.mix)
        for suite in (SUITES[name] for name in suites)
        for fanout in suite.fanouts
        for relay in suite.relays
        if (not relays or relay in relays) and (not fanouts or fanout in fanouts)
    ]
    return list(dict.fromkeys(cells))


def estimate_s(cells: Iterable[Cell], rounds: Iterable[int], settings: Settings, known: set[Cell]) -> float:
    """About how long these cells take in these rounds, in seconds; those that cannot run take nothing."""
    total = 0.0
    for number in rounds:
        for cell in cells:
            if RELAYS[cell.relay].why_not() is None:
                trials = 1 if cell.scenario not in SEARCHED else NEW_SEARCH_TRIALS
                if cell in known or (number > 1 and cell.scenario in SEARCHED):
                    trials = KNOWN_SEARCH_TRIALS
                total += trials * (settings.seconds + AROUND_TRIAL_S)
    return total


def run_cells(
    run: Run,
    cells: Sequence[Cell],
    path: Path,
    known_edges_pps: dict[Cell, int],
    tell: Callable[[Measurement, float], None],
) -> None:
    """Measure every cell once a round, the rounds interleaved, and save after each; what the run has is not repeated.

    ``tell`` is called with each measurement and about how many seconds are left.
    """
    settings = run.settings
    todo = [(number, cell) for number in range(1, settings.rounds + 1) for cell in cells if not run.done(cell, number)]
    specs = [RELAYS[cell.relay] for cell in cells]
    most = max(cell.fanout for cell in cells)
    with network(most, multicast_legs(specs, most)) as built:
        for index, (number, cell) in enumerate(todo):
            known = (run.edges(cell) or [known_edges_pps.get(cell, 0)])[-1]
            measurement = measure(built, RELAYS[cell.relay], cell, number, settings, known)
            run.measurements.append(measurement)
            run.save(path)
            known_cells = set(known_edges_pps) | {each.cell for each in run.measurements}
            left = sum(estimate_s([later], [round_], settings, known_cells) for round_, later in todo[index + 1 :])
            tell(measurement, left)
