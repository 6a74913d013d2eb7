"""Shows a run: tables for a terminal, and the same as Markdown between markers of a document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table

from lanecast_bench.criteria import FIGURES, Figure, Judgement, Spread, judge, spread
from lanecast_bench.processes import BenchError
from lanecast_bench.relays import RelayClass
from lanecast_bench.requirements import Requirements
from lanecast_bench.results import Cell, Run, Scenario, Settings, cells

OURS = "lanecast"
NOT_MEASURED = "–"
VERDICTS = {True: "pass", False: "FAIL", None: "not measured"}


@dataclass(frozen=True, slots=True)
class Grid:
    """A table before it has a form. ``notes``: why cells are empty."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


def grids(run: Run) -> list[Grid]:
    """Each scenario's figures by class, then the criteria."""
    found = []
    for scenario, figures in FIGURES.items():
        for relay_class in RelayClass:
            for name, figure in figures:
                grid = _figures(run, scenario, relay_class, name, figure)
                if grid.rows:
                    found.append(grid)
    found.append(_criteria(judge(run)))
    return found


def _figures(run: Run, scenario: Scenario, relay_class: RelayClass, name: str, figure: Figure) -> Grid:
    names = {each.cell.relay for each in run.measurements if each.relay_class is relay_class}
    chosen = [cell for cell in cells(run) if cell.scenario is scenario and cell.relay in names]
    fanouts = sorted({cell.fanout for cell in chosen})
    mixes = ", ".join(sorted({cell.mix for cell in chosen}))
    columns = ["relay", *(text for fanout in fanouts for text in (f"fan-out {fanout}", f"{OURS} is"))]
    rows = []
    for relay in dict.fromkeys(cell.relay for cell in chosen):
        by_fanout = {cell.fanout: cell for cell in chosen if cell.relay == relay}
        row = [relay]
        for fanout in fanouts:
            row += _entry(run, by_fanout.get(fanout), figure)
        rows.append(row)
    return Grid(f"{scenario.value}, {relay_class.value}, {mixes}: {name}", columns, rows, list(_notes(run, chosen)))


def _entry(run: Run, cell: Cell | None, figure: Figure) -> list[str]:
    """The figure with its spread, and how many times it the relay's own figure is."""
    measured = spread(run, cell, figure) if cell else None
    if cell is None or measured is None:
        return [NOT_MEASURED, NOT_MEASURED]
    ours = spread(run, cell.model_copy(update={"relay": OURS}), figure)
    ratio = f"{ours.median / measured.median:.2f}×" if ours and measured.median else NOT_MEASURED
    return [_shown(measured), "" if cell.relay == OURS else ratio]


def _shown(measured: Spread) -> str:
    if measured.rounds == 1:
        return f"{measured.median:,.0f}"
    return f"{measured.median:,.0f} ({measured.least:,.0f}–{measured.greatest:,.0f})"


def _notes(run: Run, chosen: list[Cell]) -> Iterator[str]:
    for cell in chosen:
        errors = {each.error.strip().splitlines()[-1] for each in run.of(cell) if each.error}
        for error in sorted(errors):
            yield f"{cell.relay}, fan-out {cell.fanout}: {error}"


def _criteria(judged: list[Judgement]) -> Grid:
    rows = [
        [each.criterion.text, NOT_MEASURED if each.ratio is None else f"{each.ratio:.2f}×", VERDICTS[each.passed]]
        for each in judged
    ]
    return Grid("criteria", ["asked", "measured", "verdict"], rows, [])


def heading(run: Run | Requirements) -> str:
    """When, and on what, it was measured."""
    machine = run.machine
    return (
        f"{run.started_at:%Y-%m-%d %H:%M} UTC, revision {machine.revision}; {machine.processors} processors "
        f"({machine.processor}), {machine.memory_bytes / 2**30:.1f} GiB, Linux {machine.kernel}"
    )


def _method(settings: Settings) -> str:
    return (
        "; median "
        f"(least–greatest) of {settings.rounds} rounds, {settings.seconds:g} s a trial, "
        f"edge to within {settings.step:.0%}"
    )


def console_view(run: Run) -> Group:
    """The run for a terminal."""
    return Group(heading(run) + _method(run.settings), *(console_table(grid) for grid in grids(run)))


def console_table(grid: Grid) -> Table:
    """A table for a terminal."""
    caption = "\n".join(grid.notes) or None
    table = Table(title=grid.title, title_justify="left", box=box.SIMPLE_HEAD, caption=caption)
    for index, column in enumerate(grid.columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in grid.rows:
        table.add_row(*(_coloured(text) for text in row))
    return table


def _coloured(text: str) -> str:
    colour = {"pass": "green", "FAIL": "red"}.get(text)
    return f"[{colour}]{text}[/]" if colour else text


def markdown(run: Run) -> str:
    """The run as Markdown."""
    return _joined(heading(run) + _method(run.settings), grids(run))


def requirements_markdown(run: Requirements) -> str:
    """The same of figures that are held to fixed bounds."""
    return _joined(heading(run), [requirements_grid(run)])


def _joined(first: str, tables: list[Grid]) -> str:
    parts = [first + "."]
    for grid in tables:
        lines = [f"**{grid.title}**", "", _row(grid.columns), _row(["---", *["---:"] * (len(grid.columns) - 1)])]
        lines += [_row(row) for row in grid.rows]
        parts.append("\n".join(lines))
        parts += [f"- {note}" for note in grid.notes]
    return "\n\n".join(parts) + "\n"


def _row(texts: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def requirements_grid(run: Requirements) -> Grid:
    """What was asked, what was measured, and the verdict."""
    return Grid(run.name, ["asked", "measured", "verdict"], run.rows, [])


def write_into(document: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of ``name``; raise :class:`BenchError` when they are not there."""
    begin_mark, end_mark = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begin, rest = document.read_text().partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not begin or not end:
        raise BenchError(f"{document}: the lines {begin_mark} and {end_mark} are missing: put them where tables belong")
    document.write_text(f"{before}{begin_mark}\n\n{text}\n{end_mark}{after}")
