"""An emulated cloud for all tests of a module, and a stack for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated_cloud import EmulatedCloud, serving
from engine_runs import Runs


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedCloud]:
    with serving(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def cloud(emulated: EmulatedCloud) -> Iterator[EmulatedCloud]:
    yield emulated
    emulated.set_faults()


@pytest.fixture
def runs(cloud: EmulatedCloud, tmp_path: Path) -> Runs:
    return Runs(cloud, tmp_path)
