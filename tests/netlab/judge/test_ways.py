"""A message that is sooner there than the delays on its way allow is told, and none other."""

from __future__ import annotations

from pathlib import Path

import pytest

from lanecast.fabric import Fabric
from lanecast_lab.judge.model import SubscriberResult
from lanecast_lab.judge.ways import fastest_way_ns, no_shortcuts
from lanecast_lab.loading import load_fabric

MS = 1_000_000
WAYS_MS = {"quotes-hk-1": 3, "audit-bj-1": 27, "quotes-bj-1": 27}
"""Circuit and uplink; to bj two peerings more: 2 + 1, and 2 + 1 + 8 + 16."""


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return load_fabric(str(Path(__file__).parents[3] / "examples/three-regions.yaml"))[0]


def result(name: str, *latencies_ns: int) -> SubscriberResult:
    count = len(latencies_ns)
    return SubscriberResult(
        name=name,
        feed="cme-310",
        stream="310",
        expected=count,
        received=count,
        intact=count,
        duplicated=0,
        out_of_order=0,
        corrupted=0,
        unexpected=0,
        only_on={},
        recovered=0,
        never_sent=(),
        lost_on_the_way=(),
        latencies_ns=latencies_ns,
        undisturbed_ns=latencies_ns,
    )


@pytest.mark.parametrize("instance", WAYS_MS)
def test_the_fastest_way_is_a_circuit_an_uplink_and_the_peerings(fabric: Fabric, instance: str) -> None:
    assert fastest_way_ns(fabric, "cme-310", instance) == WAYS_MS[instance] * MS


@pytest.mark.parametrize(("early_ns", "passed"), [(0, True), (1, False)])
def test_one_message_that_comes_too_soon_is_enough(fabric: Fabric, early_ns: int, passed: bool) -> None:
    results = [result(name, *(ms * MS + later for later in (0, 5 * MS))) for name, ms in WAYS_MS.items()]
    results[1] = result("audit-bj-1", 27 * MS - early_ns, 40 * MS)
    (check,) = no_shortcuts(fabric, fabric.feed("cme-310"), results)
    assert check.passed is passed
    if not passed:
        assert (check.wanted, check.detail.partition(":")[0]) == (27, "audit-bj-1")


def test_of_several_streams_the_fastest_counts(fabric: Fabric) -> None:
    results = [result("audit-bj-1", 26 * MS), result("audit-bj-1", 30 * MS)]
    for order in (results, results[::-1]):
        (check,) = no_shortcuts(fabric, fabric.feed("cme-310"), order)
        assert (check.passed, check.measured) == (False, 26)


def test_where_nothing_arrived_nothing_is_said(fabric: Fabric) -> None:
    assert list(no_shortcuts(fabric, fabric.feed("cme-310"), [result("audit-bj-1")])) == []
