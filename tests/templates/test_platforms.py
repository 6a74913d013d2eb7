"""Every platform: what is rendered passes its grammar, where it has one, and is read back as it was meant.

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
from lanecast.platforms import FACTS, Duty, Feature
from lanecast.router import Router
from lanecast_templates import grammars
from lanecast_templates.readers import READERS, read_back
from lanecast_templates.renderer import FILE_MODE, SECRET_MODE, RenderedFile, RenderError, SecretResolver, render_fabric
from lanecast_templates.router_templates import OTHERS, router_templates

HERE = Path(__file__).parent
GOLDEN = HERE / "golden_platforms"
PLATFORMS = sorted({*OTHERS, Platform.FRR}, key=lambda platform: platform.value)
PLANS: dict[str, Callable[[Platform], dict[str, Any]]] = {"plain": plain, "everything": everything}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("platforms")


@cache
def texts(platform: Platform, kind: str, folder: Path) -> dict[str, tuple[Router, RenderedFile]]:
    """The site's routers and their files, by the router's name."""
    fabric = compiled(PLANS[kind](platform), folder)
    files = rendered(fabric)
    return {router.name: (router, files[f"{router.name}/{main_file(platform)}"]) for router in site_routers(fabric)}


def main_file(platform: Platform) -> str:
    """The file with a router's configuration."""
    return router_templates(platform).main


def found_by_grammar(platform: Platform, text: str) -> list[grammars.Finding]:
    """What the platform's grammar says; FRR runs for real in test_frr.py, EOS text is compared in test_eos_text.py."""
    return grammars.check_text(platform.value, text) if platform.value in grammars.platforms() else []


def by_platform_and_plan(function: Callable[..., None]) -> Callable[..., None]:
    each_pair = [(platform, kind) for platform in PLATFORMS for kind in PLANS]
    marked: Callable[..., None] = pytest.mark.parametrize(("platform", "kind"), each_pair)(function)
    return marked


@by_platform_and_plan
def test_the_grammar_takes_it(platform: Platform, kind: str, folder: Path) -> None:
    for router, file in texts(platform, kind, folder).values():
        assert found_by_grammar(platform, file.text) == [], router.name


@by_platform_and_plan
def test_it_is_read_back_as_it_was_meant(platform: Platform, kind: str, folder: Path) -> None:
    for router, file in texts(platform, kind, folder).values():
        assert read_back(router, file.text) == [], router.name


@pytest.mark.parametrize("platform", [each for each in PLATFORMS if Feature.RADIUS not in FACTS[each].lacks], ids=str)
def test_radius_is_read_back_as_well(platform: Platform, folder: Path) -> None:
    fabric = compiled(with_radius(everything(platform)), folder)
    for router in site_routers(fabric):
        text = rendered(fabric)[f"{router.name}/{main_file(platform)}"].text
        assert read_back(router, text) == []
        assert found_by_grammar(platform, text) == []


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
        by_msdp = Feature.MSDP if Feature.MSDP in lacks else Feature.MSDP_PASSWORD
        asked = {"CME_A": Feature.PASSWORD, "AO_KEY": Feature.TCP_AO, "MSDP": by_msdp}
        asked |= {"NTP_KEY": Feature.NTP_KEY, "AAA_KEY": Feature.TACACS}
        if Duty.MANAGEMENT in FACTS[platform].elsewhere:
            del asked["NTP_KEY"], asked["AAA_KEY"]  # another file's
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
    """Without any one line the grammar or the reader has something to say."""
    known: dict[str, str] = yaml.safe_load(UNNOTICED.read_text()).get(platform.value) or {}
    used, unexplained = set(), []
    for name in ("hk1-r1", "hk1-r2"):  # all features, and a VRF with switched VLANs
        router, file = texts(platform, "everything", folder)[name]
        for number, without in _each_line_missing(file.text):
            if not _noticed(platform, router, without):
                line = file.text.splitlines()[number]
                explained = [pattern for pattern in known if re.fullmatch(pattern, line.strip())]
                used.update(explained)
                unexplained += [] if explained else [f"{name}: {number + 1}: {line}"]
    assert unexplained == []
    assert used == set(known), "patterns that explain no line"


def _each_line_missing(text: str) -> Iterator[tuple[int, str]]:
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith(("!", "#")):
            yield number, "".join(lines[:number] + lines[number + 1 :])


def _noticed(platform: Platform, router: Router, text: str) -> bool:
    told = read_back(router, text) or found_by_grammar(platform, text)
    if platform is Platform.EOS:
        told = told or eos_proof.unexplained(router, text)
    return bool(told)


def test_every_platform_is_rendered_and_read() -> None:
    assert {*OTHERS, Platform.FRR} == set(Platform)
    assert set(READERS) == set(Platform)


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_a_secret_that_a_platform_quotes_is_its_owners_alone_as_well(platform: Platform, folder: Path) -> None:
    fabric = compiled(everything(platform), folder)
    odd = {name: f"{value}'x" for name, value in SECRETS.items()}
    try:
        files = render_fabric(fabric, SecretResolver(odd))
    except RenderError:
        return  # the platform has no way to write it, and says so
    holding = {str(file.path) for file in files if file.mode == SECRET_MODE}
    assert f"hk1-r1/{main_file(platform)}" in holding
