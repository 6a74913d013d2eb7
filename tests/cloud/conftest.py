"""The clouds of these tests: ``cloud`` for what every cloud does, ``emulator`` for what only ours can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cloud_under_test import Cloud, Emulator, real_cloud

ASYNC_DELAY_S = "0.15"


@pytest.fixture(scope="module")
def shared_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Shared by the tests of a file, so that what these leave is in no other file's way."""
    emulator = Emulator(tmp_path_factory.mktemp("cloud") / "state", "--async-delay", ASYNC_DELAY_S)
    yield emulator
    assert emulator.running(), emulator.log()
    assert emulator.stop() == 0
    assert "Traceback" not in (emulator.state.parent / "state.log").read_text()


@pytest.fixture(params=["emulated", "real"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """What runs here is meant for any cloud that speaks the API."""
    if request.param == "emulated":
        shared: Emulator = request.getfixturevalue("shared_emulator")
        return shared
    found = real_cloud()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def later() -> Iterator[ExitStack]:
    """Deletes what a test made, last thing first: ``later.callback(client.delete_vpc, vpc_id)``."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Starts an emulator of the test's own with these options."""
    started: list[Emulator] = []

    def begin(*options: str, state: str = "state") -> Emulator:
        started.append(Emulator(tmp_path / state, *options, regions=("bj", "hkg")))
        return started[-1]

    yield begin
    for emulator in started:
        if emulator.running():
            emulator.stop()
        assert "Traceback" not in (emulator.state.parent / f"{emulator.state.name}.log").read_text()


@pytest.fixture
def start_with_hosts(tmp_path: Path) -> Iterator[Emulator]:
    """One socket for all regions: the Host header names them."""
    emulator = Emulator(tmp_path / "state", regions=("any",))
    yield emulator
    assert emulator.stop() == 0
