"""What the lab's own wires did to a run: lost frames make it invalid, late ones leave a broken p99 unshown."""

from __future__ import annotations

from typing import Any

import pytest

from lanecast_lab.judge import Check, RunInvalid, Verdict
from lanecast_lab.run import excuse_late_wires, refuse_lossy_wires

MS = 1_000_000


def wire(name: str, late_ms: float = 0.1, dropped: dict[str, int] | None = None) -> dict[str, Any]:
    reasons = dropped or {}
    return {"name": name, "late_p99_ns": int(late_ms * MS), "dropped": sum(reasons.values()), "dropped_by": reasons}


def verdict(p99_ms: float) -> Verdict:
    checks = [
        Check("quotes delivered", False, 0, 3, "messages", "3 missing"),
        Check("quotes p99", p99_ms <= 60, 60.0, p99_ms, "ms", "app-1 is the slowest"),
    ]
    return Verdict("plan", 1, checks)


def test_a_wire_that_lost_frames_makes_the_run_invalid() -> None:
    with pytest.raises(RunInvalid, match=r"up-1: the lab's wire dropped 7 frames .*kernel.*--speed"):
        refuse_lossy_wires([wire("up-0"), wire("up-1", dropped={"kernel": 7})])
    refuse_lossy_wires([wire("up-0")])


def test_late_wires_excuse_a_p99_and_nothing_else() -> None:
    broken = verdict(75)
    excuse_late_wires(broken, [wire("up-0"), wire("up-1", late_ms=20)])
    assert [check.passed for check in broken.checks] == [False, None]
    assert "up-1 was 20.0 ms late" in broken.checks[1].detail
    assert "up-1" in broken.notes[0]
    assert not broken.passed


def test_wires_in_time_excuse_nothing_and_a_kept_promise_stays_kept() -> None:
    broken = verdict(75)
    excuse_late_wires(broken, [wire("up-0", late_ms=0.5)])
    assert [check.passed for check in broken.checks] == [False, False]
    assert broken.notes == []
    kept = verdict(30)
    excuse_late_wires(kept, [wire("up-0", late_ms=20)])
    assert kept.checks[1].passed is True
    excuse_late_wires(kept, [])
