"""A dialect's table as rules of hier_config, which finds what to undo and what to type."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from hier_config import HConfig, HConfigChild, get_hconfig_driver
from hier_config.models import IdempotentCommandsAvoidRule, IdempotentCommandsRule, MatchRule, NegationSubRule
from hier_config.platforms.driver_base import HConfigDriverBase

from lanecast_templates.remediation.dialect import (
    BlockDialect,
    PathDialect,
    Setting,
    as_expression,
    beginning,
    filled,
    matching,
)
from lanecast_templates.remediation.lines import Line

SECONDARY = IdempotentCommandsAvoidRule(
    match_rules=(MatchRule(startswith="interface"), MatchRule(re_search=r"^ip address .* (secondary|sub)\b"))
)
"""hier_config's rules of IOS and EOS take any address of an interface for the new value of a secondary one."""


def block_driver(dialect: BlockDialect) -> HConfigDriverBase:
    """hier_config's driver of the platform with the dialect's rules in front of its own."""
    driver = get_hconfig_driver(dialect.rules)
    rules = driver.rules
    rules.idempotent_commands_avoid.append(SECONDARY)
    replacing: list[IdempotentCommandsRule] = []
    undoing: list[NegationSubRule] = []
    for within, heads in _blocks(dialect):
        for setting in dialect.settings.get(within, ()):
            setting = setting if isinstance(setting, Setting) else Setting(setting)
            if setting.replaces:
                words = _keyed(setting.words)
                replacing.append(IdempotentCommandsRule(match_rules=(*heads, MatchRule(re_search=words))))
            undoing += _undoing(dialect, heads, setting)
        for numbered in dialect.numbered:
            if numbered.within == within:
                words = f"{numbered.words} {numbered.actions} ..."
                replacing.append(IdempotentCommandsRule(match_rules=(*heads, MatchRule(re_search=_keyed(words)))))
                undoing += _undoing(dialect, heads, Setting(words, undo=f"{dialect.undo} {numbered.words}"))
    rules.idempotent_commands[:0] = replacing
    rules.negation_sub[:0] = undoing
    return driver


def path_driver(dialect: PathDialect) -> HConfigDriverBase:
    """hier_config's driver of the platform, which turns ``set`` into ``delete``."""
    return get_hconfig_driver(dialect.rules)


def _blocks(dialect: BlockDialect) -> Iterator[tuple[str, tuple[MatchRule, ...]]]:
    places = dict.fromkeys([*dialect.settings, *(numbered.within for numbered in dialect.numbered)])
    for within in places:
        heads = within.split(" > ") if within else []
        yield within, tuple(MatchRule(re_search=beginning(head)) for head in heads)


def _undoing(dialect: BlockDialect, heads: tuple[MatchRule, ...], setting: Setting) -> Iterator[NegationSubRule]:
    if setting.undo is None and not setting.words.endswith("..."):
        return  # the word for undoing in front of the whole command, as hier_config does it
    if setting.undo is None:
        search = f"^({dialect.undo} {_spelled(setting.words.removesuffix('...'))})(?: .*)?$"
        replace = r"\1"
    else:
        search = matching(f"{dialect.undo} {setting.words}")
        replace = filled(setting.undo, (f"\\{number}" for number in itertools.count(1)))
    yield NegationSubRule(
        match_rules=(*heads, MatchRule(re_search=matching(setting.words))), search=search, replace=replace
    )


def _spelled(words: str) -> str:
    """The regular expression of words, without a group in it."""
    return " ".join((as_expression(word) or re.escape(word)).replace("(\\", "(?:\\") for word in words.split())


def _keyed(words: str) -> str:
    """The same as ``matching``, with all that has to be equal in groups: hier_config compares those."""
    named = words.removesuffix("...").split()
    end = r"(?: .*)?$" if words.endswith("...") else "$"
    return f"^{' '.join(as_expression(word) or f'({re.escape(word)})' for word in named)}{end}"


def tree(driver: HConfigDriverBase, lines: Iterable[Line]) -> HConfig:
    """The lines as hier_config's tree."""
    root = HConfig(driver)
    _grow(root, lines)
    return root


def _grow(place: HConfig | HConfigChild, lines: Iterable[Line]) -> None:
    for line in lines:
        _grow(place.add_child(line.text, return_if_present=True), line.children)
