"""What all tests share: where captures are, and what may be skipped on which machine."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CAPTURES = (ROOT / os.environ.get("LANECAST_CAPTURES", "../shared/captures")).resolve()
"""Real exchange traffic, on machines that have it; a relative LANECAST_CAPTURES starts at the repository's root."""

NO_CAPTURES = "captures are not on this machine"
PLAYED = pytest.StashKey[list[str]]()
"""The tests that passed with captures."""


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
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips for want of captures fails where the captures are."""
    report = yield
    _refuse_skipped_captures(report)
    if report.when == "call" and report.passed and "captures" in getattr(item, "fixturenames", ()):
        item.config.stash[PLAYED].append(item.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips as a whole."""
    report = yield
    _refuse_skipped_captures(report)
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Nothing was replayed yet."""
    config.stash[PLAYED] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Continuous integration that has captures fails when no test replayed one, whatever the reason."""
    if os.environ.get("CI") and CAPTURES.is_dir() and not session.config.stash[PLAYED]:
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says so when captures are there and no test replayed one."""
    if CAPTURES.is_dir() and not config.stash[PLAYED]:
        terminalreporter.write_line(f"{CAPTURES} is there, and no test replayed a capture of it", red=True)


def _refuse_skipped_captures(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (report.skipped and isinstance(report.longrepr, tuple) and CAPTURES.is_dir()):
        return
    path, line, reason = report.longrepr
    if "capture" in reason:
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: skipped although {CAPTURES} is there: {reason}"
