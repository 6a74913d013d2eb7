"""From one configuration of ``set`` paths to another. Braces are turned into paths first.

What is gone is deleted at the highest place that nothing needs any more: a neighbour whose lines were deleted one by
one would stay, empty. A keyword with one value is set over the old one. A commit makes all of it take effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lanecast_templates.grammars import grammar_of
from lanecast_templates.grammars.layouts import Statement, cut
from lanecast_templates.grammars.parameters import Word
from lanecast_templates.remediation.dialect import PathDialect, matching
from lanecast_templates.remediation.driver import path_driver, tree
from lanecast_templates.remediation.lines import Line, begins

Path = tuple[str, ...]


class UnreadableText(ValueError):
    """A text that has no form in which it could be compared; names the line."""


@dataclass(frozen=True, slots=True)
class _Text:
    paths: dict[str, Path]
    """By the line that sets it, in the order of the text."""
    lists: dict[Path, tuple[str, ...]]
    """Values whose order counts, by the path of their keyword."""


def path_commands(dialect: PathDialect, old: str, new: str) -> list[str]:
    """The commands that lead from ``old`` to ``new``, as they are typed in the configuration mode."""
    before, after = _read(dialect, old), _read(dialect, new)
    _leave_what_holds(dialect, before, after)
    reordered = [keyword for keyword in before.lists if _reordered(keyword, before, after)]
    driver = path_driver(dialect)
    delta = tree(driver, _lines(before.paths)).config_to_get_to(tree(driver, _lines(after.paths)))
    texts = [child.text for child in delta.children]
    gone = [before.paths[_set(text)] for text in texts if text.startswith("delete ")]
    deletes = {_highest(path, dialect, after) for path in gone}
    deletes = {path for path in deletes if not _is_set_again(path, dialect, after)} | set(reordered)
    sets = [text for text in texts if text.startswith("set ")]
    sets += [text for text, path in after.paths.items() if path[:-1] in reordered and text not in sets]
    return [
        *(f"delete {' '.join(path)}" for path in _inner_dropped(deletes, before)),
        *sorted(sets, key=list(after.paths).index),
        *_moves(dialect, before, after),
    ]


def _set(delete: str) -> str:
    return "set " + delete.removeprefix("delete ")


def _lines(paths: Iterable[str]) -> list[Line]:
    return [Line(text) for text in paths]


def _read(dialect: PathDialect, text: str) -> _Text:
    # Comments keep their places as empty lines, so that a finding has the right one.
    commands = "\n".join("" if line.startswith("#") else line for line in text.split("\n"))
    pieces = cut(commands, grammar_of(dialect.platform).layout)
    if pieces.findings:
        line, message = pieces.findings[0]
        raise UnreadableText(f"line {line}: {message}")
    found = _Text({}, {})
    for path, listed in _paths(pieces.statements, (), dialect.quote):
        found.paths.setdefault(f"set {' '.join(path)}", path)
        if listed:
            found.lists[path[:-1]] = (*found.lists.get(path[:-1], ()), path[-1])
    return found


def _paths(statements: Iterable[Statement], above: Path, quote: str) -> Iterator[tuple[Path, bool]]:
    for statement in statements:
        words = [word for word in statement.words if not word.listed]
        path = (*above, *(_spelled(word, quote) for word in words))
        listed = [_spelled(word, quote) for word in statement.words if word.listed]
        if listed:
            yield from (((*path, value), True) for value in listed)
        elif statement.children:
            yield from _paths(statement.children, path, quote)
        else:
            yield path, False


def _spelled(word: Word, quote: str) -> str:
    return f"{quote}{word.text}{quote}" if word.quoted else word.text


def _reordered(keyword: Path, before: _Text, after: _Text) -> bool:
    """Whether values that stay would stand in another order than is asked for."""
    old = before.lists[keyword]
    new = [path[-1] for path in after.paths.values() if path[:-1] == keyword]
    return bool(new) and [*(value for value in old if value in new), *(v for v in new if v not in old)] != new


def _leave_what_holds(dialect: PathDialect, before: _Text, after: _Text) -> None:
    for words in dialect.holds_anyway:
        if not any(begins(text, f"set {words}") for text in after.paths):
            for text in [text for text in before.paths if begins(text, f"set {words}")]:
                del before.paths[text]


def _highest(path: Path, dialect: PathDialect, after: _Text) -> Path:
    """The shortest beginning of the path that nothing of the new text has, and nobody but the plan."""
    for length in range(1, len(path)):
        place = " ".join(path[:length])
        if any(re.match(matching(shared), place) for shared in dialect.shared):
            continue
        if not any(other[:length] == path[:length] for other in after.paths.values()):
            return path[:length]
    return path


def _is_set_again(path: Path, dialect: PathDialect, after: _Text) -> bool:
    if len(path) < 2 or path[-2] not in dialect.single:
        return False
    return any(other[:-1] == path[:-1] for other in after.paths.values())


def _inner_dropped(deletes: set[Path], before: _Text) -> list[Path]:
    """In the order of the old text, without what goes with something above it."""
    outer = [p for p in deletes if not any(p[:length] in deletes for length in range(1, len(p)))]
    order = list(before.paths.values())
    return sorted(outer, key=lambda path: next(i for i, each in enumerate(order) if each[: len(path)] == path))


def _moves(dialect: PathDialect, before: _Text, after: _Text) -> Iterator[str]:
    """What puts entries into their order; new ones come to stand behind the others."""
    if dialect.ordered is None:
        return
    old, new = _entries(dialect.ordered, before), _entries(dialect.ordered, after)
    for place, names in new.items():
        there = old.get(place, [])
        current = [*(name for name in there if name in names), *(name for name in names if name not in there)]
        for index, name in enumerate(names):
            if current[index] != name:
                where = f"{' '.join(place)} {dialect.ordered}"
                yield f"insert {where} {name} before {dialect.ordered} {current[index]}"
                current.remove(name)
                current.insert(index, name)


def _entries(keyword: str, text: _Text) -> dict[Path, list[str]]:
    found: dict[Path, list[str]] = {}
    for path in text.paths.values():
        for index, word in enumerate(path[:-1]):
            if word == keyword and path[index + 1] not in found.setdefault(path[:index], []):
                found[path[:index]].append(path[index + 1])
    return found
