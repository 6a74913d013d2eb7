"""Each platform's grammar takes what its vendor takes, and tells every planted mistake at its line.

The planted mistakes (``planted/``) come from the vendors' documents, written before and apart from the grammars.
``grammar_notes/PLATFORM.yaml`` holds what is to be known beside them: plants that are wrong themselves, with the reason, and
rules that neither a planted text nor a golden file of the templates uses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml

from lanecast_templates.grammars import check_text, grammar_of, platforms
from lanecast_templates.grammars.document import Document

HERE = Path(__file__).parent
GOLDEN = HERE / "golden_platforms"
PLANTED = sorted(path.stem for path in (HERE / "planted").glob("*.yaml"))
FEWEST = 100


@dataclass(frozen=True, slots=True)
class Plant:
    name: str
    right: str
    wrong: str
    line: int
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class Notes:
    wrong_plants: dict[str, str]
    rules_for_templates: tuple[str, ...]


@cache
def plants(platform: str) -> tuple[Plant, ...]:
    content = yaml.safe_load((HERE / "planted" / f"{platform}.yaml").read_text(encoding="utf-8"))
    assert content["platform"] == platform
    fields = ("name", "right", "wrong", "line", "why", "source")
    return tuple(Plant(**{field: each[field] for field in fields}) for each in content["mistakes"])


@cache
def notes(platform: str) -> Notes:
    content = yaml.safe_load((HERE / "grammar_notes" / f"{platform}.yaml").read_text(encoding="utf-8"))
    assert content.keys() == {"wrong_plants", "rules_for_templates"}
    return Notes(content["wrong_plants"], tuple(content["rules_for_templates"]))


def good_plants() -> list[pytest.param]:  # type: ignore[valid-type]
    return [
        pytest.param(platform, plant, id=f"{platform}-{plant.name}")
        for platform in platforms()
        for plant in plants(platform)
        if plant.name not in notes(platform).wrong_plants
    ]


def rules_of(platform: str, texts: Iterable[str]) -> set[str]:
    nodes = (node for text in texts for node in Document(grammar_of(platform), text).root.below())
    return {node.command.rule.rule for node in nodes if node.command is not None}


@pytest.mark.parametrize("platform", PLANTED)
def test_the_planted_mistakes_are_well_formed(platform: str) -> None:
    names = [plant.name for plant in plants(platform)]
    assert len(names) == len(set(names))
    assert len(names) >= FEWEST
    for plant in plants(platform):
        assert plant.right != plant.wrong, plant.name
        assert plant.why, plant.name
        assert plant.source, plant.name
        lines = plant.wrong.splitlines()
        assert 1 <= plant.line <= len(lines), plant.name
        assert lines[plant.line - 1].strip(), plant.name


@pytest.mark.parametrize("platform", platforms())
def test_every_grammar_has_its_planted_mistakes(platform: str) -> None:
    assert platform in PLANTED
    known = {plant.name for plant in plants(platform)}
    excused = notes(platform).wrong_plants
    assert excused.keys() <= known
    assert all(excused.values()), "each needs its reason"
    assert len(known) - len(excused) >= FEWEST


@pytest.mark.parametrize(("platform", "plant"), good_plants())
def test_what_is_right_is_taken(platform: str, plant: Plant) -> None:
    assert check_text(platform, plant.right) == []


@pytest.mark.parametrize(("platform", "plant"), good_plants())
def test_what_is_wrong_is_told_at_its_line(platform: str, plant: Plant) -> None:
    findings = check_text(platform, plant.wrong)
    assert plant.line in {finding.line for finding in findings}, (plant.why, findings)


@pytest.mark.parametrize("platform", platforms())
def test_every_rule_has_a_source_and_is_used(platform: str) -> None:
    """By a planted text that is right, by a golden file, or as the notes say."""
    grammar = grammar_of(platform)
    used = rules_of(platform, (plant.right for plant in plants(platform)))
    rendered = rules_of(platform, (path.read_text() for path in (GOLDEN / platform).rglob("*.conf")))
    for_templates = set(notes(platform).rules_for_templates)
    assert len(for_templates) == len(notes(platform).rules_for_templates)
    assert all(command.source for command in grammar.commands.values())
    assert grammar.commands.keys() - used - rendered - for_templates == set(), "used by nothing"
    assert for_templates - grammar.commands.keys() == set(), "noted, but no rules"
    assert for_templates & used == set(), "noted, though texts use them"
