"""A run's results: every raw trial, with the machine and the revision, as one JSON file."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict, Field

from lanecast_bench.machine import Machine
from lanecast_bench.relays import RelayClass
from lanecast_bench.trials import Trial

VERSION = 1


class Scenario(StrEnum):
    """What is measured of a relay."""

    PLAIN = "plain"
    """The highest lossless rate of datagrams without a framing."""
    ARBITRATE = "arbitrate"
    """The highest rate of messages that two lossy lines bring together exactly once and in order."""
    LATENCY = "latency"
    """One-way latency at a low rate."""
    OVERLOAD = "overload"
    """What still comes through at a rate that is too high."""


class Cell(BaseModel):
    """What is measured once in every round."""

    model_config = ConfigDict(frozen=True)

    scenario: Scenario
    relay: str
    fanout: int
    mix: str

    def __str__(self) -> str:
        return f"{self.scenario.value} {self.relay} ×{self.fanout} {self.mix}"


class Measurement(BaseModel):
    """One cell in one round. ``rate_pps`` is the edge of a search, or the rate that was offered."""

    model_config = ConfigDict(frozen=True)

    cell: Cell
    relay_class: RelayClass
    round: int
    rate_pps: int = 0
    trial: Trial | None = None
    trials: list[Trial] = Field(default_factory=list)
    error: str | None = None
    taken_s: float = 0.0


class Settings(BaseModel):
    """How a run measures; the meaning of each is in ``docs/performance.md``."""

    model_config = ConfigDict(frozen=True)

    rounds: int = 5
    seconds: float = 2.0
    tries: int = 3
    step: float = 0.06
    most_rates: int = 14
    most_p99_ms: float = 20.0
    quiet_wait_s: float = 15.0
    ready_s: float = 10.0
    latency_rate_pps: int = 2000
    overload_rate_pps: int = 100_000
    loss_a_permille: int = 10
    loss_b_permille: int = 10
    seed: int = 1
    start_pps: int = 0
    """Where every search starts; 0: at the last edge that is known, or at 100,000 divided by the fan-out."""


class Run(BaseModel):
    """The file."""

    version: int = VERSION
    started_at: datetime
    machine: Machine
    settings: Settings
    measurements: list[Measurement] = Field(default_factory=list)

    def of(self, cell: Cell) -> list[Measurement]:
        """The measurements of a cell, in the order of rounds."""
        return [each for each in self.measurements if each.cell == cell]

    def done(self, cell: Cell, number: int) -> bool:
        """Whether a cell was measured in a round; an error counts, because it would come again."""
        return any(each.round == number for each in self.of(cell))

    def edges(self, cell: Cell) -> list[int]:
        """The rates that searches of a cell found."""
        return [each.rate_pps for each in self.of(cell) if each.trial is not None]

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(self.model_dump_json(indent=1, exclude_none=True) + "\n")
        unfinished.replace(path)


def load(path: Path) -> Run:
    """Read a results file."""
    return Run.model_validate_json(path.read_text())


def new_path(folder: Path, revision: str) -> Path:
    """A name for the results of a run that starts now."""
    return folder / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{revision}.json"


def newest(folder: Path) -> Path | None:
    """The last run's file; None where there is none."""
    return max(folder.glob("*.json"), default=None)


def last_edges(folder: Path, machine: Machine) -> dict[Cell, int]:
    """The edges that runs on a machine like this one found, newer ones over older ones."""
    found: dict[Cell, int] = {}
    for path in sorted(folder.glob("*.json")):
        run = load(path)
        if (run.machine.processor, run.machine.processors) == (machine.processor, machine.processors):
            found.update({each: round(median(rates)) for each in cells(run) if (rates := run.edges(each))})
    return found


def cells(run: Run) -> list[Cell]:
    """Every cell of a run, in the order in which they were first measured."""
    return list(dict.fromkeys(each.cell for each in run.measurements))
