"""A plan's file to a checked plan: every mistake at once, with its line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lanecast.plan.checks import check_plan
from lanecast.plan.model import Plan
from lanecast_relay.config.document import Document, DocumentError, Problem, load_document, validate


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan that passed every check, the document that it came from, and what is worth a warning."""

    plan: Plan
    document: Document
    warnings: tuple[Problem, ...]

    @property
    def name(self) -> str:
        """The plan's name: its file's, without the ending."""
        return self.document.path.stem


def load_plan(path: Path) -> LoadedPlan:
    """Read and check a plan.

    Raises ``UnreadableDocument`` when the file cannot be read and ``DocumentError`` with every mistake, sorted by line.
    """
    document = load_document(path)
    plan = validate(Plan, document)
    problems = list(check_plan(plan, document))
    if any(problem.severity == "error" for problem in problems):
        raise DocumentError(problems)
    return LoadedPlan(plan, document, tuple(problems))
