"""Of every kind of resource: it is imported without a change, a refresh shows what hands did, the next run mends it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emulated_cloud import EmulatedCloud
from engine_runs import Runs
from everything import change_by_hand, everything, order_line, remove_by_hand

from lanecast_infra.provider.declarations import RESOURCES

OWN = "baiducloud:index:"


def ids(runs: Runs, line: str) -> dict[str, str]:
    """The ids of everything in the stack."""
    held = runs.state(lambda: everything(line))
    return {name: str(one["id"]) for name, one in held.items() if one["type"].startswith(OWN)}


def test_every_kind_drifts_and_is_mended(runs: Runs, cloud: EmulatedCloud) -> None:
    line = order_line(cloud)
    made = runs.up(lambda: everything(line))
    assert {one.name for one in RESOURCES.values()} <= set(made.steps)
    runs.refresh(lambda: everything(line))
    assert runs.up(lambda: everything(line)).steps == {}

    expected = change_by_hand(cloud, ids(runs, line))
    shown = runs.refresh(lambda: everything(line))
    assert set(shown.steps) >= set(expected)
    mended = runs.up(lambda: everything(line))
    assert mended.changes == expected
    assert set(mended.steps.values()) == {"update"}
    runs.refresh(lambda: everything(line))
    assert runs.up(lambda: everything(line)).steps == {}

    gone = remove_by_hand(cloud, ids(runs, line))
    runs.refresh(lambda: everything(line))
    again = runs.up(lambda: everything(line))
    assert again.steps == dict.fromkeys(gone, "create")
    assert runs.up(lambda: everything(line)).steps == {}
    runs.destroy(lambda: everything(line))


def test_every_kind_is_imported_without_a_change(runs: Runs, cloud: EmulatedCloud, tmp_path: Path) -> None:
    line = order_line(cloud)
    runs.up(lambda: everything(line))
    there = ids(runs, line)
    other = replace(runs, folder=tmp_path / "other", stack="other")
    taken = other.up(lambda: everything(line, there))
    assert taken.steps == dict.fromkeys(there, "import")
    assert ids(other, line) == there
    assert other.up(lambda: everything(line)).steps == {}
    other.refresh(lambda: everything(line))
    assert other.up(lambda: everything(line)).steps == {}
    other.destroy(lambda: everything(line))
