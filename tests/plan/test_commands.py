"""The command as people and scripts meet it: exit statuses, JSON, files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml

from lanecast.compiler import compile_plan
from lanecast.lockfile import lock_path
from lanecast.plan.loader import load_plan

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.yaml") if not path.name.endswith(".lock.yaml"))


def lanecast(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lanecast.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    assert lanecast("init", path).returncode == 0
    return path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_right(example: Path) -> None:
    result = lanecast("check", example)
    assert (result.returncode, result.stderr) == (0, "")


def test_init_writes_a_plan_that_passes_and_never_overwrites(plan: Path) -> None:
    assert lanecast("check", plan).returncode == 0
    before = plan.read_text()
    again = lanecast("init", plan)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert plan.read_text() == before


def test_mistakes_exit_1_and_an_unreadable_file_2(plan: Path, tmp_path: Path) -> None:
    plan.write_text(plan.read_text().replace("relay-1, relay-2]", "relay-1, relay-11]"))
    result = lanecast("check", plan)
    assert result.returncode == 1
    assert "no relay is called relay-11 (did you mean relay-1?)" in result.stderr
    told = json.loads(lanecast("check", plan, "--json").stdout)
    assert told["passed"] is False
    assert told["problems"][0]["path"] == "subscribers.app.from.1"
    missing = lanecast("check", tmp_path / "none.yaml")
    assert missing.returncode == 2
    assert "Traceback" not in missing.stderr


def test_the_schema_accepts_examples_and_refuses_typos(plan: Path) -> None:
    schema = json.loads(lanecast("schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)

    def written(text: str) -> object:
        return json.loads(json.dumps(yaml.safe_load(text)))

    assert not list(validator.iter_errors(written(plan.read_text())))
    for example in EXAMPLES:
        assert not list(validator.iter_errors(written(example.read_text())))
    assert list(validator.iter_errors(written(plan.read_text().replace("hole-wait", "holewait"))))
    assert list(validator.iter_errors(written(plan.read_text().replace("delay: 2ms", "delay: 2"))))


def test_show_names_every_node_and_draws_them(plan: Path, tmp_path: Path) -> None:
    fabric = compile_plan(load_plan(plan))
    text = lanecast("show", plan).stdout
    picture = tmp_path / "network.svg"
    assert lanecast("show", plan, "--svg", picture).returncode == 0
    drawn = {element.text for element in ElementTree.parse(picture).iter() if element.tag.endswith("text")}
    for node in fabric.nodes():
        assert node.name in text
        assert node.name in drawn or node.role.value == "source"
    assert json.loads(lanecast("show", plan, "--json").stdout)["name"] == "plan"


def test_show_names_who_is_asked_again(plan: Path) -> None:
    assert "no line brought" not in lanecast("show", plan).stdout
    servers = "hole-wait: 20ms\n    recovery: {servers: {main: [198.51.100.12:26400, 198.51.100.22:26400]}}"
    plan.write_text(plan.read_text().replace("hole-wait: 20ms", servers))
    assert "198.51.100.12:26400 198.51.100.22:26400" in lanecast("show", plan).stdout
    assert json.loads(lanecast("show", plan, "--json").stdout)["feeds"][0]["recovery"]["wait_ns"] == 200_000_000


def test_a_locked_value_stays_when_the_plan_grows(plan: Path, tmp_path: Path) -> None:
    assert lanecast("lock", plan).returncode == 0
    before = compile_plan(load_plan(plan)).invented
    plan.write_text(plan.read_text().replace("subscribers:\n", "subscribers:\n  aaa: {subnet: region1.vpc1.apps, feeds: [quotes], from: [relay-1, relay-2]}\n"))  # fmt: skip
    stale = lanecast("render", plan, "-o", tmp_path / "out")
    assert stale.returncode == 1
    assert "lacks" in stale.stderr
    assert "lanecast lock" in stale.stderr
    assert not (tmp_path / "out").exists()
    assert lanecast("lock", plan).returncode == 0
    after = compile_plan(load_plan(plan)).invented
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before)


def test_a_locked_value_that_the_plan_rules_out_is_told_and_moved_by_lock_alone(plan: Path) -> None:
    assert lanecast("lock", plan).returncode == 0
    plan.write_text(plan.read_text().replace("cidr: 10.8.2.0/24", "cidr: 10.8.3.0/24"))
    stale = lanecast("show", plan)
    assert stale.returncode == 1
    assert "rules out (address/subscribers.app-1)" in stale.stderr
    assert "1 moved" in lanecast("lock", plan).stdout
    assert "10.8.3.10" in lanecast("show", plan).stdout


def test_a_damaged_lock_file_is_told_by_line(plan: Path) -> None:
    lock_path(plan).write_text("lanecast-lock: 1\nvalues: [1]\n")
    for command in ("lock", "show"):
        result = lanecast(command, plan)
        assert result.returncode == 1
        assert f"{lock_path(plan)}:2: values" in result.stderr
        assert "Traceback" not in result.stderr


def test_back_ends_are_loaded_only_when_they_run() -> None:
    script = "import sys; from lanecast.cli import build_app; build_app(['check']); " \
        "print([m for m in sys.modules if m.startswith(('lanecast_lab', 'lanecast_templates', 'mininet', 'scapy'))])"  # fmt: skip
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
