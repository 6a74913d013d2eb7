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
WITH_CAPTURES = "with captures"
"""Stands in the report of such a test, which may come from another process."""


@pytest.fixture
def captures() -> Path:
    """The folder of captures; skips where it is absent."""
    if not CAPTURES.is_dir():
        pytest.skip(f"{NO_CAPTURES}: LANECAST_CAPTURES names no folder")
    return CAPTURES


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--lab`: which of the two parts of the tests run."""
    choices = ("without", "only")
    parser.addoption("--lab", choices=choices, help="leave out the tests that build a network, or run them alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The lab's tests need root; they run last, because they take longest."""
    lab = [item for item in items if item.get_closest_marker("lab")]
    others = [item for item in items if not item.get_closest_marker("lab")]
    for item in lab if os.geteuid() != 0 else ():
        item.add_marker(pytest.mark.skip(reason="a lab makes network namespaces: run as root"))
    parts = {None: (others + lab, []), "without": (others, lab), "only": (lab, others)}
    items[:], left_out = parts[config.getoption("--lab")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips for want of captures fails where the captures are."""
    report = yield
    _refuse_skipped_captures(report)
    if "captures" in getattr(item, "fixturenames", ()):
        report.user_properties.append((WITH_CAPTURES, True))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips as a whole."""
    report = yield
    _refuse_skipped_captures(report)
    return report


class Replays:
    """Counts the tests that passed with captures; it hears of those of other processes, too."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        config.stash[PLAYED] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One more, or not."""
        if report.when == "call" and report.passed and (WITH_CAPTURES, True) in map(tuple, report.user_properties):
            self.config.stash[PLAYED].append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Continuous integration that has captures fails when no test replayed one, whatever the reason."""
        if os.environ.get("CI") and CAPTURES.is_dir() and not self.config.stash[PLAYED]:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_configure(config: pytest.Config) -> None:
    """The process that reports counts, not those that it gives tests to."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Replays(config))


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
