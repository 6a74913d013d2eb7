"""A plan's file to a checked plan: every mistake at once, with its line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lanecast.plan.model import Plan
from lanecast.plan.repair import problems_besides
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


MISTAKES_OF_FORM = 2000
"""With more than these a file is hardly a plan yet, and an answer in seconds is worth more."""


def load_plan(path: Path) -> LoadedPlan:
    """Read and check a plan.

    Raises ``UnreadableDocument`` when the file cannot be read and ``DocumentError`` with every mistake, sorted by line.
    """
    try:
        document, problems = load_document(path), []
    except DocumentError as error:
        if error.document is None:
            raise
        document, problems = error.document, error.problems
    plan: Plan | None = None
    try:
        plan = validate(Plan, document)
    except DocumentError as error:
        problems = [*problems, *error.problems]
    if len(problems) <= MISTAKES_OF_FORM:
        problems = [*problems, *problems_besides(document)]
    else:
        message = (
            f"more than {MISTAKES_OF_FORM} mistakes of form: how entries fit together is checked once they are mended"
        )
        problems = [*problems, document.problem((), message)]
    if plan is None or any(problem.severity == "error" for problem in problems):
        raise DocumentError(problems)
    return LoadedPlan(plan, document, tuple(problems))
