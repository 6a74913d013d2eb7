"""The commands of platforms that cannot be run here, typed into a model of a router (``typed_router.py``).

The configurations are the right texts of ``planted/``, which were written from the vendors' documents.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from typed_router import PathRouter, TypedRouter, defined_names, words

from lanecast_templates.remediation.blocks import block_commands, read
from lanecast_templates.remediation.dialect import BlockDialect, PathDialect
from lanecast_templates.remediation.dialects import DIALECTS
from lanecast_templates.remediation.lines import Line
from lanecast_templates.remediation.paths import path_commands

PLANTED = Path(__file__).parent / "planted"
PLATFORMS = sorted(path.stem for path in PLANTED.glob("*.yaml"))


@cache
def texts(platform: str) -> tuple[str, ...]:
    planted = yaml.safe_load((PLANTED / f"{platform}.yaml").read_text())
    return tuple(dict.fromkeys(mistake["right"] for mistake in planted["mistakes"]))


def shape(line: Line) -> set[tuple[str, object]]:
    """A configuration without the order of its lines."""
    return {(child.text, frozenset(shape(child))) for child in line.children}


def settled(dialect: BlockDialect, line: Line, old: Line, new: Line) -> Line:
    """What a router has, without the opposites of lines that are gone (``shutdown``) and blocks that had to stay."""
    children = []
    for child in line.children:
        before, after = old.child(child.text) or Line(""), new.child(child.text)
        word = f"{dialect.undo} "
        opposite = child.text.removeprefix(word) if child.text.startswith(word) else word + child.text
        if after is None and (old.child(opposite) is not None or child.text in dialect.stays):
            continue
        found = settled(dialect, child, before, after or Line(""))
        if found.children or after is not None or not any(re.match(head, child.text) for head in dialect.kept):
            children.append(found)
    return Line(line.text, children)


def type_blocks(dialect: BlockDialect, old: str, new: str) -> list[str]:
    commands = block_commands(dialect, old, new)
    before, after = read(dialect, old), read(dialect, new)
    router = TypedRouter(dialect, read(dialect, old), defined_names(dialect, before, after))
    router.type(commands)
    has, wants = shape(settled(dialect, router.root, before, after)), shape(after)
    assert has == wants, f"too much: {has - wants}, missing: {wants - has}"
    return commands


def type_paths(dialect: PathDialect, old: str, new: str) -> list[str]:
    commands = path_commands(dialect, old, new)
    if any(_has_two_values(dialect, paths_of(dialect, text)) for text in (old, new)):
        return commands  # no router has such a configuration
    router, wanted = (PathRouter(dialect, paths_of(dialect, text)) for text in (old, new))
    router.type(commands)
    assert set(router.paths) == set(wanted.paths)
    assert router.order() == wanted.order()
    return commands


def _has_two_values(dialect: PathDialect, paths: list[tuple[str, ...]]) -> bool:
    keywords = [path[:-1] for path in paths if len(path) > 1 and path[-2] in dialect.single]
    return len(keywords) > len(set(keywords))


def paths_of(dialect: PathDialect, text: str) -> list[tuple[str, ...]]:
    """A configuration's paths: what leads there from nothing."""
    return [tuple(words(command)[1:]) for command in path_commands(dialect, "", text) if command.startswith("set ")]


def type_into(platform: str, old: str, new: str) -> list[str]:
    dialect = DIALECTS[platform]
    return type_blocks(dialect, old, new) if isinstance(dialect, BlockDialect) else type_paths(dialect, old, new)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_typed_leads_from_any_right_text_to_the_next_and_back(platform: str) -> None:
    for old, new in pairwise((*texts(platform), "", texts(platform)[0])):
        for way in ((old, new), (new, old)):
            try:
                type_into(platform, *way)
            except AssertionError as error:
                raise AssertionError(f"{error}\nfrom\n{way[0]}to\n{way[1]}") from error


def changed_texts(text: str) -> list[str]:
    """The text without each of its lines that nothing else stands on, and with another number in each."""
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        opens = len(following) - len(following.lstrip()) > len(line) - len(line.lstrip()) or line.endswith(("{", "}"))
        leads = any(other.strip().startswith(f"{line.strip()} ") for other in lines)
        if opens or leads or line.strip() in ("", "#", "!", "}"):
            continue
        found.append([*lines[:number], *lines[number + 1 :]])
        other = re.sub(r"(\d+)(\D*)$", lambda match: f"{int(match[1]) + 1}{match[2]}", line)
        begun = any(each.strip().startswith(f"{other.strip()} ") for each in lines)
        twice = re.sub(r"\d+ ", "", other, count=1) in [re.sub(r"\d+ ", "", each, count=1) for each in lines]
        if other != line and not twice and not begun:
            found.append([*lines[:number], other, *lines[number + 1 :]])
    return ["\n".join(each) + "\n" for each in found]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_typed_drops_or_changes_any_one_line_and_undoes_it(platform: str) -> None:
    for text in texts(platform):
        for other in changed_texts(text):
            for way in ((text, other), (other, text)):
                try:
                    type_into(platform, *way)
                except AssertionError as error:
                    raise AssertionError(f"{error}\nfrom\n{way[0]}to\n{way[1]}") from error
