"""Which stack runs when: again when what it takes from another has moved, and not otherwise."""

from __future__ import annotations

from lanecast_infra.deployment.engine import Outcome
from lanecast_infra.deployment.rounds import Progress
from lanecast_infra.outputs import has_moved

NOBODY: dict[str, dict[str, str]] = {}


def ran(stack: str, taken: dict[str, dict[str, dict[str, str]]], error: bool = False) -> Progress:
    one = Progress(stack)
    one.note(Outcome(succeeded=not error, outputs={"taken": taken}))
    return one


def test_a_stack_that_has_not_run_is_due() -> None:
    assert Progress("hk").is_due(NOBODY)


def test_what_was_not_there_and_is_makes_it_run_again() -> None:
    hk = ran("hk", {"gz": {"vpcs": {"gz.core": ""}}})
    assert not hk.is_due({"gz": {"vpcs": {}}})
    assert not hk.is_due({"gz": {"vpcs": {"gz.other": "vpc-2"}, "peerings": {"gz.core": "peerconn-1"}}})
    assert hk.is_due({"gz": {"vpcs": {"gz.core": "vpc-1"}}})


def test_what_was_there_and_is_another_or_gone_makes_it_run_again() -> None:
    hk = ran("hk", {"gz": {"vpcs": {"gz.core": "vpc-1"}}})
    assert not hk.is_due({"gz": {"vpcs": {"gz.core": "vpc-1"}}})
    assert hk.is_due({"gz": {"vpcs": {"gz.core": "vpc-2"}}})
    assert hk.is_due({"gz": {"vpcs": {}}})
    assert hk.is_due({"gz": {}})


def test_a_stack_that_is_none_of_this_run_is_not_waited_for() -> None:
    assert not has_moved({"gz": {"vpcs": {"gz.core": ""}}}, {"bj": {"vpcs": {"gz.core": "vpc-1"}}})


def test_one_that_failed_is_tried_again_when_another_has_changed_something() -> None:
    hk = ran("hk", {}, error=True)
    assert not hk.is_due({"gz": {"vpcs": {"gz.core": "vpc-1"}}})
    hk.stirred = True
    assert hk.is_due(NOBODY)
