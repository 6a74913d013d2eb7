"""What all tests share: where captures are, and what may be skipped on which machine."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CAPTURES = Path(os.environ.get("LANECAST_CAPTURES", ROOT.parent / "shared" / "captures"))
"""Real exchange traffic, on machines that have it."""

NO_CAPTURES = "captures are not on this machine"


@pytest.fixture
def captures() -> Path:
    """The folder of captures; skips where it is absent."""
    if not CAPTURES.is_dir():
        pytest.skip(f"{NO_CAPTURES}: LANECAST_CAPTURES names no folder")
    return CAPTURES


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The lab's tests need root; they run last, because they take longest."""
    for item in items:
        if item.get_closest_marker("lab") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="a lab makes network namespaces: run as root"))
    items.sort(key=lambda item: item.get_closest_marker("lab") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips for want of captures fails where the captures are."""
    report = yield
    _refuse_skipped_captures(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips as a whole."""
    report = yield
    _refuse_skipped_captures(report)
    return report


def _refuse_skipped_captures(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (report.skipped and isinstance(report.longrepr, tuple) and CAPTURES.is_dir()):
        return
    path, line, reason = report.longrepr
    if "capture" in reason:
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: skipped although {CAPTURES} is there: {reason}"
