"""The whole way, through the command: plan, configurations, emulated network, relay, verdict, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from emulated_networks import LANECAST, ROOT, lab_run, left_behind, machine

pytestmark = pytest.mark.lab

TWO_SITES = ROOT / "examples/two-sites.yaml"
EIGHT_PLATFORMS = ROOT / "examples/eight-platforms.yaml"
REPLAY = ROOT / "examples/cme-replay.yaml"

CONVERGED_WITHIN_S = 60
"""Generous: the verdict of a run shows what it really took."""

FASTER = "20"
"""The longer capture lasts five minutes at its own pace."""


def test_two_sites_keep_every_promise(tmp_path: Path) -> None:
    run = lab_run(tmp_path, TWO_SITES)
    assert run.status == 0, run.errors + json.dumps(run.verdict.get("checks"), indent=1)
    assert run.verdict["passed"] is True
    received = {(one["name"], one["feed"]) for one in run.verdict["subscribers"]}
    assert len({name for name, _ in received}) == 6
    for one in run.verdict["subscribers"]:
        assert one["expected"] == one["received"] > 0
        assert (one["missing"], one["duplicated"], one["out_of_order"], one["corrupted"]) == (0, 0, 0, 0)
        assert 0 < one["latency_us"]["p50"] <= one["latency_us"]["p99"] <= one["latency_us"]["max"]
    assert run.check("cme-310 availability")["passed"] is None, "too few messages to show it"
    assert run.check("hk1-a delay")["measured"] >= 2
    assert run.verdict["timings"]["build_s"] + run.verdict["timings"]["converge_s"] < CONVERGED_WITHIN_S
    nodes = {path.stem for path in run.report.glob("*.pcap")}
    assert nodes == {path.stem for path in run.report.glob("*.log")}
    assert {"cme-router", "hk1-r1", "hk1-relay-1", "hk.hub", "search-gz-1"} <= nodes
    assert ElementTree.parse(run.report / "junit.xml").getroot() is not None


def test_routers_of_every_platform_run_as_frr_and_the_verdict_says_so(tmp_path: Path) -> None:
    run = lab_run(tmp_path / "report", EIGHT_PLATFORMS, "--duration", "2")
    assert (run.status, run.verdict["passed"]) == (0, True), run.errors
    stood_in = [note.partition(" ")[0] for note in run.verdict["notes"] if "runs as FRR" in note]
    assert len(stood_in) == 7
    assert "gz2-r2" not in stood_in, "it is FRR by the plan"
    assert all(row["missing"] == row["duplicated"] == 0 and row["received"] for row in run.verdict["subscribers"])


def test_a_plan_that_no_frr_can_stand_in_for_is_refused_with_the_reason(tmp_path: Path) -> None:
    told = "rendezvous: {address: 198.51.100.99, groups: [239.1.0.0/16], msdp: {}}"
    text = EIGHT_PLATFORMS.read_text().replace("cme: {asn: 65010, rendezvous: none}", f"cme: {{asn: 65010, {told}}}")
    for site, address in (("hk1", "10.255.0.1"), ("hk2", "10.255.0.2")):
        text = text.replace(f"  {site}:\n    region: hk\n", f"  {site}:\n    region: hk\n    rendezvous: {address}\n")
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    run = lab_run(tmp_path / "report", plan)
    assert run.status == 2
    said = "the lab cannot run exchanges.cme.rendezvous.msdp: its routers run as FRR 8.4"
    assert said in " ".join(run.errors.split())


def test_captures_arrive_once_in_order_and_unchanged(captures: Path, tmp_path: Path) -> None:
    run = lab_run(tmp_path, REPLAY, *replays(captures))
    assert run.status == 0, run.errors + json.dumps(run.verdict.get("checks"), indent=1)
    by_feed = {
        feed: [one for one in run.verdict["subscribers"] if one["feed"] == feed] for feed in ("cme-340", "cme-nine")
    }
    assert {one["expected"] for one in by_feed["cme-340"]} == {5000}
    assert len({one["stream"] for one in by_feed["cme-nine"]}) == 9
    for one in run.verdict["subscribers"]:
        assert one["expected"] == one["received"]
        assert (one["duplicated"], one["out_of_order"], one["corrupted"]) == (0, 0, 0)
    alone = [one["only_on"] for one in by_feed["cme-nine"] if one["name"] == by_feed["cme-nine"][0]["name"]]
    assert sum(one.get("A", 0) for one in alone) == 2
    assert sum(one.get("B", 0) for one in alone) == 3


def replays(captures: Path) -> list[str]:
    files = {"cme-340": "cme_mdp3_v6_AB_20161112.pcap", "cme-nine": "cme_mdp3_v9_AB_multichannel_20180912.pcap"}
    options = ["--speed", FASTER, "--no-pcap"]
    for feed, name in files.items():
        options += ["--replay", f"{feed}={captures / name}"]
    return options


def test_what_both_lines_lose_is_missing_and_nothing_else(captures: Path, tmp_path: Path) -> None:
    losses = ["--loss", "cme-340.A=10", "--loss", "cme-340.B=10", "--seed", "7"]
    run = lab_run(tmp_path, REPLAY, *replays(captures), *losses)
    lost = lost_on_both(tmp_path / "source-record.jsonl", "cme-340")
    assert len(lost) >= 20, "the case has to happen"
    assert run.status == 1
    assert run.verdict["passed"] is False
    delivered = run.check("cme-340 delivered")
    assert delivered["passed"] is False
    assert str(min(lost)) in delivered["detail"]
    for one in run.verdict["subscribers"]:
        if one["feed"] == "cme-340":
            assert one["missing"] == len(lost)
            ranges = one["never_sent"]["ranges"]
            named = {number for part in ranges for number in range(part["first"], part["last"] + 1)}
            assert named == lost
            assert one["lost_on_the_way"]["count"] == 0


def lost_on_both(record: Path, feed: str) -> set[int]:
    """Numbers that the source's record says were lost on each line, read from the capture's order alone.

    The capture's lines carry the same 5,000 consecutive numbers from 5,615 on, each line in order.
    """
    header, *rows = (json.loads(line) for line in record.read_text().splitlines())
    columns = {name: index for index, name in enumerate(header["columns"])}
    numbers = {"A": 5615, "B": 5615}
    lost: dict[str, set[int]] = {"A": set(), "B": set()}
    for row in rows:
        if row[columns["feed"]] == feed:
            line = row[columns["line"]]
            if row[columns["lost"]]:
                lost[line].add(numbers[line])
            numbers[line] += 1
    assert numbers == {"A": 10615, "B": 10615}
    return lost["A"] & lost["B"]


def test_ten_runs_leave_nothing(tmp_path: Path) -> None:
    before = machine()
    for number in range(10):
        run = lab_run(tmp_path / str(number), REPLAY, "--duration", "0.2", "--no-pcap")
        assert run.status in (0, 1), run.errors
    assert left_behind(before) == {}


@pytest.mark.parametrize("whom", ["command", "supervisor"])
def test_a_killed_run_leaves_nothing(whom: str, tmp_path: Path) -> None:
    before = machine()
    command = [*LANECAST, "lab", "run", str(TWO_SITES), "--report", str(tmp_path), "--duration", "60"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "multicast to converge" in line:  # told when that phase has ended: everything runs by then
            break
    labs = json.loads(subprocess.check_output([*LANECAST, "lab", "status", "--json"]))
    (lab,) = [one for one in labs if one["plan"] == str(TWO_SITES)]
    os.kill(process.pid if whom == "command" else lab["pid"], signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert left_behind(before) == {}


@pytest.fixture
def lab_up() -> Iterator[str]:
    name = f"test-{os.getpid()}"
    subprocess.run([*LANECAST, "lab", "up", str(REPLAY), "--name", name], check=True, capture_output=True, timeout=120)
    yield name
    subprocess.run([*LANECAST, "lab", "down", "--lab", name], check=True, capture_output=True, timeout=60)


def test_a_lab_that_is_up_can_be_looked_into_beside_another(lab_up: str, tmp_path: Path) -> None:
    beside = lab_run(tmp_path, REPLAY, "--duration", "0.5", "--no-pcap")
    assert beside.status in (0, 1), beside.errors
    inside = [*LANECAST, "lab", "exec", "hk1-r1", "--lab", lab_up, "--"]
    address = subprocess.run([*inside, "ip", "-j", "address"], capture_output=True, text=True, check=True)
    assert "192.0.2.2" in address.stdout
    assert subprocess.run([*inside, "sh", "-c", "exit 7"], check=False).returncode == 7
    unknown = subprocess.run([*LANECAST, "lab", "exec", "none", "--lab", lab_up, "--", "true"], check=False)
    assert unknown.returncode == 2
    again = subprocess.run([*LANECAST, "lab", "up", str(REPLAY), "--name", lab_up], capture_output=True, check=False)
    assert again.returncode == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--loss", "cme-34.A=5"], "did you mean cme-340"),
        (["--loss", "cme-340.A=101"], "from 0 to 100"),
        (["--replay", "cme-340=/nowhere.pcap"], "no file is at"),
        (["--speed", "0"], "more than 0"),
    ],
)
def test_a_run_that_cannot_be_done_says_why_and_exits_2(options: list[str], words: str, tmp_path: Path) -> None:
    run = lab_run(tmp_path, REPLAY, *options)
    assert run.status == 2
    assert words in run.errors
    assert "Traceback" not in run.errors


def test_a_plan_with_mistakes_exits_2_with_all_of_them(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(REPLAY.read_text().replace("asn: 65101", "asn: 65010"))
    run = lab_run(tmp_path / "report", plan)
    assert run.status == 2
    assert "65010 is exchanges.cme.asn already" in run.errors
