"""The commands of platforms that cannot be run here, typed into a model of a router (``typed_router.py``).

The configurations are the right texts of ``planted/``, which were written from the vendors' documents, and the golden
files of every platform that is rendered.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hier_config import WorkflowRemediation, get_hconfig
from hier_config.exceptions import DuplicateChildError
from platform_plans import SECRETS
from typed_router import PathRouter, TypedRouter, defined_names, words

from lanecast_templates.remediation.blocks import block_commands, commands_afterwards, is_kept, read
from lanecast_templates.remediation.dialect import BlockDialect, PathDialect, matching
from lanecast_templates.remediation.dialects import DIALECTS
from lanecast_templates.remediation.lines import Line, begins
from lanecast_templates.remediation.paths import path_commands
from lanecast_templates.remediation.placeholders import old_file_text

HERE = Path(__file__).parent
PLANTED = HERE / "planted"
GOLDEN = HERE / "golden_platforms"
RENDERED = sorted(path.name for path in GOLDEN.iterdir())
EACH_OF = 11
"""One of so many lines of a long text is changed: the texts of the platforms hold each kind of line many times."""
ROUTERS = ("hk1-r1", "hk1-r2", "gz1-r1", "gz1-r2")
PLATFORMS = sorted(path.stem for path in PLANTED.glob("*.yaml"))


@cache
def texts(platform: str) -> tuple[str, ...]:
    planted = yaml.safe_load((PLANTED / f"{platform}.yaml").read_text())
    return tuple(dict.fromkeys(mistake["right"] for mistake in planted["mistakes"]))


def shape(line: Line) -> set[tuple[str, object]]:
    """A configuration without the order of its lines."""
    return {(child.text, frozenset(shape(child))) for child in line.children}


def settled(dialect: BlockDialect, line: Line, old: Line, new: Line, heads: tuple[str, ...] = ()) -> Line:
    """What a router has, without what holds anyway, opposites of lines that are gone, and blocks that had to stay."""
    children = []
    for child in line.children:
        before, after = old.child(child.text) or Line(""), new.child(child.text)
        around = (*heads, child.text)
        word = f"{dialect.undo} "
        opposite = child.text.removeprefix(word) if child.text.startswith(word) else word + child.text
        if after is None and (old.child(opposite) is not None or child.text in dialect.stays):
            continue
        if after is None and any(holds(words, around) for words in dialect.holds_anyway):
            continue
        found = settled(dialect, child, before, after or Line(""), around)
        if found.children or after is not None or not is_kept(dialect, around):
            children.append(found)
    return Line(line.text, children)


def holds(words: str, heads: tuple[str, ...]) -> bool:
    wanted = words.split(" > ")
    return len(wanted) == len(heads) and all(
        re.match(matching(each), head) for each, head in zip(wanted, heads, strict=True)
    )


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
    kept = {path for path in router.paths if any(begins(" ".join(path), words) for words in dialect.holds_anyway)}
    assert set(router.paths) == {*wanted.paths, *kept}
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
        if opens or leads or line.strip() in ("", "#", "!", "}", "exit", "exit-address-family"):
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


def golden(platform: str, kind: str, router: str) -> str:
    return (GOLDEN / platform / kind / f"{router}.conf").read_text()


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("platform", RENDERED)
def test_what_is_typed_brings_all_that_a_plan_can_ask_for_and_takes_it_away(platform: str, router: str) -> None:
    plain, everything = golden(platform, "plain", router), golden(platform, "everything", router)
    assert type_into(platform, plain, everything)
    assert type_into(platform, everything, plain)
    assert type_into(platform, everything, everything) == []


@pytest.mark.parametrize("platform", RENDERED)
def test_any_one_line_of_what_is_rendered_is_dropped_or_changed_and_that_undone(platform: str) -> None:
    text = golden(platform, "everything", "hk1-r1")
    for other in changed_texts(text)[::EACH_OF]:
        type_into(platform, text, other)
        type_into(platform, other, text)


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("platform", RENDERED)
def test_secrets_are_found_by_their_commands_and_none_is_needed_to_undo_one(platform: str, router: str) -> None:
    shown = old_file_text(golden(platform, "everything", router), Path("old"), {}, "")
    assert not [secret for secret in SECRETS.values() if secret in shown]
    undone = [line.strip() for line in type_into(platform, shown, golden(platform, "plain", router))]
    words_of_undoing = ("no ", "undo ", "delete ")
    assert not [line for line in undone if line.startswith(words_of_undoing) and "<old:" in line]


CASES: list[dict[str, str]] = yaml.safe_load((HERE / "remediation_cases.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['platform']}: {case['why'][:60]}")
def test_small_changes_are_typed_as_the_vendors_documents_have_it(case: dict[str, str]) -> None:
    dialect, old, new = DIALECTS[case["platform"]], case["old"], case["new"]
    assert type_into(case["platform"], old, new) == case["typed"].rstrip().splitlines()
    type_into(case["platform"], new, old)
    if isinstance(dialect, BlockDialect):
        assert commands_afterwards(dialect, old, new) == ([case["then"]] if "then" in case else [])


@pytest.mark.parametrize("case", [case for case in CASES if "alone" in case], ids=lambda case: case["why"][:60])
def test_hier_config_alone_would_type_something_else(case: dict[str, str]) -> None:
    """What our tables are for: where this fails, hier_config has learnt it, and a row of ours can go."""
    platform = DIALECTS[case["platform"]].rules
    typed = WorkflowRemediation(get_hconfig(platform, case["old"]), get_hconfig(platform, case["new"]))
    lines = [line.strip() for line in typed.remediation_config.dump_simple(sectional_exiting=True)]
    assert case["alone"] in lines
    assert case["alone"] not in case["typed"].splitlines()


@pytest.mark.parametrize("case", [case for case in CASES if "unreadable" in case], ids=lambda case: case["platform"])
def test_hier_config_alone_would_not_read_the_text(case: dict[str, str]) -> None:
    with pytest.raises(DuplicateChildError, match=re.escape(case["unreadable"])):
        get_hconfig(DIALECTS[case["platform"]].rules, case["old"])
