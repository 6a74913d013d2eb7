"""How a platform's commands replace and undo each other, as tables. ``blocks.py`` and ``paths.py`` work by them.

Commands are described by words. ``{}`` is a word that tells one command from another, and ``#`` a number that does.
``_`` is a word that may change but has to be said to undo the command, and ``a|b`` is one of those words. ``...`` at
the end is what may change and is left out when the command is undone:

    neighbor {} password ...          no neighbor 192.0.2.1 password
    neighbor {} prefix-list _ in      no neighbor 192.0.2.1 prefix-list from-hk1 in
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from hier_config import Platform

from lanecast_templates.grammars.schema import Layout
from lanecast_templates.remediation.lines import Line

_ANY = {"{}": r"(\S+)", "#": r"(\d+)", "_": r"\S+"}


def as_expression(word: str) -> str | None:
    """The regular expression of a word that stands for others."""
    return f"(?:{word})" if "|" in word else _ANY.get(word)


@lru_cache
def matching(words: str) -> str:
    """The regular expression of a command; what tells it from others are its groups."""
    named = words.removesuffix("...").split()
    end = r"(?: .*)?$" if words.endswith("...") else "$"
    return f"^{' '.join(as_expression(word) or re.escape(word) for word in named)}{end}"


@lru_cache
def beginning(words: str) -> str:
    """The regular expression of what commands begin with; what tells them apart are its groups."""
    return f"^{' '.join(as_expression(word) or re.escape(word) for word in words.split())}(?= |$)"


def filled(words: str, values: Iterable[str]) -> str:
    """``words`` with these in place of each ``{}`` and ``#``."""
    rest = iter(values)
    return " ".join(next(rest) if word in ("{}", "#") else word for word in words.split())


@dataclass(frozen=True, slots=True)
class Setting:
    """A command of which one holds at a time: typed again it replaces the one before."""

    words: str
    replaces: bool = True
    """False: the old one has to be undone; only the words for that are declared."""
    undo: str | None = None
    """What undoes it, where that is not its words behind the word for undoing."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """Entries of a list: ``#`` is an entry's number, what stands before it the list's name."""

    within: str
    words: str
    in_place: bool
    actions: str = "permit|deny"
    """What an entry begins with behind its number; a comment of the same number is no entry."""
    implied: int | None = None
    """Where the text has no numbers: the step in which the router gives them. Remarks get none and are not typed."""
    """Whether an entry that is typed over another takes its place; else that has to go first."""
    whole: str | None = None
    """What undoes the list with all its entries, behind the word for undoing."""
    guard: str | None = None
    """A number and an entry that permits nothing, which holds while none of the list's own does.

    A list without entries permits everything; one with any entry denies what none permits.
    """


@dataclass(frozen=True, slots=True)
class Owned:
    """Undoing the command ``owner`` takes with it all that begin with ``lines`` in its block and below."""

    within: str
    owner: str
    lines: str
    retyped: bool = False
    """Whether an owner that changes is undone first, and then takes them with it too."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A block that is not changed line by line, as a key: the old one goes, the new one is typed whole."""

    head: str
    undo: str
    used: str | None = None
    """What the commands that have to be undone before it begin with; they are typed again."""


@dataclass(frozen=True, slots=True)
class Wiped:
    """A change of the commands that begin with ``by`` makes the device forget those that begin with ``lines``."""

    within: str
    by: str
    lines: str


@dataclass(frozen=True, slots=True)
class Below:
    """Two settings: ``lower`` stays below ``upper`` at every step. The defaults hold where none is said."""

    within: str
    lower: str
    upper: str
    lower_default: int
    upper_default: int
    lower_per_upper: int = 1
    """How many of the lower one's units are one of the upper's."""


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What is typed after the configuration where a list changed that a BGP neighbour's routes are held against."""

    changed: str
    """What the list's commands begin with; ``{}`` is its name."""
    used: str
    """The regular expression of the command that uses it, with the groups ``peer`` and ``list``."""
    command: str
    """For that neighbour, ``{}``."""


@dataclass(frozen=True, slots=True)
class Session:
    """What is typed around the commands, and what keeps the result over a restart."""

    enter: tuple[str, ...]
    leave: tuple[str, ...]
    keep: str
    atomic: bool
    """Whether all takes effect at once, by a commit."""


@dataclass(frozen=True, slots=True)
class BlockDialect:
    """A platform of indented blocks, whose commands are undone by a word in front of them."""

    platform: str
    rules: Platform
    """hier_config's own rules of the platform, which ours come before."""
    session: Session
    settings: Mapping[str, tuple[str | Setting, ...]]
    """By block: the beginnings of the heads that lead into it, with `` > `` between them; empty at the top."""
    undo: str = "no"
    layout: Layout | None = None
    """How text is cut; None: as the platform's command grammar says."""
    read: Callable[[str], list[Line]] | None = None
    """A reader of its own instead."""
    ignored: tuple[str, ...] = ()
    """What lines begin with that are never typed."""
    definitions: tuple[str, ...] = ()
    """What others of the same block refer to, in the order in which it is defined before its use and, the other way,
    removed after it; places as in ``settings``."""
    numbered: tuple[Numbered, ...] = ()
    owned: tuple[Owned, ...] = ()
    wiped: tuple[Wiped, ...] = ()
    rewritten: tuple[Rewritten, ...] = ()
    below: tuple[Below, ...] = ()
    holds_anyway: tuple[str, ...] = ()
    """Commands that are not undone, because what they say holds where nothing is said, or because they let those in who
    configure the device; places as in ``settings``."""
    stays: tuple[str, ...] = ()
    """Commands that are not undone in such a block: a port that is not used any more stays shut."""
    kept: tuple[str, ...] = ()
    """Regular expressions of the heads of blocks that stay, with those around them as in ``settings``: what stands in
    them is undone line by line."""
    replaced: tuple[str, ...] = ()
    """Heads of blocks of which the old one has to go before the new one comes."""
    opening: tuple[str, ...] = ()
    """What heads of blocks that may be empty begin with, with those around them as in ``settings``."""
    exits: Mapping[str, str] = field(default_factory=dict)
    """What leaves a block, by the beginning of its head, where it is not ``exit_word``."""
    exit_word: str = "exit"
    afterwards: tuple[Afterwards, ...] = ()
    files: tuple[str, ...] = ()
    """Patterns of the files that hold it; none: those that are called like the platform."""


@dataclass(frozen=True, slots=True)
class PathDialect:
    """A platform of ``set`` and ``delete`` with whole paths."""

    platform: str
    rules: Platform
    session: Session
    single: frozenset[str]
    """Keywords with one value: set again it is replaced, and deleted without it."""
    shared: tuple[str, ...] = ()
    """Places that others than a plan configure too: they are never deleted whole."""
    holds_anyway: tuple[str, ...] = ()
    """Paths that stay where nothing else is asked for: they let those in who configure the device."""
    ordered: str | None = None
    """The keyword of entries whose order counts, which ``insert`` moves; None: entries have numbers."""
    quote: str = '"'
    files: tuple[str, ...] = ()


Dialect = BlockDialect | PathDialect
