"""An emulated cloud and a stack for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated_cloud import EmulatedCloud, serving
from engine_runs import Runs


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[EmulatedCloud]:
    with serving(tmp_path / "cloud") as cloud:
        yield cloud


@pytest.fixture
def runs(cloud: EmulatedCloud, tmp_path: Path) -> Runs:
    return Runs(cloud, tmp_path / "runs")
