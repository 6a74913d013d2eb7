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
    """The steps from ``old`` to ``new``; what moves to another number is gone for no more than a command or two."""
    if not new and numbered.whole is not None:
        return [Step(None, None)]
    current = dict(old)
    todo = {number for number in {*old, *new} if old.get(number) != new.get(number)}
    steps: list[Step] = []
    while todo:
        wanted = [number for number in todo if number in new]
        for number in _displaced(min(wanted or todo), current, new, todo):
            steps += _settled(number, current, new, numbered)
            todo -= {number} | (todo - current.keys() - new.keys())
    return _guarded(steps, old, new, numbered)


def _displaced(number: int, current: Mapping[int, str], new: Mapping[int, str], todo: set[int]) -> list[int]:
    """The entry, before it the one that takes in what stands there now, before that what stands there, and so on."""
    chain = [number]
    places = {content: other for other, content in new.items() if other in todo and not _may_be_twice(content)}
    while (following := places.get(current.get(chain[-1], ""))) is not None and following not in chain:
        chain.append(following)
    return chain[::-1]


def _settled(number: int, current: dict[int, str], new: Mapping[int, str], numbered: Numbered) -> list[Step]:
    """The steps that settle one entry; ``current`` follows."""
    steps = []
    if number in current and (number not in new or not numbered.in_place):
        steps.append(Step(number, None))
        del current[number]
    twice = _same_entry(number, current, new)
    if twice is not None and new.get(twice) != current[twice]:
        steps.append(Step(twice, None))
        del current[twice]
    if number in new:
        steps.append(Step(number, new[number]))
        current[number] = new[number]
    return steps


def _may_be_twice(content: str) -> bool:
    return content.startswith("remark ")


def _same_entry(number: int, current: Mapping[int, str], new: Mapping[int, str]) -> int | None:
    """Where the entry that is asked for at ``number`` stands now."""
    content = new.get(number)
    if content is None or _may_be_twice(content):
        return None
    return next((other for other, there in current.items() if other != number and there == content), None)


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
