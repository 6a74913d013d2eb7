"""Every platform whose routers cannot be run here: what is rendered passes its grammar and is read back as it was meant.

``LANECAST_UPDATE_GOLDEN=1`` rewrites the golden files; the diff is the review.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import eos_proof
import pytest
import yaml
from platform_plans import SECRETS, compiled, everything, plain, rendered, site_routers, with_radius

from lanecast.plan.model import Platform
from lanecast.platforms import FACTS, Feature
from lanecast.router import Router
from lanecast_templates import grammars
from lanecast_templates.readers import READERS, read_back
from lanecast_templates.renderer import FILE_MODE, SECRET_MODE, RenderedFile
from lanecast_templates.router_templates import OTHERS, router_templates

HERE = Path(__file__).parent
GOLDEN = HERE / "golden_platforms"
PLATFORMS = sorted(OTHERS, key=lambda platform: platform.value)
PLANS: dict[str, Callable[[Platform], dict[str, Any]]] = {"plain": plain, "everything": everything}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("platforms")


@cache
def texts(platform: Platform, kind: str, folder: Path) -> dict[str, tuple[Router, RenderedFile]]:
    """The site's routers and their files, by the router's name."""
    fabric = compiled(PLANS[kind](platform), folder)
    files = rendered(fabric)
    [name] = router_templates(platform).files
    return {router.name: (router, files[f"{router.name}/{name}"]) for router in site_routers(fabric)}


def by_platform_and_plan(function: Callable[..., None]) -> Callable[..., None]:
    each_pair = [(platform, kind) for platform in PLATFORMS for kind in PLANS]
    marked: Callable[..., None] = pytest.mark.parametrize(("platform", "kind"), each_pair)(function)
    return marked


@by_platform_and_plan
def test_the_grammar_takes_it(platform: Platform, kind: str, folder: Path) -> None:
    if platform is Platform.EOS:
        return  # EOS text is held against another renderer of it: test_eos_text.py
    for router, file in texts(platform, kind, folder).values():
        assert grammars.check_text(platform.value, file.text) == [], router.name


@by_platform_and_plan
def test_it_is_read_back_as_it_was_meant(platform: Platform, kind: str, folder: Path) -> None:
    for router, file in texts(platform, kind, folder).values():
        assert read_back(router, file.text) == [], router.name


@pytest.mark.parametrize("platform", [each for each in PLATFORMS if Feature.RADIUS not in FACTS[each].lacks], ids=str)
def test_radius_is_read_back_as_well(platform: Platform, folder: Path) -> None:
    fabric = compiled(with_radius(everything(platform)), folder)
    [name] = router_templates(platform).files
    for router in site_routers(fabric):
        text = rendered(fabric)[f"{router.name}/{name}"].text
        assert read_back(router, text) == []
        if platform is not Platform.EOS:
            assert grammars.check_text(platform.value, text) == []


@by_platform_and_plan
def test_secrets_stand_only_in_files_for_their_owner(platform: Platform, kind: str, folder: Path) -> None:
    for router, file in texts(platform, kind, folder).values():
        held = {name for name, secret in SECRETS.items() if secret in file.text}
        assert file.mode == (SECRET_MODE if held else FILE_MODE), router.name
        assert not held or "secret" in file.text.splitlines()[0]
        assert kind == "everything" or not held
    if kind == "everything":
        everywhere = "".join(file.text for _, file in texts(platform, kind, folder).values())
        lacks = FACTS[platform].lacks
        asked = {"CME_A": Feature.PASSWORD, "AO_KEY": Feature.TCP_AO, "MSDP": Feature.MSDP_PASSWORD}
        asked |= {"NTP_KEY": Feature.NTP_KEY, "AAA_KEY": Feature.TACACS}
        assert {name for name, feature in asked.items() if feature not in lacks} == {
            name for name in asked if SECRETS[name] in everywhere
        }


@by_platform_and_plan
def test_golden_files(platform: Platform, kind: str, folder: Path) -> None:
    for name, (_, file) in texts(platform, kind, folder).items():
        golden = GOLDEN / platform.value / kind / f"{name}.conf"
        if os.environ.get("LANECAST_UPDATE_GOLDEN"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(file.text)
        assert file.text == golden.read_text(), golden


UNNOTICED = HERE / "unnoticed_lines.yaml"
"""Lines without which a text is taken and read back all the same: by platform, patterns with the reason of each."""


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_no_line_can_be_missing_unnoticed(platform: Platform, folder: Path) -> None:
    """Without any one line (a block's head with its block) the grammar or the reader has something to say."""
    known: dict[str, str] = yaml.safe_load(UNNOTICED.read_text()).get(platform.value) or {}
    used = set()
    router, file = texts(platform, "everything", folder)["hk1-r2"]
    for number, without in _each_line_missing(file.text):
        if _noticed(platform, router, without):
            continue
        line = file.text.splitlines()[number]
        explained = [pattern for pattern in known if re.fullmatch(pattern, line.strip())]
        assert explained, f"nobody notices that line {number + 1} is missing: {line!r}"
        used.update(explained)
    assert used == set(known), "patterns that explain no line"


def _each_line_missing(text: str) -> Iterator[tuple[int, str]]:
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith(("!", "#")):
            yield number, "".join(lines[:number] + lines[number + 1 :])


def _noticed(platform: Platform, router: Router, text: str) -> bool:
    if read_back(router, text):
        return True
    if platform is Platform.EOS:
        return bool(eos_proof.unexplained(router, text))
    return bool(grammars.check_text(platform.value, text))


def test_every_platform_is_rendered_and_read() -> None:
    assert {*OTHERS, Platform.FRR} == set(Platform)
    assert set(READERS) == set(OTHERS)
