"""The way from one numbered list to another, entry by entry.

An entry is never there twice, because FRR keeps the old one and says nothing, and a list that is used is never empty,
because an empty one permits everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lanecast_templates.remediation.dialect import Numbered


@dataclass(frozen=True, slots=True)
class Step:
    """Sets entry ``number`` to ``content``; None for the content undoes it, None for the number undoes the list."""

    number: int | None
    content: str | None


def entry_steps(old: Mapping[int, str], new: Mapping[int, str], numbered: Numbered) -> list[Step]:
    """The steps from ``old`` to ``new``."""
    if not new and numbered.whole is not None:
        return [Step(None, None)]
    current = dict(old)
    todo = {number for number in {*old, *new} if old.get(number) != new.get(number)}
    steps: list[Step] = []
    while todo:
        settable, removable = _settable(todo, current, new), _removable(todo, current, new)
        if settable is None and removable is not None:
            steps.append(Step(removable, None))
            del current[removable]
            todo -= {removable} - new.keys()
            continue
        number = min(todo) if settable is None else settable  # the text itself has an entry twice
        if number in current and not numbered.in_place:
            steps.append(Step(number, None))
        steps.append(Step(number, new[number]))
        current[number] = new[number]
        todo.discard(number)
    return _guarded(steps, old, new, numbered)


def _settable(todo: set[int], current: Mapping[int, str], new: Mapping[int, str]) -> int | None:
    """An entry that no other one has now."""
    return next(
        (
            number
            for number in sorted(todo)
            if number in new and all(content != new[number] for other, content in current.items() if other != number)
        ),
        None,
    )


def _removable(todo: set[int], current: Mapping[int, str], new: Mapping[int, str]) -> int | None:
    """One that goes anyway, or else one of a circle of entries that change places."""
    there = (number for number in todo if number in current)
    return min(there, key=lambda number: (number in new, number), default=None)


def _guarded(steps: list[Step], old: Mapping[int, str], new: Mapping[int, str], numbered: Numbered) -> list[Step]:
    if numbered.guard is None or not (old and new and _runs_empty(steps, old)):
        return steps
    last, content = numbered.guard.split(" ", 1)
    if content in old.values():
        return steps  # a second one would be refused
    number = next(free for free in range(int(last), 0, -1) if free not in old and free not in new)
    return [Step(number, content), *steps, Step(number, None)]


def _runs_empty(steps: list[Step], old: Mapping[int, str]) -> bool:
    current = dict(old)
    for step in steps:
        if step.number is None or step.content is None:
            current.pop(step.number or 0, None)
        else:
            current[step.number] = step.content
        if not current:
            return True
    return False
