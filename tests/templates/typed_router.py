"""Models of a router that is typed into, which take a platform's commands one by one and refuse what a router would.

They share the tables of what replaces what with the code that they judge, and nothing of how it finds or orders commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lanecast_templates.remediation.blocks import is_kept
from lanecast_templates.remediation.dialect import BlockDialect, Numbered, PathDialect, Setting, beginning, matching
from lanecast_templates.remediation.lines import Line, begins


class Refused(AssertionError):
    """What a router would not take, or would take and be open or broken for a while."""


@dataclass
class TypedRouter:
    """A router of indented blocks. ``defined``: the lists of both configurations, none of which may be used before it is
    there."""

    dialect: BlockDialect
    root: Line
    defined: frozenset[str] = frozenset()
    open_blocks: list[Line] = field(default_factory=list)

    def type(self, commands: list[str]) -> None:
        for number, command in enumerate(commands):
            following = commands[number + 1] if number + 1 < len(commands) else ""
            text, depth = command.strip(), len(command) - len(command.lstrip())
            exits = {self.dialect.exit_word, *self.dialect.exits.values()}
            if text in exits and depth == len(self.open_blocks) - 1:
                self._leave(text)
                continue
            if depth != len(self.open_blocks):
                raise Refused(f"{command!r} is typed in the block of {[line.text for line in self.open_blocks]}")
            if text.startswith(f"{self.dialect.undo} ") and not self._is_negative_setting(text):
                self._undo(text.removeprefix(f"{self.dialect.undo} "))
            else:
                line = self._set(text)
                is_left = following == " " * depth + self._exit_of(text)
                if is_left and depth and begins(self.open_blocks[0].text, "interface"):
                    raise Refused(f"{text} opens no block")
                if is_left or len(following) - len(following.lstrip()) > depth:
                    self.open_blocks.append(line)
        if self.open_blocks:
            raise Refused(f"not left: {self.open_blocks[-1].text}")

    def _here(self) -> Line:
        return self.open_blocks[-1] if self.open_blocks else self.root

    def _heads(self) -> tuple[str, ...]:
        return tuple(line.text for line in self.open_blocks)

    def _exit_of(self, head: str) -> str:
        return next((word for start, word in self.dialect.exits.items() if begins(head, start)), self.dialect.exit_word)

    def _leave(self, text: str) -> None:
        if text != self._exit_of(self.open_blocks[-1].text):
            raise Refused(f"{text} does not leave {self.open_blocks[-1].text}")
        self.open_blocks.pop()

    def _is_negative_setting(self, text: str) -> bool:
        """``no shutdown`` as a line of its own: there is nothing to undo, or the line is already there."""
        positive = text.removeprefix(f"{self.dialect.undo} ")
        here = self._here()
        if any(self._is_undone_by(line.text, positive) for line in here.children):
            return False
        return here.child(text) is not None or not any(begins(line.text, positive) for line in here.children)

    def _undo(self, words: str) -> None:
        here = self._here()
        if is_kept(self.dialect, (*self._heads(), words)):
            raise Refused(f"{words} cannot be removed")
        whole = here.child(words) is not None
        gone = [
            line
            for line in here.children
            if (line.text == words if whole else begins(line.text, words)) or self._is_undone_by(line.text, words)
        ]
        if not gone:
            raise Refused(f"nothing to undo: {words}")
        here.children = [line for line in here.children if line not in gone]
        for owned in self.dialect.owned:
            for line in gone:
                found = re.match(beginning(owned.owner), line.text)
                if found and self._stands_in(owned.within):
                    self._take_along(here, _filled(owned.lines, found.groups()))
        self._wipe([line.text for line in gone])
        self._check_lists(words)

    def _is_undone_by(self, text: str, words: str) -> bool:
        for within, settings in self.dialect.settings.items():
            for setting in settings if self._stands_in(within) else ():
                if isinstance(setting, Setting) and setting.undo is not None:
                    found = re.match(matching(setting.words), text)
                    if found and _filled(setting.undo, found.groups()) == f"{self.dialect.undo} {words}":
                        return True
        return False

    def _take_along(self, place: Line, words: str) -> None:
        place.children = [line for line in place.children if not re.match(beginning(words), line.text)]
        for line in place.children:
            self._take_along(line, words)

    def _set(self, text: str) -> Line:
        here = self._here()
        there = here.child(text)
        if there is not None:
            return there
        self._check_numbers(text)
        self._check_uses(text)
        opposite = f"{self.dialect.undo} {text}"
        if text.startswith(f"{self.dialect.undo} "):
            opposite = text.removeprefix(f"{self.dialect.undo} ")
        here.children = [
            line for line in here.children if line.text != opposite and not self._replaces(text, line.text)
        ]
        line = Line(text)
        here.children.append(line)
        self._wipe([text])
        return line

    def _stands_in(self, within: str) -> bool:
        heads, wanted = self._heads(), tuple(within.split(" > ")) if within else ()
        return len(heads) == len(wanted) and all(begins(*pair) for pair in zip(heads, wanted, strict=True))

    def _replaces(self, new: str, old: str) -> bool:
        for within, settings in self.dialect.settings.items():
            for setting in settings if self._stands_in(within) else ():
                setting = setting if isinstance(setting, Setting) else Setting(setting)
                if setting.replaces and _same(matching(setting.words), new, old):
                    return True
        return any(
            self._stands_in(numbered.within) and _same(beginning(f"{numbered.words} {numbered.actions}"), new, old)
            for numbered in self.dialect.numbered
        )

    def _wipe(self, texts: list[str]) -> None:
        for wiped in self.dialect.wiped:
            if self._stands_in(wiped.within) and any(begins(text, wiped.by) for text in texts):
                here = self._here()
                here.children = [line for line in here.children if not begins(line.text, wiped.lines)]

    def _entries(self, numbered: Numbered) -> list[tuple[tuple[str, ...], str]]:
        found = (
            (match.groups(), line.text[match.end() :].strip())
            for line in self._here().children
            if (match := re.match(beginning(numbered.words), line.text))
            and re.match(beginning(f"{numbered.words} {numbered.actions}"), line.text)
        )
        return list(found)

    def _check_numbers(self, text: str) -> None:
        for numbered in self.dialect.numbered:
            match = re.match(beginning(numbered.words), text)
            is_entry = re.match(beginning(f"{numbered.words} {numbered.actions}"), text)
            if match is None or not is_entry or not self._stands_in(numbered.within):
                continue
            *name, number = match.groups()
            content = text[match.end() :].strip()
            for key, other in self._entries(numbered):
                if list(key[:-1]) == name and key[-1] == number and not numbered.in_place:
                    raise Refused(f"{text}: the number is taken")
                if (
                    list(key[:-1]) == name
                    and key[-1] != number
                    and other == content
                    and not content.startswith("remark ")
                ):
                    raise Refused(f"{text}: the entry is there as number {key[-1]}")

    def _check_lists(self, words: str) -> None:
        """A list whose last entry goes while it is used, and comes again, permits everything meanwhile."""
        if self.dialect.session.atomic:
            return  # nothing is used before the commit
        for definition in self.dialect.definitions:
            if begins(words, definition):
                rest = words.removeprefix(definition).split()
                names = [word for word in rest if word in self.defined]
                left = any(begins(line.text, definition) and names[0] in line.text.split() for line in self.root.children) if names else True  # fmt: skip
                if names and not left and self._is_used(names[0], definition):
                    raise Refused(f"{words}: {names[0]} is still used")

    def _is_used(self, name: str, definition: str) -> bool:
        return any(name in line.text.split() for line in _below(self.root) if not begins(line.text, definition))

    def _check_uses(self, text: str) -> None:
        if not self.open_blocks and any(begins(text, definition) for definition in self.dialect.definitions):
            return
        for word in text.split():
            if word in self.defined and not self._is_defined(word):
                raise Refused(f"{text}: {word} is not there yet")

    def _is_defined(self, name: str) -> bool:
        return any(
            name in line.text.split()
            for line in self.root.children
            if any(begins(line.text, definition) for definition in self.dialect.definitions)
        )


def defined_names(dialect: BlockDialect, *configurations: Line) -> frozenset[str]:
    """The names in capitals of lists and instances that the configurations define, as far as only one kind has them.

    Without names that the last configuration uses and does not define.
    """
    kinds: dict[str, set[str]] = {}
    for line in (line for root in configurations for line in root.children):
        for definition in dialect.definitions:
            if begins(line.text, definition):
                for word in line.text.removeprefix(definition).split()[:3]:
                    if re.fullmatch(r"[\w.-]*[A-Z][\w.-]*", word):
                        kinds.setdefault(word, set()).add(definition)
    last = configurations[-1]
    dangling = {word for line in _below(last) for word in line.text.split()} - _words_of_definitions(dialect, last)
    return frozenset(word for word, found in kinds.items() if len(found) == 1) - dangling


def _words_of_definitions(dialect: BlockDialect, root: Line) -> set[str]:
    heads = (line.text for line in root.children if any(begins(line.text, each) for each in dialect.definitions))
    return {word for head in heads for word in head.split()}


def _same(pattern: str, new: str, old: str) -> bool:
    first, second = re.match(pattern, new), re.match(pattern, old)
    return first is not None and second is not None and first.groups() == second.groups()


def _filled(words: str, values: tuple[str, ...]) -> str:
    for value in values:
        words = re.sub(r"\{\}|#", value, words, count=1)
    return words


def _below(line: Line) -> list[Line]:
    return [each for child in line.children for each in (child, *_below(child))]


@dataclass
class PathRouter:
    """A router of ``set`` paths; ``entries`` of ordered lists stand in the order in which they came."""

    dialect: PathDialect
    paths: list[tuple[str, ...]]

    def type(self, commands: list[str]) -> None:
        for command in commands:
            word, path = command.split(" ", 1)[0], tuple(words(command)[1:])
            match word:
                case "set":
                    self._set(path)
                case "delete":
                    self._delete(path)
                case "insert":
                    self._insert(path)
                case _:
                    raise Refused(command)

    def _set(self, path: tuple[str, ...]) -> None:
        if path in self.paths:
            raise Refused(f"set again: {path}")
        if len(path) > 1 and path[-2] in self.dialect.single:
            self.paths = [each for each in self.paths if each[:-1] != path[:-1]]
        self.paths.append(path)

    def _delete(self, path: tuple[str, ...]) -> None:
        left = [each for each in self.paths if each[: len(path)] != path]
        if len(left) == len(self.paths):
            raise Refused(f"nothing to delete: {path}")
        self.paths = left

    def _insert(self, path: tuple[str, ...]) -> None:
        *entry, where, _, other = path
        before = (*entry[:-1], other)
        if where != "before":
            raise Refused(f"insert {where}")
        moved = [each for each in self.paths if each[: len(entry)] == tuple(entry)]
        rest = [each for each in self.paths if each not in moved]
        place = next(number for number, each in enumerate(rest) if each[: len(before)] == before)
        self.paths = [*rest[:place], *moved, *rest[place:]]

    def order(self) -> dict[tuple[str, ...], list[str]]:
        """The names of ordered entries, by the path above them."""
        found: dict[tuple[str, ...], list[str]] = {}
        for path in self.paths:
            for index, word in enumerate(path[:-1]):
                if word == self.dialect.ordered and path[index + 1] not in found.setdefault(path[:index], []):
                    found[path[:index]].append(path[index + 1])
        return found


def words(command: str) -> list[str]:
    """A command's words, with quoted ones whole."""
    return re.findall(r"\"[^\"]*\"|'[^']*'|\S+", command)
