"""What stands in a grammar's YAML file; everything else in it is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

TOP = "top"
"""The context of commands that stand in no block."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Names = Annotated[tuple[Name, ...], BeforeValidator(lambda value: _listed(value))]
Texts = Annotated[tuple[str, ...], BeforeValidator(lambda value: _listed(value))]


def _listed(value: object) -> object:
    """One may be written without the list around it."""
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Layout(_Strict):
    """The shape of the platform's text."""

    shape: Literal["indented", "braces", "set"]
    comment: str | None = None
    separator: str | None = None
    indent: int = 1
    indented_top: bool = False
    quotes: Literal["double"] | None = None
    several_lines: tuple[str, ...] = ()


class Context(_Strict):
    """A block in which commands stand. ``like``: what holds there holds here too, behind this context's own rules."""

    title: str
    like: Name | None = None


class Kindred(_Strict):
    """A kind of parameter of this platform: a pattern, or a common kind that lies in certain ranges."""

    expected: str
    pattern: str | None = None
    base: str | None = None
    within: Texts = ()
    outside: Texts = ()


class Naming(_Strict):
    """One sort of names. ``before``: a name must be defined above the line that refers to it."""

    title: str
    before: bool = False
    match: Literal["equal", "subnet", "overlap"] = "equal"
    predefined: tuple[str, ...] = ()


class Rule(_Strict):
    """One command: where it may stand, its words, and what it has to do with others."""

    rule: Name
    within: Names = Field(alias="in", default=(TOP,))
    words: Texts
    source: str
    opens: Name | None = None
    inline: bool = False
    once: bool = False
    shares: Names = ()
    defines: Mapping[Name, Texts] = {}
    refers: Mapping[Name, Texts] = {}
    forbids: Mapping[Name, Texts] = {}
    unique: Mapping[Name, Texts] = {}
    requires: Texts = ()
    conflicts: Texts = ()
    precedes: Texts = ()
    compare: Texts = ()


class GrammarFile(_Strict):
    """One file of a grammar; a platform with several has ``platform``, ``release`` and ``layout`` in one of them."""

    platform: str | None = None
    release: str | None = None
    layout: Layout | None = None
    sources: Mapping[Name, str] = {}
    types: Mapping[Name, Kindred] = {}
    shorthand: Mapping[Name, str] = {}
    contexts: Mapping[Name, Context] = {}
    names: Mapping[Name, Naming] = {}
    rules: tuple[Rule, ...] = ()


_CLAUSE = re.compile(
    r"(?P<rule>[a-z0-9][a-z0-9-]*)"
    r"(?: (?P<place>inside|below|around|in (?P<context>[a-z0-9][a-z0-9-]*)))?"
    r"(?: same (?P<same>[a-z0-9.?-]+(?:, [a-z0-9.?-]+)*))?"
    r"(?P<before> before)?"
)


@dataclass(frozen=True, slots=True)
class Clause:
    """Another rule, and where a statement of it must (or must not) stand."""

    rule: str
    place: Literal["anywhere", "inside", "below", "around", "in"] = "anywhere"
    context: str | None = None
    same: tuple[str, ...] = ()
    before: bool = False


def read_clause(text: str) -> Clause:
    """``RULE [inside | below | around | in block | in CONTEXT] [same PARAMETER, …] [before]``."""
    match = _CLAUSE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"cannot read '{text}'; expected RULE [in block] [same PARAMETER] [before]")
    place = (match["place"] or "anywhere").split()[0]
    same = tuple(match["same"].split(", ")) if match["same"] else ()
    return Clause(match["rule"], place, match["context"], same, match["before"] is not None)  # type: ignore[arg-type]


def read_clauses(text: str) -> tuple[Clause, ...]:
    """Clauses with ``or`` between them: one of them has to hold."""
    return tuple(read_clause(each) for each in text.split(" or "))


_COMPARISON = re.compile(r"(?P<left>[a-z][a-z0-9.-]*) (?P<sign><|<=|=|!=) (?P<right>[a-z][a-z0-9.-]*|[0-9]+)")


@dataclass(frozen=True, slots=True)
class Comparison:
    left: str
    sign: str
    right: str


def read_comparison(text: str) -> Comparison:
    """``PARAMETER < PARAMETER`` or ``PARAMETER <= 32``; signs are ``<``, ``<=``, ``=`` and ``!=``."""
    match = _COMPARISON.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"cannot read '{text}'; expected PARAMETER < PARAMETER (or <=, =, !=)")
    return Comparison(match["left"], match["sign"], match["right"])
