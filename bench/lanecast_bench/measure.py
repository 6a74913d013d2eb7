"""Measures one cell: the relay is started, the scenario's trials are made, the relay is ended."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lanecast_bench.namespaces import Network
from lanecast_bench.processes import BenchError
from lanecast_bench.relay_file import Input
from lanecast_bench.relays import RelaySpec, RunningRelay, Setting
from lanecast_bench.results import Cell, Measurement, Scenario, Settings
from lanecast_bench.search import FIRST_GROWTH, KNOWN_GROWTH, Edge, Limits, find_edge
from lanecast_bench.tools import BUILD, mix_file
from lanecast_bench.trials import Offer, Trial, run_trial

INPUTS = {
    Scenario.PLAIN: Input.PLAIN,
    Scenario.ARBITRATE: Input.LINES,
    Scenario.LATENCY: Input.PLAIN,
    Scenario.OVERLOAD: Input.MOLD,
}
SEARCHED = frozenset({Scenario.PLAIN, Scenario.ARBITRATE})
START_TOTAL_PPS, LEAST_START_PPS = 100_000, 200
"""A search of which nothing is known starts where this many messages a second leave the relay."""

GOLDEN_RATIO = 0.618_034
"""Its multiples, without their whole parts, lie evenly between 0 and 1 however many there are."""

Watcher = Callable[[Trial], None]
"""Is told of every trial."""


def offer_of(cell: Cell, settings: Settings, input_kind: Input | None = None) -> Offer:
    """What is sent in a cell's trials; ``input_kind`` instead of the scenario's own where it is given."""
    kind = input_kind or INPUTS[cell.scenario]
    return Offer(
        input_kind=kind,
        mix=mix_file(cell.mix) if not cell.mix.isdigit() else None,
        size_bytes=int(cell.mix) if cell.mix.isdigit() else 0,
        seconds=settings.seconds,
        loss_a_permille=settings.loss_a_permille,
        loss_b_permille=settings.loss_b_permille,
        seed=settings.seed,
        quiet_wait_s=settings.quiet_wait_s,
        check=cell.scenario is Scenario.OVERLOAD and kind is not Input.PLAIN,
    )


def measure(
    network: Network,
    spec: RelaySpec,
    cell: Cell,
    number: int,
    settings: Settings,
    known_edge_pps: int = 0,
    watcher: Watcher = lambda trial: None,
    input_kind: Input | None = None,
) -> Measurement:
    """Measure a cell; what keeps a relay from being measured stands in the result's ``error``."""
    offer = offer_of(cell, settings, input_kind)
    began = time.monotonic()
    edge: Edge[Trial] = Edge()
    error = spec.why_not()
    if offer.input_kind not in spec.reads:
        error = f"{spec.name} does not read the input `{offer.input_kind.value}`"
    if error is None:
        # Below the checkout: a journal on a temporary file system in memory would cost too little.
        with tempfile.TemporaryDirectory(prefix="relay-", dir=BUILD) as folder:
            relay = RunningRelay(spec, Setting(network, cell.fanout, offer.input_kind, Path(folder)), settings.ready_s)
            try:
                if offer.input_kind is Input.PLAIN:
                    relay.start()
                trial = _trial(relay, offer, watcher)
                edge = _edge(trial, cell, settings, limits_of(cell, settings, known_edge_pps, number))
            except BenchError as problem:
                error = str(problem)
            finally:
                relay.stop()
    if error is None and edge.best is None:
        error = "no rate passed"
    return Measurement(
        cell=cell,
        relay_class=spec.relay_class,
        round=number,
        rate_pps=edge.rate_pps,
        trial=edge.best,
        trials=edge.trials,
        error=error,
        taken_s=round(time.monotonic() - began, 1),
    )


def _trial(relay: RunningRelay, offer: Offer, watcher: Watcher) -> Callable[[int], Trial]:
    def trial(rate_pps: int) -> Trial:
        result = run_trial(relay, rate_pps, offer)
        watcher(result)
        return result

    return trial


def _edge(trial: Callable[[int], Trial], cell: Cell, settings: Settings, limits: Limits) -> Edge[Trial]:
    """The edge where one is looked for, and one trial at a fixed rate elsewhere."""
    if cell.scenario in SEARCHED:
        return find_edge(trial, lambda result: result.passed(settings.most_p99_ms), limits)
    rate = settings.latency_rate_pps if cell.scenario is Scenario.LATENCY else settings.overload_rate_pps
    result = trial(rate)
    return Edge(rate, result, [result])


def limits_of(cell: Cell, settings: Settings, known_edge_pps: int, number: int) -> Limits:
    """Where a search of a cell starts: where the settings say, else at its last edge, else at a guess.

    The last edge is lowered by a part of a step that is another in each round: the rates that are tried are then
    others too, and the spread of the edges is that of the relay and not of a grid.
    """
    guess = max(LEAST_START_PPS, START_TOTAL_PPS // cell.fanout)
    lowered = round(known_edge_pps * (1 - settings.step * (number * GOLDEN_RATIO % 1)))
    start = settings.start_pps or lowered or guess
    return Limits(
        start_pps=start,
        step=settings.step,
        tries=settings.tries,
        most_rates=settings.most_rates,
        growth=KNOWN_GROWTH if known_edge_pps and not settings.start_pps else FIRST_GROWTH,
    )
