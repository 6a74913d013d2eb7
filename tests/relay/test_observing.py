"""Looking at a running relay: metrics, the dashboard that reads them, the live view, and the service manager's watchdog."""

from __future__ import annotations

import ctypes
import json
import os
import queue
import re
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import pytest
from leasing import NEEDS_ROOT, wait_until
from prometheus_client.parser import text_string_to_metric_families

from lanecast_relay.control import ControlServer, ask_to_reload, read_counters, serving
from lanecast_relay.forwarding import _Hangups
from lanecast_relay.losses import LossLog
from lanecast_relay.metrics import RelayCollector
from lanecast_relay.running import RunningRelay

RELAY = [sys.executable, "-m", "lanecast_relay.cli"]
DEADLINE_S = 30.0

FILE = """
lanecast-relay: 1
name: edge
control-socket: {directory}/control.sock
metrics: 127.0.0.1:{metrics}
feeds:
  quotes:
    protocol: moldudp64
    hole-wait: 5ms
    lines:
      A: {{unicast: {{listen: {{main: "127.0.0.1:{a}"}}}}}}
      B: {{unicast: {{listen: {{main: "127.0.0.1:{b}"}}}}}}
subscribers:
  app: {{feeds: {{quotes: {{main: "127.0.0.1:{out}"}}}}}}
"""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that were free a moment ago."""
    sockets = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_STREAM, *[socket.SOCK_DGRAM] * (count - 1))]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def mold(number: int, body: bytes) -> bytes:
    return b"SESSION001" + struct.pack(">QHH", number, 1, len(body)) + body


@dataclass
class Running:
    """A relay that runs with one feed on two lines of the loopback."""

    process: subprocess.Popen[str]
    directory: Path
    metrics_port: int
    lines: dict[str, int]
    receiver: socket.socket

    def feed(self) -> None:
        """Numbers 1 to 100: A lacks each tenth, B each fourth, so that 20, 40, … came on none; and one stray."""
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            for number in range(1, 101):
                for line, left_out in (("A", 10), ("B", 4)):
                    if number % left_out:
                        sender.sendto(mold(number, b"message"), ("127.0.0.1", self.lines[line]))
            sender.sendto(b"stray", ("127.0.0.1", self.lines["B"]))
        for _ in range(95):
            self.receiver.recv(2048)

    def scrape(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=DEADLINE_S) as answer:
            text = answer.read().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def counters(self) -> dict[str, Any]:
        out = subprocess.check_output([*RELAY, "counters", str(self.directory / "control.sock"), "--json"])
        counters: dict[str, Any] = json.loads(out)
        return counters


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    metrics, a, b, out = free_ports(4)
    file = tmp_path / "relay.yaml"
    file.write_text(FILE.format(directory=tmp_path, metrics=metrics, a=a, b=b, out=out))
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver:
        receiver.bind(("127.0.0.1", out))
        receiver.settimeout(DEADLINE_S)
        process = subprocess.Popen(
            [*RELAY, "run", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] is True
        yield Running(process, tmp_path, metrics, {"A": a, "B": b}, receiver)
        process.terminate()
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0


def test_metrics_are_the_counters_and_add_up(running: Running) -> None:
    running.feed()
    metrics = running.scrape()
    (stream,) = running.counters()["streams"]
    for line in stream["lines"]:
        labels = {"relay": "edge", "feed": "quotes", "channel": "main", "line": line["line"]}
        received = metrics["lanecast_relay_received_datagrams_total", frozenset(labels.items())]
        held = metrics["lanecast_relay_held_datagrams", frozenset(labels.items())]
        classes = {
            dict(key)["class"]: value
            for (name, key), value in metrics.items()
            if name == "lanecast_relay_datagrams_total" and ("line", line["line"]) in key
        }
        assert received == line["received"] == sum(classes.values()) + held
        assert classes == {name: line[name] for name in classes}
    assert {line["line"]: line["received"] for line in stream["lines"]} == {"A": 90, "B": 76}
    lost = metrics["lanecast_relay_lost_messages_total", frozenset({"relay": "edge", "feed": "quotes", "channel": "main"}.items())]  # fmt: skip
    assert lost == stream["lost_messages"] == 4, "the hundredth is lost only once something follows it"
    app = frozenset({"relay": "edge", "subscriber": "app"}.items())
    assert metrics["lanecast_relay_sent_datagrams_total", app] == 95


def test_the_dashboard_asks_for_metrics_that_there_are(running: Running) -> None:
    running.feed()
    there = {name for name, _ in running.scrape()} | {"lanecast_relay_refused_sends_total"}
    dashboard = json.loads(files("lanecast_relay").joinpath("grafana-dashboard.json").read_text())
    asked = set(re.findall(r"lanecast_relay_\w+", json.dumps(dashboard)))
    assert asked
    assert asked <= there, asked - there
    places = [tuple(panel["gridPos"][key] for key in "xy") for panel in dashboard["panels"]]
    assert len(places) == len(set(places))


def test_top_shows_what_happened_between_two_looks(running: Running) -> None:
    command = [*RELAY, "top", str(running.directory / "relay.yaml"), "--interval", "0.5", "--count", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        running.feed()
        assert watching.stdout is not None
        shown = watching.stdout.read()
    assert watching.returncode == 0
    for words in ("edge: lines", "quotes", "main", "app", "streams", "subscribers"):
        assert words in shown


def test_top_says_when_no_relay_runs(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text(FILE.format(directory=tmp_path, metrics=1, a=2, b=3, out=4))
    result = subprocess.run([*RELAY, "top", str(file)], capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert result.returncode == 2
    assert "is the relay running?" in result.stderr


def test_a_metrics_address_that_is_taken_is_named(tmp_path: Path) -> None:
    metrics, a, b, out = free_ports(4)
    file = tmp_path / "relay.yaml"
    file.write_text(FILE.format(directory=tmp_path, metrics=metrics, a=a, b=b, out=out))
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as taken:
        taken.bind(("127.0.0.1", metrics))
        taken.listen()
        command = [*RELAY, "run", str(file)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert result.returncode == 2
    assert f"cannot serve metrics on 127.0.0.1:{metrics}" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_service_manager_hears_that_the_packet_path_answers(tmp_path: Path) -> None:
    metrics, a, b, out = free_ports(4)
    file = tmp_path / "relay.yaml"
    file.write_text(FILE.format(directory=tmp_path, metrics=metrics, a=a, b=b, out=out))
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(DEADLINE_S)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen([*RELAY, "run", str(file)], stdout=subprocess.DEVNULL, env=environment)
        heard = [manager.recv(100).decode() for _ in range(4)]
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    assert heard == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_a_service_manager_that_is_gone_ends_no_relay(tmp_path: Path) -> None:
    metrics, a, b, out = free_ports(4)
    file = tmp_path / "relay.yaml"
    file.write_text(FILE.format(directory=tmp_path, metrics=metrics, a=a, b=b, out=out))
    path = tmp_path / "notify"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(path))
        manager.settimeout(DEADLINE_S)
        environment = os.environ | {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen(
            [*RELAY, "run", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert manager.recv(100) == b"READY=1"
    path.unlink()
    assert process.stderr is not None
    said: list[dict[str, Any]] = []
    while len(said) < 3:
        line = process.stderr.readline()
        assert line, "it has ended"
        event = json.loads(line)
        said += [event] if event["event"] == "the service manager cannot be told" else []
    assert {one["state"] for one in said} == {"WATCHDOG=1"}
    process.terminate()
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000
"""ptrace(2); wait(2), __WALL."""


@contextmanager
def stopped_thread(pid: int, name: str) -> Iterator[None]:
    """The thread of that name stands still meanwhile, and all others go on."""
    (thread,) = [
        int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if (task / "comm").read_text().strip() == name
    ]
    libc = ctypes.CDLL(None, use_errno=True)

    def trace(request: int) -> None:
        if libc.ptrace(request, thread, None, None):
            raise OSError(ctypes.get_errno(), "ptrace")

    trace(PTRACE_SEIZE)
    trace(PTRACE_INTERRUPT)
    os.waitpid(thread, WAIT_ALL)
    try:
        yield
    finally:
        trace(PTRACE_DETACH)


@NEEDS_ROOT
def test_the_service_manager_hears_nothing_while_the_packet_path_does_not_answer(tmp_path: Path) -> None:
    """Everything but the packet thread goes on; after five seconds the engine says that it does not answer."""
    metrics, a, b, out = free_ports(4)
    file = tmp_path / "relay.yaml"
    file.write_text(FILE.format(directory=tmp_path, metrics=metrics, a=a, b=b, out=out))
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(DEADLINE_S)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen(
            [*RELAY, "run", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"WATCHDOG=1"
        with stopped_thread(process.pid, "relay-packets"):
            manager.setblocking(False)
            with suppress(BlockingIOError):
                while manager.recv(100):
                    pass
            assert process.stderr is not None
            while json.loads(process.stderr.readline())["event"] != "the packet path does not answer":
                pass
            heard = []
            with suppress(BlockingIOError):
                while True:
                    heard.append(manager.recv(100))
        _, rest = process.communicate(timeout=DEADLINE_S)
    # One may have been on its way: the thread had answered, and was stopped before it was told.
    assert heard in ([], [b"WATCHDOG=1"])
    assert process.returncode == 2, rest
    assert "does not answer" in rest


def test_scrapes_that_follow_each_other_cost_the_packet_thread_one_snapshot() -> None:
    asked: list[int] = []

    def read() -> dict[str, Any]:
        asked.append(len(asked))
        fan_out = {"failed_clones": 7, "grouped": 2}
        return {"name": "edge", "streams": [], "subscribers": [], "journal": None, "fan_out": fan_out}

    collector = RelayCollector(read)
    metrics = [{metric.name: metric for metric in collector.collect()} for _ in range(20)]
    assert len(asked) < 20
    assert [sample.value for sample in metrics[-1]["lanecast_relay_failed_clones"].samples] == [7]


class Lines(list[tuple[str, dict[str, object]]]):
    """A log that is kept."""

    def warning(self, event: str, **fields: object) -> None:
        self.append((event, fields))

    error = warning


def told(lost: list[tuple[int, bool]], limited: list[tuple[int, bool]], counts: tuple[int, int]) -> dict[str, Any]:
    """Counters with these ranges of one number, new or not."""

    def of(ranges: list[tuple[int, bool]], **more: object) -> list[dict[str, Any]]:
        return [{**more, "epoch": "E", "first": at, "last": at, "declared_ns": 1, "new": new} for at, new in ranges]

    stream = {"feed": "quotes", "channel": "main", "lost_ranges": counts[0], "losses": of(lost)}
    refused = of(limited, feed="quotes", channel="main", stream=0)
    subscriber = {"name": "app", "limited_ranges": counts[1], "limited": refused}
    return {"streams": [stream], "subscribers": [subscriber]}


def test_every_new_range_is_logged_also_when_counters_begin_anew() -> None:
    log = Lines()
    losses = LossLog(log)
    losses.update(told([(1, True), (2, True)], [(5, True), (9, True)], (2, 2)))
    assert [event for event, _ in log] == ["lost", "lost", "refused by limit"]
    assert log[-1][1]["ranges"] == [(5, 5), (9, 9)]
    log.clear()
    losses.update(told([(1, False), (2, False), (3, True)], [(9, False)], (3, 2)))
    assert [(event, fields["first"]) for event, fields in log] == [("lost", 3)]
    log.clear()
    # The stream and the subscriber were taken away and came back.
    losses.update(told([(7, True)], [(8, True)], (1, 1)))
    assert [event for event, _ in log] == ["lost", "refused by limit"]
    log.clear()
    losses.update(told([(8, True)], [], (11, 4)))
    assert log[0] == ("losses not listed", {"feed": "quotes", "channel": "main", "ranges": 9})
    assert log[-1] == ("refusals not listed", {"subscriber": "app", "ranges": 3})


def test_a_sum_of_refusals_that_falls_with_an_output_makes_none_of_them_unlisted() -> None:
    log = Lines()
    losses = LossLog(log)
    losses.update(told([], [(5, True), (9, True)], (0, 2)))
    log.clear()
    losses.update(told([], [], (0, 1)))
    assert log == []
    losses.update(told([], [(11, True)], (0, 4)))
    assert log[0] == ("refusals not listed", {"subscriber": "app", "ranges": 2})


def fails() -> dict[str, Any]:
    raise KeyError("a secret")


def test_a_request_that_fails_is_told_and_the_next_one_answered(tmp_path: Path) -> None:
    log, path = Lines(), tmp_path / "control.sock"
    with serving(path, {"reload": fails, "counters": lambda: {"fine": True}}, log):
        with pytest.raises(OSError, match="log says where"):
            ask_to_reload(path)
        assert read_counters(path) == {"fine": True}
    ((event, fields),) = log
    assert (event, fields["request"]) == ("request failed", "reload")
    assert str(fields["reason"]).startswith("KeyError at test_observing.py:")


def test_the_end_waits_for_no_request_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, path = Lines(), tmp_path / "control.sock"
    asked, ends = threading.Event(), threading.Event()

    def hangs() -> dict[str, Any]:
        asked.set()
        assert ends.wait(2 * DEADLINE_S)
        return {"late": True}

    monkeypatch.setattr("lanecast_relay.control.ENDED_WITHIN_S", 0.1)
    server = ControlServer(path, {"reload": hangs}, log)
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(ask_to_reload, path)
        assert asked.wait(DEADLINE_S)
        closing = threads.submit(server.close)
        try:
            closing.result(DEADLINE_S)
            assert not path.exists()
        finally:
            ends.set()
        assert answer.result(DEADLINE_S) == {"late": True}
    assert [event for event, _ in log] == ["control socket does not end: what it was asked for hangs"]
    wait_until(lambda: "relay-control" not in {thread.name for thread in threading.enumerate()})


class FailsFirst:
    """As much of a running relay as hangups are told to; its first reload fails as nobody expects."""

    def __init__(self) -> None:
        self.log = Lines()
        self.asked: queue.SimpleQueue[str] = queue.SimpleQueue()

    def rotate_audit_log(self) -> None: ...

    def reload(self, by: str, **_: object) -> None:
        self.asked.put(by)
        if not self.log:
            raise KeyError("a secret")


def test_a_hangup_is_heard_after_one_that_failed_as_nobody_expected() -> None:
    running = FailsFirst()
    hangups = _Hangups(cast(RunningRelay, running))
    for _ in range(2):
        hangups.ask()
        assert running.asked.get(timeout=DEADLINE_S) == "SIGHUP"
    ((event, fields),) = running.log
    assert (event, fields["by"]) == ("not reloaded", "SIGHUP")
    assert str(fields["mistake"]).startswith("KeyError at test_observing.py:")
