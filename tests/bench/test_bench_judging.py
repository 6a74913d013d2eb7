"""What makes a trial pass, what makes a run meet its criteria, and what a report says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from lanecast_bench import results, suites
from lanecast_bench.criteria import CRITERIA, judge
from lanecast_bench.machine import Machine
from lanecast_bench.processes import BenchError
from lanecast_bench.relay_file import Input, RelayOptions, write_relay_file
from lanecast_bench.relays import RELAYS, RelayClass, expand
from lanecast_bench.report import markdown, write_into
from lanecast_bench.results import Cell, Measurement, Run, Scenario, Settings
from lanecast_bench.tools import MIXES
from lanecast_bench.trials import Latency, Receiver, Sent, Trial, exactly_once
from lanecast_relay.config.document import load_document, validate
from lanecast_relay.config.model import RelayFile

SENT = Sent(messages=10, messages_pps=10, kept_a=9, kept_b=9, cpu_s=0)
GOOD = Receiver(address="10.77.17.1", received=10, duplicate=0, disordered=0, missing=0)


def trial(**changes: object) -> Trial:
    latency = Latency(p50=1000, p90=2000, p99=3000, p999=4000, maximum=5000)
    values = {"rate_pps": 1000, "in_pps": 999.0, "sent": 2000, "wanted": 2000, "received": 2000, "lost": 0}
    values |= {"out_pps": 999.0, "datagrams": 2000, "out_bytes": 1, "malformed": 0, "sink_drops": 0}
    values |= {"relay_cpu_s": 0.1, "sender_cpu_s": 0.1, "other_cpu_s": 0.0, "busy_before": 0.0, "seconds": 2.0}
    return Trial.model_validate({**values, "latency_ns": latency, **changes})


def run_with(figures: dict[tuple[Scenario, str, int], list[int]]) -> Run:
    machine = Machine(kernel="6", processor="one", processors=2, memory_bytes=2**30, revision="abc")
    run = Run(started_at=datetime(2026, 1, 2, tzinfo=UTC), machine=machine, settings=Settings())
    for (scenario, relay, fanout), rates in figures.items():
        mix = suites.MIAX if scenario is Scenario.OVERLOAD else suites.CME
        cell = Cell(scenario=scenario, relay=relay, fanout=fanout, mix=mix)
        for number, rate in enumerate(rates, start=1):
            measured = trial(out_pps=float(rate))
            run.measurements.append(
                Measurement(
                    cell=cell, relay_class=RELAYS[relay].relay_class, round=number, rate_pps=rate, trial=measured
                )
            )
    return run


def test_a_trial_passes_by_the_benchmark_s_rules() -> None:
    assert trial().passed(20)
    assert not trial(lost=1).passed(20)
    assert not trial(malformed=1).passed(20)
    assert not trial(in_pps=969.0).passed(20)
    assert not trial(latency_ns=Latency(p50=1, p90=1, p99=20_000_001, p999=1, maximum=1)).passed(20)
    wrong = exactly_once(SENT, [GOOD.model_copy(update={"missing": 1})], 1)
    assert not trial(exactly_once=wrong).passed(20)
    assert trial(exactly_once=exactly_once(SENT, [GOOD], 1)).passed(20)


@pytest.mark.parametrize("fault", ["duplicate", "disordered", "missing"])
def test_every_fault_of_a_receiver_is_counted(fault: str) -> None:
    judged = exactly_once(SENT, [GOOD, GOOD.model_copy(update={fault: 2})], 2)
    assert getattr(judged, fault) == 2
    assert judged.wrong_receivers == 1


def test_a_receiver_that_is_short_or_absent_is_wrong() -> None:
    assert exactly_once(SENT, [GOOD.model_copy(update={"received": 9}), GOOD], 4).wrong_receivers == 3
    assert exactly_once(SENT, [GOOD, GOOD], 2).wrong_receivers == 0


def test_criteria_are_judged_by_the_medians_of_one_run() -> None:
    plain, latency = Scenario.PLAIN, Scenario.LATENCY
    run = run_with(
        {
            (plain, "lanecast", 64): [100, 900, 80],
            (plain, "ref-gso-bigbuf", 64): [99, 1, 500],
            (plain, "socat", 64): [13, 13, 13],
            (plain, "python", 64): [50, 51, 49],
            (latency, "lanecast", 64): [1],
            (latency, "ref-gso-bigbuf", 64): [1],
        }
    )
    asked = {(each.criterion.scenario, each.criterion.baseline, each.criterion.fanout): each for each in judge(run)}
    assert asked[plain, "ref-gso-bigbuf", 64].passed is True
    assert asked[plain, "socat", 64].passed is False
    assert asked[plain, "python", 64].passed is True
    assert asked[latency, "ref-gso-bigbuf", 64].passed is True
    assert asked[plain, "ref-gso-bigbuf", 8].passed is None


def test_every_criterion_is_measured_by_a_suite() -> None:
    cells = set(suites.select(suites.SUITES, [], []))
    for criterion in CRITERIA:
        for name in (criterion.relay, criterion.baseline):
            wanted = Cell(scenario=criterion.scenario, relay=name, fanout=criterion.fanout, mix=criterion.mix)
            assert wanted in cells, criterion.text


def test_every_suite_names_relays_that_exist() -> None:
    for suite in suites.SUITES.values():
        assert set(suite.relays) <= set(RELAYS)
    assert {spec.relay_class for spec in RELAYS.values()} == set(RelayClass)


def test_results_are_read_back_and_resumed(tmp_path: Path) -> None:
    run = run_with({(Scenario.PLAIN, "lanecast", 8): [100, 110]})
    run.save(tmp_path / "one.json")
    again = results.load(tmp_path / "one.json")
    assert again == run
    cell = again.measurements[0].cell
    assert again.done(cell, 2)
    assert not again.done(cell, 3)
    assert results.last_edges(tmp_path, run.machine) == {cell: 105}


def test_tables_stand_between_the_markers_only(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("before\n<!-- measured: begin -->\nstale\n<!-- measured: end -->\nafter\n")
    write_into(document, "measured", markdown(run_with({(Scenario.PLAIN, "lanecast", 8): [100, 110, 130]})))
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "stale" not in text
    assert "110 (100–130)" in text
    document.write_text("no markers")
    with pytest.raises(BenchError, match="are missing"):
        write_into(document, "measured", "")


def test_a_command_s_words_are_filled_in() -> None:
    words = expand("relay --to '{dsts} x' --odd {unknown} {ndst}", {"dsts": "a,b", "ndst": 2})
    assert words == ["relay", "--to", "a,b x", "--odd", "{unknown}", "2"]


@pytest.mark.parametrize("input_kind", list(Input))
def test_the_relay_reads_the_file_that_is_written_for_it(input_kind: Input, tmp_path: Path) -> None:
    path = write_relay_file(64, input_kind, RelayOptions(), tmp_path)
    relay = validate(RelayFile, load_document(path))
    assert len(relay.subscribers) == 64
    assert len(relay.feeds["bench"].lines) == (2 if input_kind is Input.LINES else 1)
    assert relay.receive_buffer_bytes == 32 * 2**20


def test_options_are_keys_of_the_file(tmp_path: Path) -> None:
    options = RelayOptions(kernel_fan_out=True, mold_delivery=True, journal=True)
    document = yaml.safe_load(write_relay_file(2, Input.MOLD, options, tmp_path).read_text())
    assert document["fan-out"] == "kernel"
    assert {each["delivery"] for each in document["subscribers"].values()} == {"mold"}
    assert Path(document["journal"]["directory"]).is_dir()
    plain = yaml.safe_load(write_relay_file(2, Input.MOLD, replace(options, journal=False), tmp_path).read_text())
    assert "journal" not in plain


@pytest.mark.parametrize("name", [suites.CME, suites.MIAX])
def test_a_mix_holds_sizes_and_nothing_else(name: str) -> None:
    comment, *sizes = (MIXES / f"{name}.txt").read_text().splitlines()
    assert comment.startswith("#")
    assert len(sizes) >= 5000
    assert all(size.isdigit() and int(size) <= 1472 for size in sizes)
