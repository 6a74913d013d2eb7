"""The data planes of these tests: one that they share, and their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from data_plane_under_test import DataPlane, interfaces_here


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., DataPlane]]:
    """Starts a data plane of the test's own with these options; nothing is left of it afterwards."""
    before = interfaces_here()
    started: list[DataPlane] = []

    def begin(*options: str, state: str = "state", async_delay: str = "0") -> DataPlane:
        started.append(DataPlane(tmp_path / state, "--data-plane", "--async-delay", async_delay, *options))
        return started[-1]

    yield begin
    try:
        for plane in started:
            if plane.running():
                assert plane.stop() == 0
            assert "Traceback" not in (plane.state.parent / f"{plane.state.name}.log").read_text()
    finally:
        for plane in started:
            plane.end()
    assert interfaces_here() == before


@pytest.fixture
def plane(start: Callable[..., DataPlane]) -> DataPlane:
    """A data plane of the test's own, without delays."""
    return start()


@pytest.fixture
def later() -> Iterator[ExitStack]:
    """What a test ends afterwards."""
    with ExitStack() as stack:
        yield stack
