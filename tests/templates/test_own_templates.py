"""A folder that a plan names stands in front of our templates; what would do nothing, or means nothing, is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lanecast.cli import build_app
from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_templates.renderer import SecretResolver, render_fabric

ROOT = Path(__file__).parent.parent.parent
TWO_SITES = ROOT / "examples/two-sites.yaml"
EXTENDS = '{% extends "lanecast/frr/frr.conf.j2" %}\n'


def plan_with(folder: Path, templates: dict[str, str]) -> Path:
    """The example with these templates of its own."""
    plan = folder / "plan.yaml"
    plan.write_text(TWO_SITES.read_text() + "\ntemplates: mine\n")
    for name, text in templates.items():
        path = folder / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return plan


def rendered(plan: Path) -> dict[str, str]:
    """Every file but the one line that names the plan."""
    files = render_fabric(compile_plan(load_plan(plan), {}), SecretResolver({}))
    return {str(file.path): file.text.replace(f"the plan {plan.stem}", "the plan") for file in files}


def test_a_block_is_replaced_and_all_else_stays(tmp_path: Path) -> None:
    ours = rendered(TWO_SITES)
    theirs = rendered(plan_with(tmp_path, {"frr/frr.conf.j2": EXTENDS + "{% block more %}\nbanner motd line {{ frr.name }}\n{% endblock %}"}))  # fmt: skip
    assert {name for name in ours if ours[name] != theirs[name]} == {n for n in ours if n.endswith("/frr.conf")}
    for name in (name for name in ours if name.endswith("/frr.conf")):
        assert theirs[name] == f"{ours[name]}banner motd line {Path(name).parts[-4]}\n"


def test_a_block_of_a_loop_can_add_to_ours(tmp_path: Path) -> None:
    own = EXTENDS + "{% block interface %}\n{{ super() }} link-detect\n{% endblock %}"
    theirs = rendered(plan_with(tmp_path, {"frr/frr.conf.j2": own}))
    ours = rendered(TWO_SITES)
    text = theirs["hk1-r1/etc/frr/frr.conf"]
    assert text.count(" link-detect\nexit\n!") == text.count("\ninterface ") == 4
    assert text.replace(" link-detect\n", "") == ours["hk1-r1/etc/frr/frr.conf"]


def test_a_file_without_extends_takes_the_place_of_ours_and_may_include_others(tmp_path: Path) -> None:
    own = {
        "linux/60-lanecast.conf.j2": '{% include "linux/_ours.j2" %}\nnet/ipv4/ip_forward = 1\n',
        "linux/_ours.j2": "# of {{ node.name }}\n",
    }
    theirs = rendered(plan_with(tmp_path, own))
    assert theirs["gz1-r2/etc/sysctl.d/60-lanecast.conf"] == "# of gz1-r2\nnet/ipv4/ip_forward = 1\n"


@pytest.mark.parametrize(
    ("templates", "said"),
    [
        (
            {"frr/fr.conf.j2": ""},
            ["mine/frr/fr.conf.j2 takes the place of no template; there are "],
        ),
        (
            {"linux/frr.conf.j2": ""},
            ["mine/linux/frr.conf.j2 takes the place of no template; there are frr/frr.conf.j2"],
        ),
        (
            {"frr/frr.conf.j2": EXTENDS + "\n{% block bpg %}{% endblock %}"},
            ["mine/frr/frr.conf.j2:3: frr/frr.conf.j2 has no block bpg; there are bfd, bgp, global, interface, "],
        ),
        (
            {"frr/frr.conf.j2": EXTENDS + "{% block more %}\n{{ router.name }}{% endblock %}"},
            ["mine/frr/frr.conf.j2:3: router is no name that this template is given; there are "],
        ),
        (
            {"frr/frr.conf.j2": EXTENDS + "{% block more %}\n{{ frr.nmae }}{% endblock %}"},
            ["mine/frr/frr.conf.j2:3: 'lanecast_templates.views.frr.FrrRouter object' has no attribute 'nmae'"],
        ),
        ({"frr/frr.conf.j2": "{% block more %}\n{% endfor %}"}, ["mine/frr/frr.conf.j2:2: "]),
        (
            {"frr/daemons.j2": "{{ node }}", "linux/nft.j2": "", "linux/vlan.netdev.j2": "{% if %}"},
            ["daemons.j2:1: node is no name", "nft.j2 takes the place of no", "vlan.netdev.j2:1: "],
        ),
    ],
    ids=["unknown file", "file in another folder", "block", "name", "attribute", "syntax", "several"],
)
def test_what_is_wrong_with_them_is_told_with_their_line_and_the_plans(
    templates: dict[str, str], said: list[str], tmp_path: Path
) -> None:
    plan = plan_with(tmp_path, templates)
    out = tmp_path / "out"
    result = CliRunner().invoke(build_app(["render"]), ["render", str(plan), "-o", str(out)])
    assert result.exit_code == 1
    assert not out.exists()
    line = len(plan.read_text().splitlines())
    for each in said:
        assert each in result.stderr
    if "attribute" in said[0]:
        assert f"{plan}:" in result.stderr
        assert "sites.hk1.routers.hk1-r1: " in result.stderr
    else:
        assert all(told.startswith(f"{plan}:{line}: templates: ") for told in result.stderr.splitlines())


def test_a_secret_that_a_template_puts_elsewhere_keeps_its_file_private(tmp_path: Path) -> None:
    own = {"frr/daemons.j2": "# {{ frr.neighbors[0].password }}\n"}
    plan = plan_with(tmp_path, own)
    text = plan.read_text().replace("carries: [cme-310.A]}", "carries: [cme-310.A], password: {environment: HK1_A}}")
    plan.write_text(text)
    files = render_fabric(compile_plan(load_plan(plan), {}), SecretResolver({"HK1_A": "s3cret-word"}))
    holding = {str(file.path): file.mode for file in files if "s3cret-word" in file.text}
    assert "hk1-r1/etc/frr/daemons" in holding
    assert set(holding.values()) == {0o600}


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, {})
    result = CliRunner().invoke(build_app(["render"]), ["render", str(plan), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert f"templates: there is no folder {tmp_path / 'mine'}" in result.stderr


def test_the_document_names_every_block() -> None:
    """docs/templates.md against the templates themselves."""
    told: dict[str, set[str]] = {}
    for line in (ROOT / "docs/templates.md").read_text().splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0]:
            told |= {name: set(cells[2]) for name in cells[0]}
    ours = ROOT / "templates/lanecast_templates"
    found = {str(p.relative_to(ours)): set(re.findall(r"{% block (\w+)", p.read_text())) for p in ours.rglob("*.j2")}
    assert told == {name: blocks for name, blocks in found.items() if blocks}
