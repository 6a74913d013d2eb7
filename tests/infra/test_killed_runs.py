"""`lanecast infra up` comes through whatever was killed before: engine, provider, both, or everything, at any moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from killed_runs import Held, kill_again_and_again, measured

SEEDS = int(os.environ.get("LANECAST_KILL_SEEDS", "3"))
FIRST_SEED = int(os.environ.get("LANECAST_KILL_FIRST_SEED", "1"))
KILLS = 20


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, Held]:
    """How long a run takes that nobody kills, and what it makes."""
    return measured(tmp_path_factory.mktemp("alone"))


@pytest.mark.timeout(1200)  # a minute and more on two idle cores; others may use them too
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_it_comes_through_and_nothing_is_orphaned_or_doubled(
    tmp_path: Path, alone: tuple[float, Held], seed: int
) -> None:
    killed = kill_again_and_again(tmp_path, seed, KILLS, *alone)
    assert len(killed) == KILLS
