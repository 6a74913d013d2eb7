"""The audit log of a real relay, and what `audit report` makes of it: who received what, and whether the log is whole."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyotp
import pytest
import structlog
from leasing import (
    CLIENT,
    DEADLINE_S,
    NEEDS_ROOT,
    OTHER_CLIENT,
    RELAY,
    Answer,
    Leasing,
    Source,
    own_network,
    receiver,
    wait_until,
)

from lanecast_relay.audit import COUNTED, AuditLog
from lanecast_relay.audit_trail import AuditTrail, Receiving
from lanecast_relay.audit_writer import AuditWriter

pytestmark = NEEDS_ROOT


@pytest.fixture
def network() -> Iterator[None]:
    with own_network():
        yield


@pytest.fixture
def relay(network: None, tmp_path: Path) -> Iterator[Leasing]:
    relay = Leasing(tmp_path)
    relay.start()
    yield relay
    if relay.process is not None:
        relay.kill()


def report(relay: Leasing, *logs: Path, exit_code: int = 0) -> tuple[list[dict[str, Any]], list[str]]:
    """The receivers of quotes in this month, and the problems."""
    month = f"{datetime.now(UTC):%Y-%m}"
    asked = relay.command("audit", "report", *map(str, logs), "--feed", "quotes", "--month", month, "--json")
    assert asked.returncode == exit_code, asked.stderr
    document = json.loads(asked.stdout)
    assert asked.stderr.splitlines() == document["problems"]
    return document["receivers"], document["problems"]


def test_the_report_tells_who_received_what_over_several_logs(relay: Leasing, tmp_path: Path) -> None:
    source, token = Source(), relay.token(feeds={"quotes": "*", "trades": "*"})
    with receiver() as client, receiver("10.8.2.20") as fixed:
        first = relay.lease(token).document
        sent = source.send(50)
        assert [client.recv(2048) for _ in range(50)] == sent
        relay.audit_log.rename(tmp_path / "older.jsonl")
        assert relay.process is not None
        relay.process.send_signal(signal.SIGHUP)
        wait_until(relay.audit_log.exists)
        sent += source.send(30)
        assert [client.recv(2048) for _ in range(30)] == sent[50:]
        assert relay.call("DELETE", f"/v1/leases/{first['id']}", token).status == 204
        assert relay.lease(token, f"{OTHER_CLIENT}:20001", feed="trades").status == 201
        sent += source.send(20)
        assert [fixed.recv(2048) for _ in range(100)] == sent
    relay.stop()
    rows, problems = report(relay, tmp_path / "older.jsonl", relay.audit_log)
    assert problems == []
    size = len(sent[0])
    seen = {row["subscriber"]: row for row in rows}
    assert set(seen) == {"fixed", f"lease:alice:{first['id']}"}, "the lease of trades is in a report about trades"
    leased, fixed_row = seen[f"lease:alice:{first['id']}"], seen["fixed"]
    assert (leased["subject"], leased["outputs"]) == ("alice", [f"main {CLIENT}:20001"])
    assert (leased["datagrams"], leased["reason"]) == (80, "ended by its holder")
    assert (fixed_row["datagrams"], fixed_row["reason"]) == (100, "relay stopped")
    assert size * 80 <= leased["bytes"] == sum(map(len, sent[:80]))
    assert fixed_row["from"] < leased["from"] < leased["until"] < fixed_row["until"]


def test_forms_months_and_wrong_questions(relay: Leasing) -> None:
    relay.stop()
    log, month = str(relay.audit_log), f"{datetime.now(UTC):%Y-%m}"
    written = relay.command("audit", "report", log, "--feed", "quotes", "--month", month, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(written.stdout))
    assert (row["subscriber"], row["outputs"]) == ("fixed", "main 10.8.2.20:20001")
    assert "fixed" in relay.command("audit", "report", log, "--feed", "quotes", "--month", month).stdout
    other = relay.command("audit", "report", log, "--feed", "quotes", "--month", "2001-02", "--json")
    assert (other.returncode, json.loads(other.stdout)["receivers"]) == (0, [])
    wrong = relay.command("audit", "report", log, "--feed", "quotes", "--month", "February")
    assert (wrong.returncode, "2026-11" in wrong.stderr) == (1, True)
    absent = relay.command("audit", "report", log + ".not", "--feed", "quotes", "--month", month)
    assert (absent.returncode, log in absent.stderr) == (2, True)


def test_a_killed_relay_leaves_a_log_that_says_so_and_goes_on(relay: Leasing) -> None:
    with receiver("10.8.2.20") as fixed:
        sent = Source().send(10)
        assert [fixed.recv(2048) for _ in range(10)] == sent
    relay.kill()
    with relay.audit_log.open("ab") as log:
        log.write(b'{"event":"clo')  # as if it had been killed while it wrote
    relay.start()
    relay.stop()
    rows, problems = report(relay, relay.audit_log, exit_code=1)
    assert [row["reason"] for row in rows] == ["not known: the relay ended without saying so", "relay stopped"]
    assert (rows[0]["until"], rows[0]["datagrams"]) == (None, None)
    assert len(problems) == 2
    assert "half a line" in problems[0]
    assert "ended without saying so" in problems[1]


@pytest.mark.parametrize("tampering", ["changed", "removed", "added", "order"])
def test_a_log_that_was_tampered_with_is_told(relay: Leasing, tampering: str) -> None:
    token = relay.token()
    assert relay.lease(token).status == 201
    relay.stop()
    report(relay, relay.audit_log)
    lines = relay.audit_log.read_bytes().splitlines(keepends=True)
    assert len(lines) > 4
    if tampering == "changed":
        lines[2] = lines[2].replace(CLIENT.encode(), b"10.8.2.99")
    elif tampering == "removed":
        del lines[2]
    elif tampering == "added":
        lines.insert(2, lines[2])
    else:
        lines[2:4] = lines[3:1:-1]
    relay.audit_log.write_bytes(b"".join(lines))
    _, problems = report(relay, relay.audit_log, exit_code=1)
    assert any("does not follow the line before it" in problem for problem in problems)


def test_one_log_has_one_relay(relay: Leasing, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(relay.file.read_text().replace("control.sock", "other.sock"))
    refused = relay.command("run", str(other))
    assert refused.returncode == 2
    assert "another relay writes this audit log" in refused.stderr


def test_a_full_disk_gives_no_leases_and_costs_no_forwarding(network: None, tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    mounting = f'mount -t tmpfs -o size=64k none {folder} && exec "$@"'
    relay = Leasing(tmp_path, wrapper=["unshare", "--mount", "sh", "-c", mounting, "sh"])
    relay.write((f"{tmp_path}/audit.jsonl", f"{folder}/audit.jsonl"))
    relay.start()
    assert relay.process is not None
    inside = Path(f"/proc/{relay.process.pid}/root{folder}")
    source, token = Source(), relay.token(leases=100)
    with receiver("10.8.2.20") as fixed:
        (inside / "filler").write_bytes(bytes(56 * 1024))  # of 64 KiB: the log's page and one more are left
        with (inside / "filler").open("ab", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            fill(filler)
        # What the log's last page has room for is recorded, and so given.
        given = 0
        while (answer := relay.lease(token, f"{CLIENT}:{21000 + given}")).status == 201:
            given += 1
        assert (answer.status, given < 40) == (503, True)
        assert len(relay.subscribers()) == 1 + given, "what is not recorded is not given"
        sent = source.send(20)
        assert [fixed.recv(2048) for _ in range(20)] == sent
        (inside / "filler").unlink()
        assert relay.lease(token, f"{CLIENT}:{21000 + given}").status == 201
    written = (inside / "audit.jsonl").read_text()
    relay.stop()
    events = [json.loads(line)["event"] for line in written.splitlines()]
    assert events == ["started", "opened", *("opened" for _ in range(given + 1))]


def fill(file: io.FileIO) -> None:
    """Write until the disk takes no more; raise ``OSError``."""
    while True:
        file.write(bytes(512))


def with_held_disk(gate: Path) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("held_disk.py")), str(gate)]


@contextlib.contextmanager
def hanging(gate: Path) -> Iterator[None]:
    """Meanwhile no ``fsync`` of the relay returns."""
    with gate.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def test_a_disk_that_hangs_costs_no_forwarding_and_no_lease_outlives_it(network: None, tmp_path: Path) -> None:
    """The service manager goes on hearing that the relay lives, leases end in time, and who asks for one is told."""
    gate = tmp_path / "gate"
    gate.touch()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(DEADLINE_S)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        relay = Leasing(tmp_path, period="2s", environment=told)
        relay.command_to_run = with_held_disk(gate)
        relay.start()
        source, token = Source(), relay.token()
        with receiver("10.8.2.20") as fixed:
            left = relay.lease(token).document
            with hanging(gate):
                # What it had said until now is read first, so that what comes is of now.
                assert relay.lease(token, f"{OTHER_CLIENT}:20001").status == 503
                said_until_now(manager)
                wait_until(lambda: set(relay.subscribers()) == {"fixed"})
                relay.audit_log.rename(tmp_path / "older.jsonl")
                assert relay.process is not None
                relay.process.send_signal(signal.SIGHUP)
                for _ in range(20):
                    while manager.recv(200) != b"WATCHDOG=1":
                        pass
                sent = source.send(20)
                assert [fixed.recv(2048) for _ in range(20)] == sent
                assert relay.call("GET", "/v1/leases", token).document == {"leases": []}
                assert relay.lease(token, f"{OTHER_CLIENT}:20001").status == 503
                assert set(relay.subscribers()) == {"fixed"}
        wait_until(lambda: relay.lease(token, f"{OTHER_CLIENT}:20001").status == 201)
    relay.stop()
    rows, problems = report(relay, tmp_path / "older.jsonl", relay.audit_log)
    assert problems == []
    reasons = {row["subscriber"]: row["reason"] for row in rows}
    assert reasons[f"lease:alice:{left['id']}"] == "not renewed"
    assert any(reason.startswith("never sent") for reason in reasons.values()), (
        "what was too late is in the log after all"
    )
    assert sum(row["datagrams"] for row in rows if row["subscriber"] != "fixed") == 0


def said_until_now(manager: socket.socket) -> None:
    """Take what the relay has told already."""
    manager.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while manager.recv(200):
            pass
    manager.settimeout(DEADLINE_S)


@pytest.fixture
def held(network: None, tmp_path: Path) -> Iterator[Leasing]:
    """A relay whose disk hangs while the test holds the file ``gate``."""
    (tmp_path / "gate").touch()
    relay = Leasing(tmp_path, command_to_run=with_held_disk(tmp_path / "gate"))
    relay.start()
    yield relay
    if relay.process is not None:
        relay.kill()


def test_a_reload_whose_disk_hangs_holds_up_no_lease_and_no_end(held: Leasing, tmp_path: Path) -> None:
    source, token, admin = Source(), held.token(), held.token(scope=["admin"])
    lease = held.lease(token).document
    held.write(("used-codes.json", "elsewhere.json"))
    with (
        receiver("10.8.2.20") as fixed,
        hanging(tmp_path / "gate"),
        subprocess.Popen([*RELAY, "reload", str(held.file)], stderr=subprocess.DEVNULL) as asking,
    ):
        wait_until((tmp_path / "elsewhere.json.new").exists)
        with ThreadPoolExecutor() as threads:
            answers = threads.map(lambda _: held.call("POST", "/v1/reload", admin), range(5))
            assert [answer.status for answer in answers] == [503] * 5
        assert held.call("POST", f"/v1/leases/{lease['id']}/renew", token).status == 200
        sent = source.send(20)
        assert [fixed.recv(2048) for _ in range(20)] == sent
        held.stop()
        assert asking.wait(DEADLINE_S) == 2
    said = [one["event"] for one in held.log()]
    assert "control socket does not end: what it was asked for hangs" in said
    assert "draining" in said


def test_a_code_whose_disk_hangs_holds_up_no_other_one_and_no_end(held: Leasing, tmp_path: Path) -> None:
    code = pyotp.TOTP((tmp_path / "careful.otp").read_text().strip()).now()
    other = pyotp.TOTP(held.environment["CAREFUL_TOO"]).now()
    with ThreadPoolExecutor() as threads, hanging(tmp_path / "gate"):
        first = threads.submit(held.lease, held.token(sub="careful"), code=code)
        wait_until((tmp_path / "used-codes.json.new").exists)
        assert held.lease(held.token(sub="careful-too"), f"{OTHER_CLIENT}:20001", code=other).status == 503
        assert set(held.subscribers()) == {"fixed"}
        held.stop()
        assert not given(first.exception(DEADLINE_S) or first.result())


def given(answer: BaseException | Answer) -> bool:
    return isinstance(answer, Answer) and answer.status == 201


def test_what_is_thrown_away_while_a_disk_hangs_is_told_also_when_that_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, sync = AuditLog(tmp_path / "audit.jsonl"), os.fsync
    asked, answers = threading.Event(), threading.Event()

    def hangs(file: int) -> None:
        asked.set()
        assert answers.wait(DEADLINE_S)
        sync(file)

    monkeypatch.setattr(os, "fsync", hangs)
    monkeypatch.setattr("lanecast_relay.audit_writer.PENDING_RECORDS", 3)
    writer = AuditWriter(log, structlog.get_logger())
    writer.put({"number": 0})
    assert asked.wait(DEADLINE_S)
    writer.put(*({"number": number} for number in range(1, 6)))
    answers.set()
    writer.close()
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    missed = {"event": "missed", "records": 2}
    assert [{name: value for name, value in line.items() if name != "previous"} for line in lines] == [
        {"number": 0}, missed, {"number": 3}, {"number": 4}, {"number": 5},
    ]  # fmt: skip


def answered(**channels: tuple[int, int]) -> dict[str, Any]:
    """A subscriber's counters with these ranges of numbers in answers."""
    ranges = [
        {"feed": "quotes", "channel": channel, "stream": 0, "epoch": "E", "first": first, "last": last}
        for channel, (first, last) in channels.items()
    ]
    return {"name": "app", **dict.fromkeys(COUNTED, 0), "answered": ranges}


def test_an_interval_tells_no_answers_that_one_before_has_told(tmp_path: Path) -> None:
    def receives(*channels: str) -> dict[str, Receiving]:
        return {"app": Receiving("app", "native", tuple(("quotes", channel, CLIENT) for channel in channels))}

    def follow(now: dict[str, Receiving], counters: dict[str, Any], *ended: dict[str, Any]) -> None:
        trail.follow(now, ended, {"subscribers": [counters]}, {}, "reload")

    trail = AuditTrail(AuditLog(tmp_path / "audit.jsonl"), structlog.get_logger(), "edge")
    trail.start(receives("main"))
    follow(receives("main", "late"), answered(main=(1, 10)))
    follow(receives("main", "late", "more"), answered(main=(1, 10), late=(5, 6)))
    # An output is closed and opened anew, as for another delivery, and then answered.
    follow(receives("main", "late", "more"), answered(late=(5, 6)), answered(main=(1, 10)))
    follow(receives("main"), answered(main=(3, 4), late=(5, 6)))
    # What has grown reaches back to the beginning.
    trail.stop({"subscribers": [answered(main=(3, 9), late=(5, 6))]})
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    told = [
        {one["channel"]: (one["first"], one["last"]) for one in line["answered"]}
        for line in lines
        if line["event"] == "closed"
    ]
    assert told == [{"main": (1, 10)}, {"late": (5, 6)}, {"main": (3, 4)}, {"main": (3, 9)}]
