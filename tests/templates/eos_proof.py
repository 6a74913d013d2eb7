"""Arista's own renderer of EOS text (pyavd) as the oracle of ours: the same router in its structured configuration.

The configuration is made here from the router alone; nothing of the view or the templates has a part in it. What pyavd
has no key for, and what it spells otherwise, stands in ``eos_differences.yaml`` with its source.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyavd
import yaml
from eos_structured import structured_config

from lanecast.router import Router

Pair = tuple[tuple[str, ...], str]
"""A command with the commands whose blocks it stands in."""

INDENT = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """A kind of command that only one of both texts has."""

    context: re.Pattern[str]
    line: re.Pattern[str]
    source: str

    def explains(self, pair: Pair) -> bool:
        return bool(self.context.fullmatch(" / ".join(pair[0])) and self.line.fullmatch(pair[1]))


@dataclass(frozen=True, slots=True)
class Respelled:
    """A command that pyavd spells otherwise."""

    pyavd: re.Pattern[str]
    ours: str
    source: str


@cache
def table() -> dict[str, list[dict[str, str]]]:
    content: dict[str, list[dict[str, str]]] = yaml.safe_load(
        (Path(__file__).parent / "eos_differences.yaml").read_text()
    )
    return content


@cache
def known_differences() -> dict[str, tuple[Difference, ...]]:
    """By whose text has them: ``ours`` or ``pyavd``."""
    return {
        side: tuple(
            Difference(re.compile(each["context"]), re.compile(each["line"]), each["source"]) for each in table()[side]
        )
        for side in ("ours", "pyavd")
    }


@cache
def respelled() -> tuple[Respelled, ...]:
    return tuple(Respelled(re.compile(each["pyavd"]), each["ours"], each["source"]) for each in table()["respelled"])


def pairs(text: str) -> list[Pair]:
    """The commands of a text in their order; comments say nothing."""
    found: list[Pair] = []
    above: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if line and not line.startswith("!"):
            del above[(len(raw) - len(raw.lstrip())) // INDENT :]
            found.append((tuple(above), line))
            above.append(line)
    return found


@cache
def pyavd_text(router: Router) -> str:
    """What pyavd makes of the router. Raises ``AssertionError`` for what its schema does not take."""
    result = pyavd.validate_structured_config(structured_config(router))
    told = [(each.path, each.message) for each in result.validation_result.violations]
    ignored = [each.path for each in result.validation_result.ignored_eos_config_keys]
    assert (told, ignored) == ([], []), router.name
    assert result.validated_data is not None
    text: str = pyavd.get_device_config(result.validated_data)
    return text


@cache
def pyavd_pairs(router: Router) -> tuple[Pair, ...]:
    """pyavd's commands, as we spell them."""
    return tuple((context, _as_ours(line)) for context, line in pairs(pyavd_text(router)))


def _as_ours(line: str) -> str:
    for each in respelled():
        line = each.pyavd.sub(each.ours, line)
    return line


def different(router: Router, text: str) -> dict[str, list[Pair]]:
    """What only one of both texts has, by whose it is."""
    ours, theirs = Counter(pairs(text)), Counter(pyavd_pairs(router))
    return {"ours": [*(ours - theirs).elements()], "pyavd": [*(theirs - ours).elements()]}


def unexplained(router: Router, text: str) -> list[str]:
    """Differences that the table has no source for, one line each."""
    return [
        f"only {side}: {' / '.join((*context, line))}"
        for side, found in different(router, text).items()
        for context, line in found
        if not any(each.explains((context, line)) for each in known_differences()[side])
    ]


def order_of_what_both_have(router: Router, text: str) -> tuple[list[Pair], list[Pair]]:
    """The same commands, as each text has them in its order."""
    ours, theirs = pairs(text), pyavd_pairs(router)
    both = Counter(ours) & Counter(theirs)
    return [each for each in ours if each in both], [each for each in theirs if each in both]
