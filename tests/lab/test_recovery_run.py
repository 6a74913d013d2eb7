"""Recovery end to end: what both lines lose comes from the exchange's servers, and only what was asked for comes in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.lab

EXAMPLE = Path(__file__).parent.parent.parent / "examples/itch-recovery.yaml"
LANECAST = [sys.executable, "-m", "lanecast.cli"]
SEED = 11
DEADLINE_S = 20.0
LOSSES = [f"--loss={feed}.{line}=5" for feed in ("itch", "options") for line in "AB"]


def lab_run(report: Path, plan: Path) -> dict[str, Any]:
    """Three seconds of traffic with 5 % lost on each line; the verdict."""
    command = [*LANECAST, "lab", "run", str(plan), "--report", str(report), "--json", "--no-pcap"]
    command += ["--duration", "3", "--seed", str(SEED), *LOSSES]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert result.returncode in (0, 1), result.stderr
    verdict: dict[str, Any] = json.loads(result.stdout)
    return verdict


def check_of(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(check for check in verdict["checks"] if check["name"] == name)
    return found


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The example with something else in its feeds."""
    plan = yaml.safe_load(EXAMPLE.read_text())
    change(plan["feeds"])
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


def lost_on_both(record: Path) -> dict[str, int]:
    """How many datagrams of each feed no line had, by the source's record."""
    header, *rows = (json.loads(line) for line in record.read_text().splitlines())
    columns = {name: index for index, name in enumerate(header["columns"])}
    had: dict[tuple[str, str, str, int], bool] = {}
    for row in rows:
        # The lines of a feed have the same datagrams due at the same time.
        key = tuple(row[columns[name]] for name in ("feed", "channel", "sha256", "due_ns"))
        had[key] = had.get(key, False) or not row[columns["lost"]]
    feeds = [key[0] for key, on_a_line in had.items() if not on_a_line]
    return {feed: feeds.count(feed) for feed in ("itch", "options")}


def assert_the_journal_has_both_lines(report: Path) -> None:
    """The plan asks one relay for a journal, which is to have every datagram of its lines that came."""
    counters = json.loads((report / "relays.json").read_text())
    kept = counters["gz1-relay-1"]["journal"]
    assert (kept["state"], kept["dropped"], kept["failed"]) == ("writing", 0, 0)
    lines = [line for stream in counters["gz1-relay-1"]["streams"] for line in stream["lines"]]
    # What servers answered came as well, and is kept as a line of its own.
    assert kept["written"] == sum(line["received"] for line in lines) > 0
    assert counters["gz1-relay-2"]["journal"] is None


def test_what_both_lines_lose_comes_from_the_servers(tmp_path: Path) -> None:
    verdict = lab_run(tmp_path, EXAMPLE)
    lost = lost_on_both(tmp_path / "source-record.jsonl")
    assert min(lost.values()) > 0, "the case has to happen"
    for feed in lost:
        assert check_of(verdict, f"{feed} delivered")["passed"] is True, verdict["checks"]
        recovered = check_of(verdict, f"{feed} recovered")
        assert recovered["passed"] is True
        assert recovered["measured"] == recovered["wanted"] >= lost[feed]
    for one in verdict["subscribers"]:
        assert one["expected"] == one["received"] > 0
        assert (one["missing"], one["duplicated"], one["out_of_order"], one["corrupted"]) == (0, 0, 0, 0)
    for feed in lost:
        own = [one for one in verdict["subscribers"] if one["feed"] == feed]
        assert len({one["recovered"] for one in own if one["stream"] == own[0]["stream"]}) == 1
        assert sum(one["recovered"] for one in own) == check_of(verdict, f"{feed} recovered")["measured"]
    assert_the_journal_has_both_lines(tmp_path)
    answered = {one["server"].partition(":")[0] for one in verdict["recovery"] if one["answered"]}
    assert answered == {"203.0.113.3", "203.0.113.11"}, "each circuit led to one of them"
    assert verdict["unexpected"] == []


def test_without_servers_just_that_is_missing(tmp_path: Path) -> None:
    def ask_nobody(feeds: dict[str, Any]) -> None:
        for feed in feeds.values():
            del feed["recovery"]
            feed["hole-wait"] = "150ms"  # for the other line on a machine that does other work as well

    verdict = lab_run(tmp_path, changed(tmp_path, ask_nobody))
    lost = lost_on_both(tmp_path / "source-record.jsonl")
    for feed in lost:
        assert check_of(verdict, f"{feed} delivered")["passed"] is (lost[feed] == 0)
    for one in verdict["subscribers"]:
        assert one["missing"] == one["never_sent"]["count"]
        assert (one["recovered"], one["lost_on_the_way"]["count"], one["duplicated"]) == (0, 0, 0)
    assert verdict["recovery"] == []


@pytest.fixture
def lab_up() -> Iterator[str]:
    name = f"test-recovery-{os.getpid()}"
    subprocess.run([*LANECAST, "lab", "up", str(EXAMPLE), "--name", name], check=True, capture_output=True, timeout=120)
    yield name
    subprocess.run([*LANECAST, "lab", "down", "--lab", name], check=True, capture_output=True, timeout=60)


ASK_AND_ANSWER = """
import socket, sys
mode, here, there = sys.argv[1], *(end.rsplit(":", 1) for end in sys.argv[2:4])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.bind((here[0], int(here[1])))
    if mode == "send":
        one.sendto(b"x", (there[0], int(there[1])))
    else:
        one.settimeout(20)
        print("ready", flush=True)
        data, asker = one.recvfrom(100)
        one.sendto(data, asker)
"""

ASK = """
import socket, sys
here, there = (end.rsplit(":", 1) for end in sys.argv[1:3])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.bind((here[0], int(here[1])))
    one.settimeout(20)
    one.sendto(b"request", (there[0], int(there[1])))
    print(one.recv(100).decode())
"""


def test_what_was_not_asked_for_stays_outside(lab_up: str) -> None:
    """In the running network: a request's answer comes back, the same packet unasked and others like it do not."""
    server, relay = "203.0.113.3:26400", wan_address(lab_up)

    def inside(node: str, *command: str) -> list[str]:
        return [*LANECAST, "lab", "exec", node, "--lab", lab_up, "--", *command]

    def unasked(source: str, destination: str) -> None:
        command = inside("nasdaq-source", sys.executable, "-c", ASK_AND_ANSWER, "send", source, destination)
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def packets(counter: str) -> int:
        listed = subprocess.check_output(inside("gz1-r1", "nft", "-j", "list", "table", "inet", "lanecast"), text=True)
        for item in json.loads(listed)["nftables"]:
            if item.get("counter", {}).get("name") == counter:
                return int(item["counter"]["packets"])
            if item.get("rule", {}).get("comment") == counter:
                return sum(int(part["counter"]["packets"]) for part in item["rule"]["expr"] if "counter" in part)
        raise AssertionError(f"gz1-r1 counts no {counter}")

    before = packets("not_forwarded")
    lan = subprocess.check_output(inside("gz1-relay-1", "ip", "-j", "address", "show", "lan-gz1-r1"), text=True)
    others = (f"{json.loads(lan)[0]['addr_info'][0]['local']}:40000", "10.9.2.10:40000")
    unasked(server, f"{relay}:40000")
    deadline = time.monotonic() + DEADLINE_S
    while packets("not_forwarded") == before and time.monotonic() < deadline:
        time.sleep(0.05)  # the circuit takes its time
    assert packets("not_forwarded") == before + 1, "nobody asked for it"
    for destination in others:  # the exchange has no way there, and is not given one
        command = inside("nasdaq-source", sys.executable, "-c", ASK_AND_ANSWER, "send", server, destination)
        subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert packets("itch answers over gz1-a") == 0
    answering = subprocess.Popen(
        inside("nasdaq-source", sys.executable, "-c", ASK_AND_ANSWER, "answer", server, "0.0.0.0:0"),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert answering.stdout is not None
    assert answering.stdout.readline() == "ready\n"
    asked = subprocess.run(
        inside("gz1-relay-1", sys.executable, "-c", ASK, f"{relay}:40001", server),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    answering.communicate(timeout=60)
    assert asked.stdout == "request\n", asked.stderr
    assert packets("itch requests over gz1-a") == packets("itch answers over gz1-a") == 1
    assert packets("not_forwarded") == before + 1


def wan_address(lab: str) -> str:
    """The address that gz1-relay-1 asks from over gz1-r1."""
    command = [*LANECAST, "lab", "exec", "gz1-relay-1", "--lab", lab, "--", "ip", "-j", "address", "show", "mc-gz1-r1"]
    found = json.loads(subprocess.check_output(command, text=True))
    return str(found[0]["addr_info"][0]["local"])
