"""Command grammars of our own, for platforms whose systems cannot be run here: grammar-checked, not device-checked.

A grammar is data: a YAML file per platform, or a folder of them; every rule names the vendor's document it comes from.
How one is written is in ``docs/grammars.md``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from lanecast_templates.grammars.checks import check
from lanecast_templates.grammars.document import Document
from lanecast_templates.grammars.layouts import Finding
from lanecast_templates.grammars.loading import Grammar, GrammarError, load

__all__ = ["Finding", "Grammar", "GrammarError", "check_against", "check_text", "grammar_of", "load", "platforms"]

_FOLDER = Path(__file__).parent


def platforms() -> tuple[str, ...]:
    """The platforms that have a grammar."""
    files = {path.stem for path in _FOLDER.glob("*.yaml")}
    return tuple(sorted(files | {path.parent.name for path in _FOLDER.glob("*/*.yaml")}))


@lru_cache
def grammar_of(platform: str) -> Grammar:
    """The platform's grammar; ``GrammarError`` where there is none or its files are wrong."""
    return load(_FOLDER, platform)


def check_text(platform: str, text: str) -> list[Finding]:
    """What is wrong in ``text`` as a configuration of ``platform``, in the order of its lines."""
    return check_against(grammar_of(platform), text)


def check_against(grammar: Grammar, text: str) -> list[Finding]:
    """The same for a grammar at hand."""
    document = Document(grammar, text)
    return sorted({*document.findings, *check(document)})
