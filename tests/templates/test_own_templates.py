"""A folder that a plan names stands in front of our templates; what would do nothing, or means nothing, is refused."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lanecast.cli import build_app
from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_templates import command
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


MORE = EXTENDS + "{% block more %}\n"
END = "{% endblock %}"


@pytest.mark.parametrize(
    ("templates", "said"),
    [
        (
            {"frr/frr.conf.j2": MORE + "{% include 'frr/_more.j2' %}" + END},
            "frr.conf.j2:3: there is no template frr/_more.j2",
        ),
        (
            {"frr/frr.conf.j2": MORE + "{% include ['frr/_a.j2', 'frr/_b.j2'] %}" + END},
            "frr.conf.j2:3: there is no template frr/_a.j2 or frr/_b.j2",
        ),
        (
            {"frr/frr.conf.j2": '{# #}\n{% extends "lanecast/frr/frr.j2" %}'},
            "frr.conf.j2:2: there is no template lanecast/frr/frr.j2",
        ),
        ({"frr/frr.conf.j2": MORE + "{{ 1 // 0 }}" + END}, "frr.conf.j2:3: ZeroDivisionError: "),
        ({"frr/frr.conf.j2": MORE + "{{ frr.daemons + 1 }}" + END}, "frr.conf.j2:3: TypeError: "),
        ({"frr/frr.conf.j2": MORE + "{{ frr.name | replace(1) }}" + END}, "frr.conf.j2:3: TypeError: "),
        ({"frr/frr.conf.j2": MORE + "{{ (frr.name ~ '\"') | quoted }}" + END}, "frr.conf.j2:3: a quoted string cannot"),
        ({"frr/frr.conf.j2": MORE + "{{ frr.name ~ '\n' }}" + END}, "frr.conf.j2:3: a configuration line cannot"),
        (
            {"frr/frr.conf.j2": MORE + "{% include 'frr/_more.j2' %}" + END, "frr/_more.j2": "\n{{ [][1] + 1 }}"},
            "_more.j2:2: list object has no element 1",
        ),
        (
            {"frr/frr.conf.j2": MORE + "{% include 'frr/_more.j2' %}" + END, "frr/_more.j2": "\n\n{% if %}"},
            "_more.j2:3: Expected an expression",
        ),
        ({"frr/frr.conf.j2": "\n{% include 'frr/frr.conf.j2' %}"}, "frr.conf.j2:2: RecursionError: "),
    ],
    ids=[
        *("include", "includes", "extends", "division", "type", "filter", "quote", "line break"),
        *("in an included file", "syntax of an included file", "endless"),
    ],
)
def test_what_fails_while_rendering_is_told_with_its_line_and_the_plans(
    templates: dict[str, str], said: str, tmp_path: Path
) -> None:
    plan = plan_with(tmp_path, templates)
    result = CliRunner().invoke(build_app(["render"]), ["render", str(plan), "-o", str(tmp_path / "out")])
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert not (tmp_path / "out").exists()
    lines = plan.read_text().splitlines()
    told = re.search(rf"^{re.escape(str(plan))}:(\d+): sites\.hk1\.routers\.hk1-r1: (.+)$", result.stderr, re.MULTILINE)
    assert told is not None, result.stderr
    assert "hk1-r1:" in lines[int(told[1]) - 1]
    assert said in told[2]
    assert str(tmp_path / "mine") in told[2]


def test_a_file_that_is_no_text_is_told_by_name(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, {"frr/frr.conf.j2": ""})
    (tmp_path / "mine/frr/frr.conf.j2").write_bytes(b"\xff\n")
    result = CliRunner().invoke(build_app(["render"]), ["render", str(plan), "-o", str(tmp_path / "out")])
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert f"templates: {tmp_path}/mine/frr/frr.conf.j2: cannot be read: no UTF-8 at byte 0" in result.stderr


def test_a_mistake_in_a_sheet_is_told_at_its_exchange(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, {"hand_over/sheet.md.j2": "{{ sheet.nobody }}"})
    result = CliRunner().invoke(build_app(["render"]), ["render", str(plan), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    line = next(n for n, text in enumerate(plan.read_text().splitlines(), start=1) if text.startswith("  cme: {asn"))
    assert f"{plan}:{line}: exchanges.cme: {tmp_path}/mine/hand_over/sheet.md.j2:1: " in result.stderr


def test_a_platform_that_the_plan_cannot_name_is_told_with_its_line(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(TWO_SITES.read_text().replace("hk1-r2: {platform: frr", "hk1-r2: {platform: catos"))
    result = CliRunner().invoke(build_app(["render"]), ["render", str(plan), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    line = next(n for n, text in enumerate(plan.read_text().splitlines(), start=1) if "catos" in text)
    assert f"{plan}:{line}: sites.hk1.routers.hk1-r2.platform: " in result.stderr


def test_a_platform_that_has_no_templates_yet_is_told_with_the_plans_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabric = compile_plan(load_plan(TWO_SITES), {})
    without = tuple(
        dataclasses.replace(router, platform="catos") if router.name == "hk1-r2" else router  # type: ignore[arg-type]
        for router in fabric.routers
    )
    monkeypatch.setattr(command, "compile_or_exit", lambda plan: dataclasses.replace(fabric, routers=without))
    result = CliRunner().invoke(build_app(["render"]), ["render", str(TWO_SITES), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    line = next(n for n, text in enumerate(TWO_SITES.read_text().splitlines(), start=1) if "hk1-r2: {" in text)
    expected = f"{TWO_SITES}:{line}: sites.hk1.routers.hk1-r2: catos has no templates; there are frr"
    assert expected in result.stderr


@pytest.mark.parametrize("secret", ["s3cret-word", "s3cret'\\word"])
def test_what_a_template_does_with_a_secret_shows_it_to_nobody(secret: str, tmp_path: Path) -> None:
    own = EXTENDS + "{% block more %}{{ {}[frr.neighbors[0].password] }}{% endblock %}"
    plan = plan_with(tmp_path, {"frr/frr.conf.j2": own})
    text = plan.read_text().replace("carries: [cme-310.A]}", "carries: [cme-310.A], password: {environment: HK1_A}}")
    plan.write_text(text)
    result = CliRunner(env={"HK1_A": secret}).invoke(build_app(["render"]), ["render", str(plan), "-o", str(tmp_path)])
    assert result.exit_code == 1
    assert re.search("has no attribute ['\"]…['\"]", result.stderr)
    assert "word" not in result.stderr


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
