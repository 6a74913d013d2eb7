"""The benchmark of provider and emulated cloud, small: the real engine, and a list of two pages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lanecast_bench import cloud, cloud_lists, cloud_program
from lanecast_bench.cloud import CloudRun
from lanecast_bench.cloud_lists import PageTimes
from lanecast_bench.cloud_stack import StackTimes
from lanecast_bench.machine import Machine

HERE = Machine(kernel="6.18", processor="p", processors=2, memory_bytes=1 << 34, revision="0123456789ab")


def judged(up_s: float = 100, unchanged_s: float = 20, page_ms: float = 20) -> list[str]:
    """The verdicts of such figures."""
    run = CloudRun(
        started_at=datetime.now(UTC),
        machine=HERE,
        stack=StackTimes(1000, up_s, unchanged_s, 10, 50, 0.1),
        pages=[PageTimes("vpc", 1, 10, 100, 5), PageTimes("subnet", 1, page_ms, 100, 5)],
    )
    return [verdict for _, _, verdict in run.rows if verdict]


def test_each_bound_is_held_to() -> None:
    assert judged() == ["pass", "pass", "pass"]
    assert judged(up_s=181) == ["FAIL", "pass", "pass"]
    assert judged(unchanged_s=41) == ["pass", "FAIL", "pass"]
    assert judged(page_ms=51) == ["pass", "pass", "FAIL"]


def test_it_measures_a_stack_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "QUIET_WAIT_S", 0)
    monkeypatch.setattr(cloud_lists, "COUNT", 1500)
    told: list[str] = []
    run = cloud.measure(1, told.append)
    assert run.stack.resources == cloud_program.A_NETWORK
    assert min(run.stack.up_s, run.stack.unchanged_s, run.stack.refresh_s, run.stack.destroy_s) > 0
    assert [one.kind for one in run.pages] == list(cloud_lists.KINDS)
    assert all(0 < one.least_ms <= one.median_ms <= one.most_ms for one in run.pages)
    assert told == ["a stack of 1 resources", "lists of 1,500"]
    assert CloudRun.model_validate_json(run.model_dump_json()) == run
