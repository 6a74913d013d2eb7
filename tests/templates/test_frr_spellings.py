"""How releases of FRR spell one router: golden files, and the door by which a release is chosen.

``LANECAST_UPDATE_GOLDEN=1`` rewrites the golden files; the diff is the review. Only the release that is installed is run,
by ``test_frr.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lanecast.cli import build_app
from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_templates.frr_configuration import parse
from lanecast_templates.renderer import SecretResolver, render_fabric
from lanecast_templates.views.frr import DEFAULT_VERSION, SPELLINGS

TWO_SITES = Path(__file__).parent.parent.parent / "examples/two-sites.yaml"
GOLDEN = Path(__file__).parent / "golden_spellings"
CONFIGURATION = "hk1-r1/etc/frr/frr.conf"


def configuration(version: str) -> str:
    files = render_fabric(compile_plan(load_plan(TWO_SITES), {}), SecretResolver({}), version)
    return next(file.text for file in files if str(file.path) == CONFIGURATION)


@pytest.mark.parametrize("version", SPELLINGS)
def test_golden_files(version: str) -> None:
    golden = GOLDEN / f"{version}.conf"
    if os.environ.get("LANECAST_UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(configuration(version))
    assert configuration(version) == golden.read_text()


def test_releases_differ_only_where_frr_changed() -> None:
    """Up to 10.1 but for the release's own line; since 10.2 the SSM range stands in its block, and the first AS is
    enforced by default."""
    old, nine, ten = (dict.fromkeys(parse(configuration(version))) for version in ("8.4", "9.1", "10.4"))
    assert [line for _, line in nine.keys() - old.keys()] == ["frr version 9.1"]
    assert {line for _, line in ten.keys() - old.keys()} == {
        "frr version 10.4",
        "router pim",
        "ssm prefix-list ssm-ranges",
    }
    assert (("router pim",), "ssm prefix-list ssm-ranges") in ten
    gone = {line for _, line in old.keys() - ten.keys()}
    assert gone == {
        "frr version 8.4.4",
        "ip pim ssm prefix-list ssm-ranges",
        *(line for _, line in old if line.endswith("enforce-first-as")),
    }


@pytest.mark.parametrize("version", SPELLINGS)
def test_the_command_spells_for_the_release_that_is_asked_for(version: str, tmp_path: Path) -> None:
    arguments = ["render", str(TWO_SITES), "-o", str(tmp_path), "--frr-version", version]
    result = CliRunner().invoke(build_app(["render"]), arguments)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / CONFIGURATION).read_text() == configuration(version)


def test_without_a_word_it_is_the_default(tmp_path: Path) -> None:
    result = CliRunner().invoke(build_app(["render"]), ["render", str(TWO_SITES), "-o", str(tmp_path)])
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / CONFIGURATION).read_text() == configuration(DEFAULT_VERSION)


def test_a_release_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    arguments = ["render", str(TWO_SITES), "-o", str(tmp_path / "out"), "--frr-version", "7.5"]
    result = CliRunner().invoke(build_app(["render"]), arguments)
    assert result.exit_code == 2
    said = " ".join(result.stderr.replace("│", " ").split())
    assert "FRR 7.5 is not known; there are 8.4, 9.1, 10.4" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.skipif(not Path("/usr/lib/frr/pimd").exists(), reason="FRR is not on this machine")
def test_files_for_another_release_are_not_checked_with_the_installed_one() -> None:
    result = CliRunner().invoke(build_app(["render"]), ["render", str(TWO_SITES), "--check", "--frr-version", "10.4"])
    assert result.exit_code == 2
    assert "the files are for FRR 10.4 and this machine has FRR 8.4" in result.stderr
