"""The command: ``python -m lanecast_bench``.

Exit codes: 0 done, 1 a criterion that was measured failed (``report --strict``), 2 a measurement cannot be made.
"""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from lanecast_bench import cloud, journal, machine, memory, namespaces, results, scale, suites
from lanecast_bench.measure import SEARCHED, measure
from lanecast_bench.mix import mix_of
from lanecast_bench.processes import BenchError
from lanecast_bench.relay_file import Input
from lanecast_bench.relays import RELAYS, RelaySpec, from_template, multicast_legs
from lanecast_bench.report import (
    console_table,
    console_view,
    heading,
    markdown,
    requirements_grid,
    requirements_markdown,
    write_into,
)
from lanecast_bench.requirements import Requirements
from lanecast_bench.results import Cell, Measurement, Run, Scenario, Settings
from lanecast_bench.tools import BUILD, RESULTS, ROOT, build_udpbench
from lanecast_bench.trials import Trial

PLOT = ROOT / "docs" / "performance.svg"
DOCUMENT = ROOT / "docs" / "performance.md"
CLOUD_DOCUMENT = ROOT / "docs" / "cloud-provider.md"
MEASURED = "measured"
"""The markers of the document between which the tables of a whole run stand."""

WIDE = 200
app = typer.Typer(name="lanecast_bench", help=__doc__, no_args_is_help=True, add_completion=False)
console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)

Names = Annotated[str, typer.Option(help="Comma-separated; without it all of the suite's.")]


def _list(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


def _refuse_unknown(kind: str, names: list[str], known: list[str]) -> None:
    wrong = [name for name in names if name not in known]
    if wrong:
        raise BenchError(f"no {kind} is called {', '.join(wrong)}; there are {', '.join(known)}")


@app.command("run")
def run_suites(
    suite: Annotated[str, typer.Option(help=f"Of {', '.join(suites.SUITES)}; without it all.")] = "",
    relay: Names = "",
    fanout: Names = "",
    rounds: Annotated[int, typer.Option(min=1, help="Every relay is measured once a round, in turn.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="One short round at fan-out 64: less than five minutes.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the newest results of this kind.")] = False,
    seconds: Annotated[float | None, typer.Option(min=0.2, help="How long a trial sends.")] = None,
    quiet_wait: Annotated[float | None, typer.Option(min=0, help="How long a trial waits for an idle machine.")] = None,
    document: Annotated[bool, typer.Option("--document", help="Write tables and plot into docs/ at the end.")] = False,
) -> None:
    """Measure relays side by side, rounds interleaved, and show the table."""
    chosen, relays = _list(suite) or list(suites.SUITES), _list(relay)
    _refuse_unknown("suite", chosen, list(suites.SUITES))
    _refuse_unknown("relay", relays, list(RELAYS))
    fanouts = [int(word) for word in _list(fanout)] or (list(suites.QUICK_FANOUTS) if quick else [])
    cells = suites.select(chosen, relays, fanouts)
    if not cells:
        raise BenchError("nothing is left to measure: no suite has these relays at these fan-outs")
    settings = Settings.model_validate({"rounds": rounds, **(suites.QUICK if quick else {})})
    given = {"seconds": seconds, "quiet_wait_s": quiet_wait}
    settings = settings.model_copy(update={key: value for key, value in given.items() if value is not None})
    build_udpbench()
    folder = BUILD / "quick" if quick else RESULTS
    path, measured = _begin(folder, settings, resume)
    _run(measured, cells, path)
    console.print(console_view(measured))
    console.print(f"results: {path}")
    if document:
        _write_documents(measured)
    if not (quick or suite or relay or fanout):
        measure_memory(document)
        measure_journal(document)


def _begin(folder: Path, settings: Settings, resume: bool) -> tuple[Path, Run]:
    newest = results.newest(folder) if resume else None
    here = machine.describe()
    if newest is None:
        return results.new_path(folder, here.revision), Run(
            started_at=datetime.now(UTC), machine=here, settings=settings
        )
    found = results.load(newest)
    if found.machine != here:
        raise BenchError(f"{newest} is of another machine or revision: figures compare within one run only")
    return newest, found.model_copy(update={"settings": found.settings.model_copy(update={"rounds": settings.rounds})})


def _run(measured: Run, cells: list[Cell], path: Path) -> None:
    known = results.last_edges(RESULTS, measured.machine)
    numbers = range(1, measured.settings.rounds + 1)
    left_s = suites.estimate_s(cells, numbers, measured.settings, set(known))
    console.print(f"{len(cells)} measurements in each of {len(numbers)} rounds: about {left_s / 60:.0f} minutes")

    def tell(done: Measurement, left_s: float) -> None:
        console.print(f"round {done.round}: {_line(done)}; about {left_s / 60:.0f} minutes left")

    suites.run_cells(measured, cells, path, known, tell)


def _line(done: Measurement) -> str:
    if done.trial is None:
        return f"{done.cell}: {done.error}"
    text = f"{done.cell}: "
    if done.cell.scenario in SEARCHED:
        text += f"{done.rate_pps:,} messages/s in {len(done.trials)} trials"
    else:
        trial = done.trial
        text += f"{trial.out_pps:,.0f} messages/s came through, lost {trial.lost:,} of {trial.wanted:,}"
    micro = done.trial.latency_ns
    return text + f", p50 {micro.p50 / 1000:,.0f} µs, p99 {micro.p99 / 1000:,.0f} µs, {done.taken_s:.0f} s"


@app.command()
def one(
    scenario: Scenario,
    relay: Annotated[str, typer.Option(help=f"Comma-separated, of {', '.join(RELAYS)}, cmd.")] = "lanecast",
    fanout: Annotated[str, typer.Option(help="Comma-separated.")] = "1,8,64",
    mix: Annotated[str, typer.Option(help="A mix of bench/mixes, a mix's file, or a size in bytes.")] = suites.CME,
    command: Annotated[str, typer.Option(help="The command of the relay `cmd`; see docs/performance.md.")] = "",
    rounds: Annotated[int, typer.Option(min=1)] = 1,
    seconds: Annotated[float, typer.Option(min=0.2)] = 2.0,
    rate: Annotated[int, typer.Option(min=0, help="Of latency and overload; 0: 2,000 and 100,000 a second.")] = 0,
    start: Annotated[int, typer.Option(min=0, help="Where a search starts; 0: at a guess.")] = 0,
    step: Annotated[float, typer.Option(help="The share by which an edge may be too low.")] = 0.06,
    tries: Annotated[int, typer.Option(min=1)] = 3,
    most_rates: Annotated[int, typer.Option(min=1, help="A search ends after so many rates.")] = 14,
    most_p99_ms: Annotated[float, typer.Option(help="A rate with a longer queue does not pass.")] = 20.0,
    loss_a: Annotated[int, typer.Option(min=0, max=1000, metavar="PERMILLE")] = 10,
    loss_b: Annotated[int, typer.Option(min=0, max=1000, metavar="PERMILLE")] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    quiet_wait: Annotated[float, typer.Option(min=0)] = 15.0,
    ready: Annotated[
        float, typer.Option(min=0, help="How long a relay's first line is waited for, in seconds.")
    ] = 10.0,
    sends: Annotated[Input | None, typer.Option(help="Another input than the scenario's own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a measurement.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Every trial.")] = False,
) -> None:
    """Measure one scenario of any relays at once, without keeping results: for work on the relay."""
    specs = _specs(_list(relay), command)
    fanouts = [int(word) for word in _list(fanout)]
    settings = Settings(
        rounds=rounds,
        seconds=seconds,
        tries=tries,
        step=step,
        most_rates=most_rates,
        most_p99_ms=most_p99_ms,
        quiet_wait_s=quiet_wait,
        ready_s=ready,
        latency_rate_pps=rate or 2000,
        overload_rate_pps=rate or 100_000,
        loss_a_permille=loss_a,
        loss_b_permille=loss_b,
        seed=seed,
        start_pps=start,
    )
    build_udpbench()
    edges: dict[Cell, int] = {}
    with namespaces.network(max(fanouts), multicast_legs(specs, max(fanouts))) as network:
        for number in range(1, rounds + 1):
            for each in fanouts:
                for spec in specs:
                    cell = Cell(scenario=scenario, relay=spec.name, fanout=each, mix=mix)
                    watcher = _show_trial if verbose else lambda trial: None
                    done = measure(network, spec, cell, number, settings, edges.get(cell, 0), watcher, sends)
                    edges[cell] = done.rate_pps
                    print(done.model_dump_json(exclude={"trials"}) if as_json else _line(done), flush=True)


def _specs(names: list[str], command: str) -> list[RelaySpec]:
    known = dict(RELAYS)
    if command:
        known["cmd"] = from_template(command)
    _refuse_unknown("relay", names, [*known] if command else [*known, "cmd (with --command)"])
    return [known[name] for name in names]


def _show_trial(trial: Trial) -> None:
    once = f" {trial.exactly_once}" if trial.exactly_once else ""
    print(
        f"  {trial.rate_pps:,}/s: in {trial.in_pps:,.0f}, lost {trial.lost:,}{once}, sink drops {trial.sink_drops},"
        f" p50 {trial.latency_ns.p50 / 1000:,.0f} µs, p99 {trial.latency_ns.p99 / 1000:,.0f} µs,"
        f" relay {trial.relay_cpu_s} s, others {trial.other_cpu_s} s, busy before {trial.busy_before}",
        file=sys.stderr,
    )


@app.command()
def report(
    file: Annotated[Path | None, typer.Argument(help="A results file; without it the newest.")] = None,
    document: Annotated[bool, typer.Option("--document", help="Write tables and plot into docs/.")] = False,
    into: Annotated[str, typer.Option(help="Between which markers of the document.")] = MEASURED,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail unless every criterion was measured and passed.")
    ] = False,
) -> None:
    """Show a run's tables and judge its criteria."""
    from lanecast_bench.criteria import judge

    path = file or results.newest(RESULTS)
    if path is None:
        raise BenchError(f"{RESULTS} holds no results: run `make bench`")
    measured = results.load(path)
    console.print(console_view(measured))
    if document:
        _write_documents(measured, into)
    if strict and not all(each.passed for each in judge(measured)):
        raise typer.Exit(1)


def _write_documents(measured: Run, into: str = MEASURED) -> None:
    # Drawing needs what the benchmark itself does not.
    from lanecast_bench.plot import write_plot

    write_into(DOCUMENT, into, markdown(measured))
    if into == MEASURED:
        write_plot(measured, PLOT)
    console.print(f"written: {DOCUMENT}" + (f", {PLOT}" if into == MEASURED else ""))


def _tell(text: str) -> None:
    console.print(f"{text} …")


DocumentOption = Annotated[bool, typer.Option("--document", help="Write the table into docs/.")]


@app.command("journal")
def measure_journal(document: DocumentOption = False) -> None:
    """Measure how soon a replay of a day starts, and its pace: about three minutes and 3 GiB."""
    _keep(journal.measure(_tell), document)


@app.command("memory")
def measure_memory(document: DocumentOption = False) -> None:
    """Measure a relay's memory over a thousand rotations of its journal: about a minute."""
    build_udpbench()
    _keep(memory.measure(_tell), document)


@app.command("scale")
def measure_scale(
    routers: Annotated[int, typer.Option(min=4, help="Four a site, with four circuits each.")] = 1000,
    document: DocumentOption = False,
) -> None:
    """Measure how long a large plan takes to compile and to render, and how much memory."""
    _keep(scale.measure(routers), document)


@app.command("cloud")
def measure_cloud(
    resources: Annotated[int, typer.Option(min=1, help="Of the stack.")] = 1000,
    document: DocumentOption = False,
) -> None:
    """Measure the provider with a stack of many resources, and long lists of the emulated cloud: about five minutes."""
    _keep(cloud.measure(resources, _tell), document, CLOUD_DOCUMENT)


def _keep(measured: Requirements, document: bool, page: Path = DOCUMENT) -> None:
    path = results.new_path(RESULTS / measured.name, measured.machine.revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(measured.model_dump_json(indent=1) + "\n")
    console.print(heading(measured), console_table(requirements_grid(measured)), f"results: {path}", sep="\n")
    if document:
        write_into(page, measured.name, requirements_markdown(measured))


@app.command()
def mix(
    capture: Annotated[Path, typer.Argument(help="A pcap or pcapng file.")],
    group: Annotated[
        str | None, typer.Option(help="ADDR:PORT: this group alone, so that one of two lines is taken.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many sizes.")] = 20_000,
) -> None:
    """Print the size mix of a capture: its datagrams' sizes in time order."""
    print(mix_of(capture, group, limit), end="")


@app.command()
def cleanup() -> None:
    """Remove the namespaces of runs that were killed; every run does so at its start."""
    for name in namespaces.remove_left_behind():
        print(f"removed {name}")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point. SIGTERM ends a run as Ctrl-C does, so that it cleans up."""
    signal.signal(signal.SIGTERM, _end)
    try:
        app()
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
