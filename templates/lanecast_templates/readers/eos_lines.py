"""Arista EOS text as lines with the lines of their blocks, and tables of what a context's commands say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

INDENT = 3
"""Blanks for a level, as ``show running-config`` prints it."""

ADDRESS = r"\d+\.\d+\.\d+\.\d+"
PREFIX = rf"{ADDRESS}/\d+"
MATCH = rf"any|host {ADDRESS}|{PREFIX}"
"""The source or destination of an access list's line."""
VRF = r"(?: vrf (\S+))?"


@dataclass(slots=True)
class Line:
    """One command and those in its block."""

    number: int
    text: str
    block: list[Line] = field(default_factory=list)

    def wrong(self, why: str) -> ValueError:
        """What to raise. The text itself may hold a secret, so that only its beginning is shown."""
        return ValueError(f"line {self.number}: '{' '.join(self.text.split()[:2])}…': {why}")


def lines(text: str) -> list[Line]:
    """The commands at the top; comments are dropped. Raises :class:`ValueError` for what stands in no block."""
    top = Line(0, "")
    open_blocks = [top]
    for number, raw in enumerate(text.splitlines(), start=1):
        stripped = raw.strip()
        if not stripped or stripped.startswith("!"):
            continue
        line = Line(number, stripped)
        level, odd = divmod(len(raw) - len(raw.lstrip(" ")), INDENT)
        if odd or level >= len(open_blocks):
            raise line.wrong("it stands in no block")
        del open_blocks[level + 1 :]
        open_blocks[level].block.append(line)
        open_blocks.append(line)
    return top.block


Says = Callable[[Any, Line, tuple[Any, ...]], None]
"""Takes what is being read, the line, and the groups that its pattern found."""


class Commands:
    """The commands of a context. What no entry fits is an error: a line that nobody understands is a fact lost."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._known: list[tuple[re.Pattern[str], Says | None, bool]] = []

    def says(self, pattern: str, opens: bool = False) -> Callable[[Says], Says]:
        """Register what commands of ``pattern`` say; with ``opens`` they have a block."""

        def register(function: Says) -> Says:
            self._known.append((re.compile(pattern), function, opens))
            return function

        return register

    def sets(self, pattern: str, name: str, kind: Callable[[str], object] | bool | int) -> None:
        """Register commands that set an attribute: to a constant, or to what ``kind`` makes of their one group."""

        def set_it(held: Any, line: Line, groups: tuple[Any, ...]) -> None:
            setattr(held, name, kind(groups[0]) if callable(kind) else kind)

        self.says(pattern)(set_it)

    def silent(self, *patterns: str) -> None:
        """Register commands that say nothing of the facts."""
        self._known += [(re.compile(pattern), None, False) for pattern in patterns]

    def read(self, held: Any, block: list[Line]) -> None:
        """Tell ``held`` what each line says. Raises :class:`ValueError`."""
        for line in block:
            self._read_line(held, line)

    def _read_line(self, held: Any, line: Line) -> None:
        for pattern, function, opens in self._known:
            match = pattern.fullmatch(line.text)
            if match is None:
                continue
            if line.block and not opens:
                raise line.wrong("it has no block")
            if function is not None:
                function(held, line, match.groups())
            return
        raise line.wrong(f"no command that is known in {self._title}")


def network(text: str) -> IPv4Network:
    """``any``, ``host 192.0.2.1`` or a prefix as a network."""
    return IPv4Network("0.0.0.0/0" if text == "any" else text.removeprefix("host "))


def address(text: str) -> IPv4Address:
    """An address."""
    return IPv4Address(text)
