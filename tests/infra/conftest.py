"""An emulated cloud and a stack for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated_cloud import EmulatedCloud, serving
from engine_runs import Runs, end_what_programs_left


@pytest.fixture
def async_delay_s() -> float:
    """How long the cloud's asynchronous work takes; a test that needs another sets it by its parameters."""
    return 0.3


@pytest.fixture
def lines() -> tuple[str, ...]:
    """The physical lines that are there already; tests of the example's regions need some."""
    return ()


@pytest.fixture
def cloud(tmp_path: Path, async_delay_s: float, lines: tuple[str, ...]) -> Iterator[EmulatedCloud]:
    with serving(tmp_path / "cloud", async_delay_s, lines) as cloud:
        yield cloud


@pytest.fixture
def runs(cloud: EmulatedCloud, tmp_path: Path) -> Iterator[Runs]:
    yield Runs(cloud, tmp_path / "runs")
    end_what_programs_left()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """What failed on purpose is let go of only when its test is over."""
    end_what_programs_left()
