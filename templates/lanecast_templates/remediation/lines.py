"""A configuration of indented blocks as a tree of lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lanecast_templates.frr_configuration import parse
from lanecast_templates.grammars import grammar_of
from lanecast_templates.grammars.schema import Layout


@dataclass(slots=True)
class Line:
    """A command, and those of its block."""

    text: str
    children: list[Line] = field(default_factory=list)

    def child(self, text: str) -> Line | None:
        """The first command of that text in its block."""
        return next((each for each in self.children if each.text == text), None)


def blocks(root: Line, heads: Sequence[str]) -> Iterator[Line]:
    """The blocks whose heads begin so, from the outermost on; without any, the whole configuration."""
    if not heads:
        yield root
        return
    for child in root.children:
        if begins(child.text, heads[0]):
            yield from blocks(child, heads[1:])


def begins(text: str, words: str) -> bool:
    """Whether a command's first words are these."""
    return f"{text} ".startswith(f"{words} ")


def frr_lines(text: str) -> list[Line]:
    """FRR's text, in which commands lead into blocks and indentation means nothing."""
    root = Line("")
    for context, command in parse(text):
        place = root
        for head in context:
            place = _added(place, head)
        _added(place, command)
    return root.children


def _added(place: Line, text: str) -> Line:
    found = place.child(text)
    if found is None:
        found = Line(text)
        place.children.append(found)
    return found


def indented_lines(text: str, layout: Layout) -> list[Line]:
    """Text whose blocks are indented. A line of the layout's separator ends blocks, comments say nothing."""
    root = Line("")
    open_blocks: list[tuple[int, Line]] = []
    lines = iter(text.split("\n"))
    for raw in lines:
        content, indent = raw.strip(), len(raw) - len(raw.lstrip())
        if not content or (layout.comment and content.startswith(layout.comment)):
            continue
        while open_blocks and open_blocks[-1][0] >= indent:
            open_blocks.pop()
        if content == layout.separator:
            continue
        line = _added(open_blocks[-1][1] if open_blocks else root, _whole(content, lines, layout.several_lines))
        open_blocks.append((indent, line))
    return root.children


def vrp_lines(text: str) -> list[Line]:
    """VRP's text, with each VLAN of a batch as itself: a batch adds VLANs, and its ``undo`` takes them away."""
    root = Line("")
    for line in indented_lines(text, grammar_of("huawei-vrp").layout):
        batch = line.text.split()[2:] if begins(line.text, "vlan batch") else None
        for head in [line.text] if batch is None else [f"vlan {vlan}" for vlan in _vlans(batch)]:
            _added(root, head).children += line.children
    return root.children


def _vlans(words: Sequence[str]) -> Iterator[int]:
    """``310 to 312 400``."""
    for number, word in enumerate(words):
        if word == "to":
            yield from range(int(words[number - 1]) + 1, int(words[number + 1]))
        else:
            yield int(word)


def _whole(content: str, lines: Iterator[str], several_lines: Iterable[str]) -> str:
    """A command whose text goes from one sign to the same sign, over as many lines as it takes."""
    head = next((each for each in several_lines if content.startswith(f"{each} ")), None)
    if head is None:
        return content
    rest = content.removeprefix(head).lstrip()
    sign = "^C" if rest.startswith("^C") else rest[0]
    while sign not in content[content.index(rest) + len(sign) :]:
        content += f"\n{next(lines, sign)}"
    return content
