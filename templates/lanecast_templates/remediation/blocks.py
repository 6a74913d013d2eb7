"""From one configuration of indented blocks to another: hier_config finds the commands, this puts them in an order.

Lists are defined before they are used and removed after; a block that cannot be removed is emptied; a list in use is
never without entries; what a command takes with it is not undone once more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hier_config import HConfig, HConfigChild

from lanecast_templates.grammars import grammar_of
from lanecast_templates.remediation.dialect import (
    Below,
    BlockDialect,
    Numbered,
    Owned,
    Wiped,
    beginning,
    filled,
    matching,
)
from lanecast_templates.remediation.driver import block_driver, tree
from lanecast_templates.remediation.entries import Step as EntryStep
from lanecast_templates.remediation.entries import entry_steps
from lanecast_templates.remediation.lines import Line, begins, blocks, indented_lines


@dataclass(slots=True)
class Step:
    """A command to type, and those to type in its block."""

    text: str
    undoes: bool
    weight: int
    children: list[Step]
    is_block: bool


def block_commands(dialect: BlockDialect, old: str, new: str) -> list[str]:
    """The commands that lead from ``old`` to ``new``, as they are typed in the configuration mode."""
    return _Change(dialect, read(dialect, old), read(dialect, new)).commands()


def commands_afterwards(dialect: BlockDialect, old: str, new: str) -> list[str]:
    """What makes the device hold what it has against the lists that changed, neighbour by neighbour."""
    before, after = read(dialect, old), read(dialect, new)
    wanted: dict[str, None] = {}
    for rule in dialect.afterwards:
        changed = {
            name
            for name, lines in _named(rule.changed, after).items()
            if _named(rule.changed, before).get(name) != lines
        }
        for line in _all(after):
            found = re.search(rule.used, line.text)
            if found is not None and found["list"] in changed:
                wanted[filled(rule.command, (found["peer"],))] = None
    return list(wanted)


def _named(words: str, root: Line) -> dict[str, list[Line]]:
    """The commands of every list, by the list's name."""
    found: dict[str, list[Line]] = {}
    for line in root.children:
        key = _key(words, line.text)
        if key is not None:
            found.setdefault(key[0], []).append(line)
    return found


def _all(line: Line) -> Iterator[Line]:
    for child in line.children:
        yield child
        yield from _all(child)


def read(dialect: BlockDialect, text: str) -> Line:
    """A configuration as a tree, without what is never typed."""
    if dialect.read is not None:
        lines = dialect.read(text)
    else:
        lines = indented_lines(text, dialect.layout or grammar_of(dialect.platform).layout)
    root = Line("", list(_typed(dialect, lines)))
    for numbered in dialect.numbered:
        if numbered.implied is not None:
            for block in blocks(root, _heads(numbered.within)):
                _number(block, numbered, numbered.implied)
    return root


def _number(block: Line, numbered: Numbered, step: int) -> None:
    """Give the entries of a list the numbers that the router gives them."""
    if any(re.match(beginning(numbered.words), line.text) for line in block.children):
        return
    numbers = itertools.count(step, step)
    block.children = [
        Line(f"{filled(numbered.words, (str(next(numbers)),))} {line.text}", line.children)
        if re.match(beginning(numbered.actions), line.text)
        else line
        for line in block.children
        if not begins(line.text, "remark")
    ]


def _typed(dialect: BlockDialect, lines: Iterable[Line]) -> Iterator[Line]:
    for line in lines:
        if not any(begins(line.text, words) for words in dialect.ignored):
            yield Line(line.text, list(_typed(dialect, line.children)))


class _Change:
    """One device's way from one configuration to another."""

    def __init__(self, dialect: BlockDialect, old: Line, new: Line) -> None:
        self.dialect = dialect
        self.old = old
        self.new = new

    def commands(self) -> list[str]:
        self._keep_blocks(self.old, self.new, ())
        self._leave_what_holds()
        rewritten = self._rewritten()
        before = _copy(self.old)
        for owned in self.dialect.owned:
            self._leave_to_owner(owned)
        for wiped in self.dialect.wiped:
            self._forget_wiped(wiped)
        driver = block_driver(self.dialect)
        delta = tree(driver, self.old.children).config_to_get_to(tree(driver, self.new.children)).set_order_weight()
        steps = self._arranged(self._steps(delta, self.new, ()), before, self.new, ())
        return list(self._printed([*rewritten, *steps], 0))

    def _keep_blocks(self, old: Line, new: Line, heads: tuple[str, ...]) -> None:
        """Blocks that cannot be removed stay, and lose their commands.

        First of all: an address is free for another interface only once it is taken off the old one.
        """
        gone = [line for line in old.children if new.child(line.text) is None]
        kept = [line for line in gone if is_kept(self.dialect, (*heads, line.text))]
        for line in kept:
            line.children = [child for child in line.children if child.text not in self.dialect.stays]
        new.children[:0] = [Line(line.text) for line in kept]
        for line in old.children:
            there = new.child(line.text)
            if there is not None:
                self._keep_blocks(line, there, (*heads, line.text))

    def _leave_what_holds(self) -> None:
        for words in self.dialect.holds_anyway:
            *around, command = words.split(" > ")
            for block in blocks(self.old, around):
                there = self._same_block(" > ".join(around), block) or Line("")
                block.children = [
                    line
                    for line in block.children
                    if there.child(line.text) is not None or not re.match(matching(command), line.text)
                ]

    def _rewritten(self) -> list[Step]:
        """What undoes blocks that are typed anew; the old configuration is left without them."""
        steps = []
        for rule in self.dialect.rewritten:
            for line in list(self.old.children):
                key, there = _key(rule.head, line.text), self.new.child(line.text)
                if key is None or there is None or there == line:
                    continue
                used = filled(rule.used, key) if rule.used is not None else None
                users = [each for each in self.old.children if used is not None and begins(each.text, used)]
                undoing = [f"{self.dialect.undo} {used}"] if users else []
                steps += [Step(text, True, 0, [], False) for text in (*undoing, filled(rule.undo, key))]
                self.old.children = [each for each in self.old.children if each is not line and each not in users]
        return steps

    def _leave_to_owner(self, owned: Owned) -> None:
        for block in blocks(self.old, _heads(owned.within)):
            there = self._same_block(owned.within, block)
            if there is None:
                continue
            staying = {_key(owned.owner, line.text) for line in there.children}
            for line in block.children:
                key = _key(owned.owner, line.text)
                goes = key not in staying or (owned.retyped and there.child(line.text) is None)
                if key is not None and goes:
                    _remove(block, beginning(filled(owned.lines, key)), besides=line)

    def _forget_wiped(self, wiped: Wiped) -> None:
        for block in blocks(self.old, _heads(wiped.within)):
            there = self._same_block(wiped.within, block)
            if there is not None and _beginning_with(block, wiped.by) != _beginning_with(there, wiped.by):
                block.children = [line for line in block.children if not begins(line.text, wiped.lines)]

    def _same_block(self, within: str, block: Line) -> Line | None:
        return next((each for each in blocks(self.new, _heads(within)) if each.text == block.text), None)

    def _steps(self, place: HConfig | HConfigChild, new: Line, heads: tuple[str, ...]) -> list[Step]:
        """What hier_config found; what it undoes in the other order, the particular before what it stands on."""
        steps = []
        for child in place.children:
            there = new.child(child.text)
            opens = any(_stands_in((*heads, child.text), each) for each in self.dialect.opening)
            children = self._steps(child, there or Line(""), (*heads, child.text))
            is_block = there is not None and (opens or bool(there.children or children))
            steps.append(Step(child.text, there is None, child.order_weight, children, is_block))
        return [*(step for step in reversed(steps) if step.undoes), *(step for step in steps if not step.undoes)]

    def _arranged(self, steps: list[Step], old: Line, new: Line, heads: tuple[str, ...]) -> list[Step]:
        for step in steps:
            here, there = old.child(step.text) or Line(""), new.child(step.text) or Line("")
            step.children = self._arranged(step.children, here, there, (*heads, step.text))
        for step in steps:
            step.weight += self._phase(step, new, heads)
        owned = [
            beginning(rule.lines) for rule in self.dialect.owned if rule.retyped and _stands_in(heads, rule.within)
        ]
        steps.sort(key=lambda step: (step.weight, any(re.match(lines, step.text) for lines in owned)))
        for below in self.dialect.below:
            if _stands_in(heads, below.within):
                _keep_below(steps, below, old, new, self.dialect.undo)
        for numbered in self.dialect.numbered:
            if _stands_in(heads, numbered.within):
                steps = self._entries(steps, numbered, old, new)
        return steps

    def _phase(self, step: Step, new: Line, heads: tuple[str, ...]) -> int:
        """Definitions come before everything else in their order, and go after it in the other."""
        words = step.text.removeprefix(f"{self.dialect.undo} ") if step.undoes else step.text
        definitions = self.dialect.definitions
        place = next((number for number, each in enumerate(definitions) if _stands_in((*heads, words), each)), None)
        if place is None:
            return 0
        if step.undoes and not self._comes_again(words, new):
            return len(definitions) - place
        return place - len(definitions)

    def _comes_again(self, words: str, new: Line) -> bool:
        keys = {(head, key) for head in self.dialect.replaced if (key := _key(head, words)) is not None}
        return any((head, _key(head, line.text)) in keys for head, _ in keys for line in new.children)

    def _entries(self, steps: list[Step], numbered: Numbered, old: Line, new: Line) -> list[Step]:
        """The steps with those of numbered lists in an order in which no entry is there twice and no list empty."""
        before, after = _lists(numbered, old), _lists(numbered, new)
        result, planned = [], set()
        for step in steps:
            name = self._list_of(step, numbered)
            if name is None:
                result.append(step)
            elif name not in planned:
                planned.add(name)
                found = entry_steps(before.get(name, {}), after.get(name, {}), numbered)
                result += [self._entry(each, name, numbered, step.weight) for each in found]
        return result

    def _list_of(self, step: Step, numbered: Numbered) -> tuple[str, ...] | None:
        if step.undoes:
            found = re.match(matching(f"{self.dialect.undo} {numbered.words}"), step.text)
        else:
            found = re.match(beginning(f"{numbered.words} {numbered.actions}"), step.text)
        return found.groups()[:-1] if found else None

    def _entry(self, entry: EntryStep, name: tuple[str, ...], numbered: Numbered, weight: int) -> Step:
        if entry.number is None:
            return Step(f"{self.dialect.undo} {filled(numbered.whole or '', name)}", True, weight, [], False)
        words = filled(numbered.words, (*name, str(entry.number)))
        if entry.content is None:
            return Step(f"{self.dialect.undo} {words}", True, weight, [], False)
        return Step(f"{words} {entry.content}", False, weight, [], False)

    def _printed(self, steps: Iterable[Step], depth: int) -> Iterator[str]:
        for step in steps:
            yield " " * depth + step.text
            if step.is_block and not step.undoes:
                yield from self._printed(step.children, depth + 1)
                exits = (word for head, word in self.dialect.exits.items() if begins(step.text, head))
                yield " " * depth + next(exits, self.dialect.exit_word)


def is_kept(dialect: BlockDialect, heads: tuple[str, ...]) -> bool:
    """Whether this block stays, whatever is asked for."""
    return any(
        len(patterns) == len(heads) and all(map(re.match, patterns, heads))
        for patterns in (each.split(" > ") for each in dialect.kept)
    )


def _heads(within: str) -> tuple[str, ...]:
    return tuple(within.split(" > ")) if within else ()


def _stands_in(heads: tuple[str, ...], within: str) -> bool:
    wanted = _heads(within)
    return len(heads) == len(wanted) and all(begins(*pair) for pair in zip(heads, wanted, strict=True))


def _key(words: str, text: str) -> tuple[str, ...] | None:
    found = re.match(beginning(words), text)
    return found.groups() if found else None


def _copy(line: Line) -> Line:
    return Line(line.text, [_copy(child) for child in line.children])


def _remove(place: Line, pattern: str, besides: Line) -> None:
    place.children = [line for line in place.children if line is besides or not re.match(pattern, line.text)]
    for line in place.children:
        _remove(line, pattern, besides)


def _beginning_with(block: Line, words: str) -> list[str]:
    return [line.text for line in block.children if begins(line.text, words)]


def _lists(numbered: Numbered, place: Line) -> dict[tuple[str, ...], dict[int, str]]:
    """Every list's entries by number."""
    found: dict[tuple[str, ...], dict[int, str]] = {}
    for line in place.children:
        match = re.match(beginning(numbered.words), line.text)
        content = line.text[match.end() :].strip() if match else ""
        if match is not None and re.match(beginning(numbered.actions), content):
            *name, number = match.groups()
            found.setdefault(tuple(name), {})[int(number)] = content
    return found


def _keep_below(steps: list[Step], below: Below, old: Line, new: Line, undo: str) -> None:
    """Put the two settings into the order in which the lower one is below the upper one at every step."""
    places = [_place(steps, words, undo) for words in (below.lower, below.upper)]
    if None in places:
        return
    lower, upper = (place for place in places if place is not None)
    upper_before = _value(old, below.upper, below.upper_default) * below.lower_per_upper
    upper_first = _value(new, below.lower, below.lower_default) >= upper_before
    if (upper < lower) is not upper_first:
        steps[lower], steps[upper] = steps[upper], steps[lower]


def _place(steps: list[Step], words: str, undo: str) -> int | None:
    found = (number for number, step in enumerate(steps) if begins(step.text.removeprefix(f"{undo} "), words))
    return next(found, None)


def _value(place: Line, words: str, default: int) -> int:
    found = (re.match(matching(f"{words} {{}}"), line.text) for line in place.children)
    return next((int(match[1]) for match in found if match is not None), default)
