"""Draws a run: a panel for each scenario, bars for relays, grouped by fan-out, with the spread of the rounds."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from lanecast_bench.criteria import FIGURES, Figure, spread
from lanecast_bench.results import Run, Scenario, cells

PANEL_INCHES = (7.0, 3.6)
GROUP_WIDTH = 0.8


def write_plot(run: Run, path: Path) -> None:
    """Draw the run into an SVG or PNG file, as the name ends."""
    measured = {each.cell.scenario for each in run.measurements if each.trial is not None}
    panels = [
        (scenario, *figure) for scenario, figures in FIGURES.items() if scenario in measured for figure in figures
    ]
    picture = Picture(figsize=(PANEL_INCHES[0], PANEL_INCHES[1] * max(1, len(panels))), layout="constrained")
    for index, (scenario, name, figure) in enumerate(panels):
        _panel(picture.add_subplot(len(panels), 1, index + 1), run, scenario, name, figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date the same results give the same file.
    picture.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(axes: Axes, run: Run, scenario: Scenario, name: str, figure: Figure) -> None:
    chosen = {cell: found for cell in cells(run) if cell.scenario is scenario and (found := spread(run, cell, figure))}
    relays = list(dict.fromkeys(cell.relay for cell in chosen))
    fanouts = sorted({cell.fanout for cell in chosen})
    width = GROUP_WIDTH / len(relays)
    for place, relay in enumerate(relays):
        for cell, found in chosen.items():
            if cell.relay == relay:
                at = fanouts.index(cell.fanout) + (place - (len(relays) - 1) / 2) * width
                error = [[found.median - found.least], [found.greatest - found.median]]
                axes.bar(at, found.median, width, color=f"C{place}", yerr=error, capsize=2)
        axes.bar(0, 0, color=f"C{place}", label=relay)  # an entry for the legend, once a relay
    axes.set_xticks(range(len(fanouts)), [f"fan-out {fanout}" for fanout in fanouts])
    axes.set_yscale("log")
    axes.set_title(f"{scenario.value}: {name}", loc="left")
    axes.legend(fontsize="small")
