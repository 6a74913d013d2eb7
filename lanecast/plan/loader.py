"""A plan's file to a checked plan: every mistake at once, with its line."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lanecast.plan.checks import check_part, check_plan
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
    try:
        plan = validate(Plan, document)
    except DocumentError as error:
        raise DocumentError([*error.problems, *_problems_elsewhere(document)]) from None
    problems = list(check_plan(plan, document))
    if any(problem.severity == "error" for problem in problems):
        raise DocumentError(problems)
    return LoadedPlan(plan, document, tuple(problems))


SALVAGE_ATTEMPTS = 5
"""Leaving out what is wrong may leave a section empty, which is wrong in turn: so often it is tried again."""


def _problems_elsewhere(document: Document) -> Iterator[Problem]:
    """What is wrong besides the schema's errors: in the plan without the entries that have one."""
    data = deepcopy(document.data)
    for _ in range(SALVAGE_ATTEMPTS):
        try:
            plan = Plan.model_validate(data)
        except ValidationError as error:
            for details in error.errors():
                _leave_out(data, details["loc"])
        else:
            yield from check_part(plan, document)
            return


def _leave_out(data: dict[str, Any], loc: tuple[int | str, ...]) -> None:
    """Remove the innermost entry around a wrong field: a circuit, a line, a feed; or the section when it is that."""
    places: list[tuple[dict[str, Any], str]] = []
    current: Any = data
    for key in loc:
        if not isinstance(current, dict) or key not in current:
            break
        places.append((current, str(key)))
        current = current[key]
    if places:
        holder, key = places[-2] if len(places) > 2 else places[-1]
        holder.pop(key, None)
