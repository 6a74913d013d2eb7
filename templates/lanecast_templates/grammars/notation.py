"""The notation in which a grammar writes a command's words, read into a small tree.

    ip pim query-interval {0-65535} [ msec ]            keywords, an integer, an optional part
    ( permit | deny ) @endpoint                         a choice; a shorthand of the grammar
    next-hop {gateway:host}...                          a parameter with a name; one or more
    < source {from:address} | log | fragment >          any of these, each at most once, in any order

A keyword that is itself one of the signs is written in single quotes: ``'|'``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lanecast_templates.grammars.parameters import Kind, KindError, kind_of


class NotationError(ValueError):
    """The notation of a rule, a type or a shorthand cannot be read."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word that stands as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A word (or two, such as address and mask) that a kind judges; its value is known to the checks by ``name``."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Exactly one of the items, tried in their order."""

    items: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Optional:
    item: Part


@dataclass(frozen=True, slots=True)
class AnyOrder:
    """Any of the items, each at most once, in any order; none of them is allowed too."""

    items: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """The item once or more."""

    item: Part


Part = Keyword | Parameter | Sequence | Choice | Optional | AnyOrder | Repeated

_TOKEN = re.compile(
    r"\s*(?:(?P<parameter>\{[^{}]*\})|(?P<quoted>'[^']+')|(?P<sign>[()\[\]<>|])|(?P<more>\.\.\.)|(?P<word>[^\s(){}\[\]<>|]+?(?=\.\.\.|[\s(){}\[\]<>|]|$)))"
)
_PARAMETER = re.compile(r"\{(?:(?P<name>[a-z][a-z0-9-]*):)?(?P<kind>[^:{}]+)\}")
_CLOSING = {"(": ")", "[": "]", "<": ">"}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a grammar adds to the notation: kinds of its own, and shorthands that stand for a piece of notation."""

    kinds: Mapping[str, Kind]
    shorthand: Mapping[str, str]


def read_notation(text: str, vocabulary: Vocabulary, within: tuple[str, ...] = ()) -> Part:
    """The tree of ``text``. ``within``: the shorthands that are being read, so that one cannot contain itself."""
    reader = _Reader(text, vocabulary, within)
    part = reader.alternatives(None)
    if reader.position < len(reader.tokens):
        raise NotationError(f"'{reader.tokens[reader.position][1]}' closes nothing in: {text}")
    return part


class _Reader:
    def __init__(self, text: str, vocabulary: Vocabulary, within: tuple[str, ...]) -> None:
        self.text, self.vocabulary, self.within = text, vocabulary, within
        self.tokens = list(self._tokens())
        self.position = 0

    def _tokens(self) -> Iterator[tuple[str, str]]:
        position, end = 0, len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None or match.lastgroup is None:
                raise NotationError(f"cannot read from '{self.text[position:].strip()}' in: {self.text}")
            yield match.lastgroup, match[match.lastgroup]
            position = match.end()

    def alternatives(self, closing: str | None) -> Part:
        items = self.split(closing)
        return items[0] if len(items) == 1 else Choice(items)

    def split(self, closing: str | None) -> tuple[Part, ...]:
        """The parts between ``|`` up to ``closing``, which stays for the caller."""
        items = [self.sequence(closing)]
        while self.position < len(self.tokens) and self.tokens[self.position] == ("sign", "|"):
            self.position += 1
            items.append(self.sequence(closing))
        return tuple(items)

    def sequence(self, closing: str | None) -> Part:
        items: list[Part] = []
        while self.position < len(self.tokens):
            group, text = self.tokens[self.position]
            if group == "sign" and text in ("|", ")", "]", ">"):
                break
            self.position += 1
            if group == "more":
                if not items:
                    raise NotationError(f"'...' follows nothing in: {self.text}")
                items[-1] = Repeated(items[-1])
            else:
                items.append(self.item(group, text))
        if not items:
            raise NotationError(f"an empty part in: {self.text}")
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def item(self, group: str, text: str) -> Part:
        if group == "sign":
            closing = _CLOSING[text]
            parts = self.split(closing)
            if self.position == len(self.tokens) or self.tokens[self.position] != ("sign", closing):
                raise NotationError(f"'{text}' is not closed by '{closing}' in: {self.text}")
            self.position += 1
            if text == "<":
                return AnyOrder(parts)
            inner = parts[0] if len(parts) == 1 else Choice(parts)
            return Optional(inner) if text == "[" else inner
        if group == "quoted":
            return Keyword(text[1:-1])
        if group == "parameter":
            return self.parameter(text)
        return self.shorthand(text[1:]) if text.startswith("@") else Keyword(text)

    def parameter(self, text: str) -> Parameter:
        match = _PARAMETER.fullmatch(text)
        if match is None:
            raise NotationError(f"'{text}' is no parameter ({{kind}} or {{name:kind}}) in: {self.text}")
        spelling = match["kind"].strip()
        try:
            kind = self.vocabulary.kinds.get(spelling) or kind_of(spelling)
        except KindError as error:
            raise NotationError(f"{error} in: {self.text}") from None
        return Parameter(match["name"] or spelling, kind)

    def shorthand(self, name: str) -> Part:
        if name in self.within:
            raise NotationError(f"the shorthand '@{name}' contains itself")
        if name not in self.vocabulary.shorthand:
            raise NotationError(f"no shorthand '@{name}' in: {self.text}")
        return read_notation(self.vocabulary.shorthand[name], self.vocabulary, (*self.within, name))


def parameters_of(part: Part) -> Iterator[Parameter]:
    """Every parameter of a tree."""
    match part:
        case Parameter():
            yield part
        case Sequence() | Choice() | AnyOrder():
            for item in part.items:
                yield from parameters_of(item)
        case Optional() | Repeated():
            yield from parameters_of(part.item)
        case Keyword():
            return


def first_keywords(part: Part) -> frozenset[str] | None:
    """The words that a text of this tree can begin with; None where it can begin with a parameter."""
    return _beginning(part)[0]


def _beginning(part: Part) -> tuple[frozenset[str] | None, bool]:
    """The first words, and whether the tree can also be empty."""
    match part:
        case Keyword():
            return frozenset({part.text}), False
        case Parameter():
            return None, False
        case Repeated():
            return _beginning(part.item)
        case Optional():
            return _beginning(part.item)[0], True
        case AnyOrder():
            return _union([_beginning(item)[0] for item in part.items]), True
        case Choice():
            each = [_beginning(item) for item in part.items]
            return _union([words for words, _ in each]), any(empty for _, empty in each)
        case Sequence():
            found: list[frozenset[str] | None] = []
            for item in part.items:
                words, empty = _beginning(item)
                found.append(words)
                if not empty:
                    return _union(found), False
            return _union(found), True


def _union(each: list[frozenset[str] | None]) -> frozenset[str] | None:
    known = [words for words in each if words is not None]
    return frozenset().union(*known) if len(known) == len(each) else None
