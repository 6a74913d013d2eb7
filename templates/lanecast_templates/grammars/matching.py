"""Words against the notation of a rule, with what was expected where the words stopped fitting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import takewhile

from lanecast_templates.grammars.notation import (
    AnyOrder,
    Choice,
    Keyword,
    Optional,
    Parameter,
    Part,
    Repeated,
    Sequence,
)
from lanecast_templates.grammars.parameters import Word
from lanecast_templates.grammars.schema import TOP
from lanecast_templates.grammars.secrets import HIDDEN, means_one_for_secret, secret_at, shown_up_to

Values = Mapping[str, tuple[str, ...]]
_MOST_SHOWN = 6


@dataclass(slots=True)
class Attempt:
    """One statement's words, and the furthest place at which any rule stopped fitting them.

    ``bracketed``: the text writes lists of values in square brackets. ``around``: the heads of the blocks around it.
    ``context``: the one whose rules are being tried; ``stopped_in``: the one of the furthest place.
    """

    words: tuple[Word, ...]
    bracketed: bool = False
    around: tuple[Word, ...] = ()
    context: str = TOP
    stopped_in: str = TOP
    furthest: int = 0
    expected: dict[str, None] = field(default_factory=dict)

    def note(self, position: int, expected: str) -> None:
        if position > self.furthest or (not self.expected and position == self.furthest):
            self.furthest, self.expected, self.stopped_in = position, {}, self.context
        if position == self.furthest:
            self.expected[expected] = None

    def text(self) -> str:
        """The words as a message may show them: nothing behind one that is short for, or misspells, ``password``."""
        visible, found = secret_at(self.words, self.around), self._found()
        if found is not None and means_one_for_secret(found, (each.strip("'") for each in self.expected)):
            visible = min(visible, self.furthest + 1)
        return shown_up_to(visible, self.words)

    def wanted(self) -> str:
        """What was expected at the furthest place, the likest first."""
        found = self._found() or ""
        by_likeness = sorted(self.expected, key=lambda each: -SequenceMatcher(None, each.strip("'"), found).ratio())
        rest = len(by_likeness) - _MOST_SHOWN
        shown = " or ".join(by_likeness[:_MOST_SHOWN])
        return shown if rest <= 0 else f"{shown} or {rest} others"

    def found(self) -> str:
        found = self._found()
        return "the end of the command" if found is None else f"'{found}'"

    def _found(self) -> str | None:
        if self.furthest >= len(self.words):
            return None
        return self.words[self.furthest].text if self.furthest < secret_at(self.words, self.around) else HIDDEN


def fits(part: Part, attempt: Attempt, position: int, values: Values) -> Iterator[tuple[int, Values]]:
    """Every way in which ``part`` fits from ``position``: where it ends, and the values read up to there."""
    match part:
        case Keyword():
            yield from _keyword(part, attempt, position, values)
        case Parameter():
            yield from _parameter(part, attempt, position, values)
        case Sequence():
            yield from _sequence(part.items, attempt, position, values)
        case Choice():
            for item in part.items:
                yield from fits(item, attempt, position, values)
        case Optional():
            yield from fits(part.item, attempt, position, values)
            yield position, values
        case AnyOrder():
            yield from _any_order(part.items, attempt, position, values)
        case Repeated():
            yield from _repeated(part.item, attempt, position, values)


def _keyword(part: Keyword, attempt: Attempt, position: int, values: Values) -> Iterator[tuple[int, Values]]:
    word = attempt.words[position] if position < len(attempt.words) else None
    if word is not None and word.text == part.text and not word.listed:
        yield position + 1, values
    else:
        attempt.note(position, f"'{part.text}'")


def _parameter(part: Parameter, attempt: Attempt, position: int, values: Values) -> Iterator[tuple[int, Values]]:
    end = position + part.kind.width if part.kind.width else len(attempt.words)
    words = attempt.words[position:end]
    complete = bool(words) and end <= len(attempt.words) and not any(word.listed for word in words)
    found = part.kind.read(words) if complete else None
    if found is None:
        attempt.note(position, part.kind.expected)
        return
    named = {name or part.name: (text,) for name, text in found.items()}
    yield end, {**values, **{name: values.get(name, ()) + text for name, text in named.items()}}


def _sequence(items: tuple[Part, ...], attempt: Attempt, position: int, values: Values) -> Iterator[tuple[int, Values]]:
    if not items:
        yield position, values
        return
    for after, read in fits(items[0], attempt, position, values):
        yield from _sequence(items[1:], attempt, after, read)


def _any_order(
    items: tuple[Part, ...], attempt: Attempt, position: int, values: Values
) -> Iterator[tuple[int, Values]]:
    for index, item in enumerate(items):
        for after, read in fits(item, attempt, position, values):
            if after > position:
                yield from _any_order(items[:index] + items[index + 1 :], attempt, after, read)
    yield position, values


def _repeated(item: Part, attempt: Attempt, position: int, values: Values) -> Iterator[tuple[int, Values]]:
    """The longest run first. Where lists stand in brackets, several values without brackets are no list."""
    if position < len(attempt.words) and attempt.words[position].listed:
        yield from _list(item, attempt, position, values)
        return
    for after, read in fits(item, attempt, position, values):
        if after > position and not attempt.bracketed:
            yield from _repeated(item, attempt, after, read)
        yield after, read


def _list(item: Part, attempt: Attempt, position: int, values: Values) -> Iterator[tuple[int, Values]]:
    """A bracketed list, which must fit from its first to its last value."""
    run = tuple(takewhile(lambda word: word.listed, attempt.words[position:]))
    inner = Attempt(tuple(replace(word, listed=False) for word in run))
    for after, read in fits(Repeated(item), inner, 0, values):
        if after == len(run):
            yield position + after, read
        else:
            inner.note(after, "']'")
    for expected in inner.expected:
        attempt.note(position + inner.furthest, expected)
