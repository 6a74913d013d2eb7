"""The gallery's annotated pages: their text is what is rendered, all of it and in its order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from platform_plans import ROOT

from lanecast.plan.model import Platform
from lanecast_templates import grammars

PAGES = ROOT / "docs/gallery"
GOLDEN = Path(__file__).parent / "golden_platforms"
INDEX = PAGES / "README.md"
PLATFORMS = sorted(Platform, key=lambda platform: platform.value)


def blocks(page: str) -> str:
    """The code of a page: what stands in its fenced blocks, one after the other."""
    return "".join(re.findall(r"^```[a-z]*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_a_page_holds_the_whole_configuration(platform: Platform) -> None:
    page = (PAGES / f"{platform}.md").read_text()
    golden = (GOLDEN / platform.value / "everything/hk1-r1.conf").read_text()
    assert blocks(page) == golden
    assert page.count("\n## ") >= 8, "annotated means part by part"
    said = "grammar-checked, not device-checked" in page
    assert said is (platform.value in grammars.platforms())


def test_the_index_names_every_page_and_every_example() -> None:
    index = INDEX.read_text()
    examples = [path.stem for path in (ROOT / "examples").glob("*.yaml") if not path.stem.endswith(".lock")]
    named = re.findall(r"\]\(([^)]+)\)", index)
    assert {f"{platform}.md" for platform in PLATFORMS} | {f"{name}/" for name in examples} <= set(named)
    assert all((PAGES / name).exists() for name in named)
