"""Traffic through a converged network, and what came of it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.console import Console

from lanecast.fabric import (
    Fabric,
    LinkKind,
)
from lanecast_lab import services, waits
from lanecast_lab.cloud.side import Say
from lanecast_lab.errors import LabError
from lanecast_lab.judge import (
    Check,
    RunInvalid,
    Summaries,
    Timings,
    Verdict,
    exit_code,
    judge,
    render,
    write_json,
    write_junit,
)
from lanecast_lab.network import Network, collect_logs
from lanecast_lab.node import Node, executable
from lanecast_lab.request import LAB_DIRECTORY, REPORT_DIRECTORY, RunRequest
from lanecast_lab.traffic import Traffic, TrafficError, TrafficOptions, build_traffic, write_archives
from lanecast_lab.wires import MeasuredDelay

SENDER_LEAD_MS = 500
"""From the senders' start to the first datagram: enough for every sender to be waiting when its first is due."""

QUIET_MARGIN_NS = 300_000_000
"""Beyond what links and relays may hold a message: nothing new for so long means that nothing is on its way."""

DELAY_TOLERANCE_NS = 1_000_000
"""How much longer than asked a link may be before the run's latency figures say more about it than about the plan."""

NANOSECONDS_PER_MS = 1_000_000


def prepare_traffic(fabric: Fabric, request: RunRequest, say: Say) -> Traffic:
    """Decide everything that will be sent; raise :class:`LabError` with all that is wrong with the options."""
    say("preparing traffic")
    options = TrafficOptions(
        replays={feed: Path(path) for feed, path in request.replays.items()},
        speed=Fraction(request.speed).limit_denominator(1_000_000),
        losses={(place.partition(".")[0], place.partition(".")[2]): loss for place, loss in request.losses.items()},
        seed=request.seed,
        duration_ns=int(request.duration_s * 10**9),
    )
    try:
        return build_traffic(fabric, options)
    except TrafficError as error:
        raise LabError("\n".join(error.problems)) from None


class Tally:
    """The latest line of JSON that a running tool printed, read as it comes."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.process = process
        self.latest: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._read, name=f"tally-{name}", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None  # started with a pipe
        for line in self.process.stdout:
            self.latest = json.loads(line)

    def await_ready(self) -> None:
        """Wait for the tool's first line; raise :class:`LabError` when it ends instead."""

        def missing() -> list[str]:
            if self.process.poll() is not None:
                raise LabError(f"{self.name} ended with status {self.process.returncode} before it was ready")
            return [] if self.latest else [self.name]

        waits.until(f"{self.name} ready", waits.PROCESS_READY_S, missing)

    def finish(self, within_s: float) -> dict[str, Any]:
        """Wait for the tool's end and return its last line, its own summary."""
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            services.stop(self.process)
            raise LabError(f"{self.name} did not end within {within_s:.0f} s") from None
        self._thread.join(waits.PROCESS_STOPPED_S)
        if self.process.returncode != 0:
            raise LabError(f"{self.name} ended with status {self.process.returncode}")
        return self.latest


class LabRun:
    """One run: receivers, senders, quiet, judgement, report."""

    def __init__(
        self, network: Network, traffic: Traffic, request: RunRequest, say: Say, progress: Callable[..., None]
    ) -> None:
        self._network = network
        self._traffic = traffic
        self._request = request
        self._say = say
        self._progress = progress
        self._directory = LAB_DIRECTORY / "traffic"
        self._directory.mkdir(parents=True)
        self._stalls_file = self._directory / "stalls"
        self._captures: list[subprocess.Popen[str]] = []

    def execute(self) -> Verdict:
        """Run the traffic, write the report into the lab's report folder and return the verdict."""
        network = self._network
        if self._request.captures:
            self._start_captures()
        receivers = self._start_receivers()
        stalls = self._watch_stalls()
        started = time.monotonic()
        schedules = self._traffic.write_schedules(self._directory)
        servers = self._start_servers()
        self._say("sending")
        sent = self._send(schedules, receivers)
        self._say("waiting for the last packets")
        self._await_quiet(receivers)
        network.timings["traffic_s"] = time.monotonic() - started
        received = {name: self._stop(tally) for name, tally in receivers.items()}
        answered = {exchange: self._stop(tally) for exchange, tally in servers.items()}
        self._stop(stalls)
        wires = network.topology.delay_line.stop() if network.topology.delay_line else []
        refuse_lossy_wires(wires)
        self._say("judging")
        teardown = time.monotonic()
        counters = {relay.host.name: relay.stop() for relay in network.relays}
        network.relays.clear()
        for process in self._captures:
            services.stop(process)
        network.timings["teardown_s"] = time.monotonic() - teardown
        of_the_cloud = network.topology.cloud.finish(self._say, REPORT_DIRECTORY)
        network.timings |= network.topology.cloud.timings
        return self._report(Summaries(sent, received, answered), counters, wires, of_the_cloud)

    def _start_captures(self) -> None:
        nodes = list(self._network.topology.nodes.values())
        self._captures = [services.start_capture(node, REPORT_DIRECTORY / f"{node.name}.pcap") for node in nodes]
        services.await_captures(self._captures, nodes)

    def _start_receivers(self) -> dict[str, Tally]:
        listens: dict[str, list[str]] = {}
        for application in self._network.fabric.applications:
            for endpoint in application.endpoints.values():
                listens.setdefault(application.instance, []).extend(["--listen", str(endpoint)])
        receivers = {}
        for instance, arguments in sorted(listens.items()):
            output = self._received_file(instance)
            process = self._network.node(instance).start(
                "receiver", executable("lanecast-wire"), "receive", *arguments, "--output", str(output)
            )
            receivers[instance] = Tally(f"receiver on {instance}", process)
        for tally in receivers.values():
            tally.await_ready()
        return receivers

    def _received_file(self, instance: str) -> Path:
        return self._directory / f"{instance}.received"

    def _record_file(self, exchange: str) -> Path:
        return self._directory / f"{exchange}.sent"

    def _answers_file(self, exchange: str) -> Path:
        return self._directory / f"{exchange}.answers"

    def _start_servers(self) -> dict[str, Tally]:
        """Start the re-request servers of every exchange that has some, beside its sender."""
        servers = {}
        for exchange in self._traffic.schedule_start_ns:
            serve = [
                f"--serve={one.server},{one.archive}"
                for one in write_archives(self._traffic, exchange, self._directory)
            ]
            if serve:
                process = self._source(exchange).start(
                    "servers", executable("lanecast-wire"), "answer", *serve,
                    "--sender-record", str(self._record_file(exchange)),
                    "--output", str(self._answers_file(exchange)),
                )  # fmt: skip
                servers[exchange] = Tally(f"re-request servers of {exchange}", process)
        for tally in servers.values():
            tally.await_ready()
        return servers

    def _send(self, schedules: dict[str, Path], receivers: dict[str, Tally]) -> dict[str, dict[str, Any]]:
        """Send every exchange's schedule and return each sender's own summary."""
        senders = {}
        for exchange, schedule in schedules.items():
            process = self._source(exchange).start(
                "sender", executable("lanecast-wire"), "send", "--schedule", str(schedule),
                "--record", str(self._record_file(exchange)), "--lead-ms", str(SENDER_LEAD_MS),
            )  # fmt: skip
            senders[exchange] = Tally(f"sender of {exchange}", process)
        total = sum(self._traffic.scheduled(exchange) for exchange in schedules)
        longest_s = max(self._traffic.length_ns(exchange) for exchange in schedules) / 10**9
        deadline = time.monotonic() + longest_s + SENDER_LEAD_MS / 1000 + waits.PROCESS_READY_S
        while any(sender.process.poll() is None for sender in senders.values()):
            if time.monotonic() > deadline:
                raise LabError(f"the senders are still running {waits.PROCESS_READY_S:.0f} s after their schedules end")
            sent = sum(int(sender.latest.get("sent", 0)) for sender in senders.values())
            arrived = sum(int(receiver.latest.get("received", 0)) for receiver in receivers.values())
            self._progress(sent=sent, total=total, received=arrived)
            time.sleep(waits.POLL_INTERVAL_S)
        return {exchange: sender.finish(waits.PROCESS_STOPPED_S) for exchange, sender in senders.items()}

    def _source(self, exchange: str) -> Node:
        return self._network.node(f"{exchange}-source")

    def _quiet_ns(self) -> int:
        """The longest that a message may be on its way: both relays' waits and every link's delay."""
        fabric = self._network.fabric
        relay_waits = [
            feed.hole_wait_ns + (feed.recovery.wait_ns if feed.recovery else 0)
            for host in fabric.hosts
            if host.relay
            for feed in host.relay.feeds.values()
        ]
        circuits = [link.delay_ns for link in fabric.links if link.kind is LinkKind.CIRCUIT]
        ways = [delivery.delay_ns for delivery in fabric.deliveries]
        return 2 * max(relay_waits) + max(circuits) + max(ways) + QUIET_MARGIN_NS

    def _await_quiet(self, receivers: dict[str, Tally]) -> None:
        quiet_s = self._quiet_ns() / 10**9
        last = -1
        since = time.monotonic()

        def missing() -> list[str]:
            nonlocal last, since
            arrived = sum(int(receiver.latest.get("received", 0)) for receiver in receivers.values())
            if arrived != last:
                last, since = arrived, time.monotonic()
            return [] if time.monotonic() - since > quiet_s else [f"{arrived} datagrams, still coming"]

        waits.until("the last packets", waits.QUIET_S, missing)

    def _watch_stalls(self) -> Tally:
        command = [executable("lanecast-wire"), "stalls", "--output", str(self._stalls_file)]
        pipe = subprocess.PIPE
        tally = Tally("the watch for stalls", subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        tally.await_ready()
        return tally

    @staticmethod
    def _stop(tally: Tally) -> dict[str, Any]:
        tally.process.terminate()
        return tally.finish(waits.PROCESS_STOPPED_S)

    def _report(
        self, summaries: Summaries, counters: dict[str, Any], wires: list[dict[str, Any]], of_the_cloud: list[Check]
    ) -> Verdict:
        network = self._network
        self._traffic.write_record(REPORT_DIRECTORY / "source-record.jsonl")
        (REPORT_DIRECTORY / "relays.json").write_text(json.dumps(counters, indent=1))
        verdict = judge(
            network.fabric,
            self._traffic,
            {exchange: self._record_file(exchange) for exchange in summaries.senders},
            {instance: self._received_file(instance) for instance in summaries.receivers},
            summaries,
            self._stalls_file,
            {exchange: self._answers_file(exchange) for exchange in summaries.servers},
        )
        verdict.plan = self._request.plan
        excuse_late_wires(verdict, wires)
        verdict.checks += delay_checks(network) + of_the_cloud
        verdict.notes += network.notes + run_notes(network)
        timings = {name: round(value, 3) for name, value in network.timings.items()}
        verdict.timings = Timings(**{name: timings[name] for name in Timings.__dataclass_fields__})
        write_json(verdict, REPORT_DIRECTORY / "verdict.json")
        write_junit(verdict, REPORT_DIRECTORY / "junit.xml")
        collect_logs(network, REPORT_DIRECTORY)
        return verdict


def summary(verdict: Verdict, request: RunRequest) -> dict[str, Any]:
    """What the command shows and returns of a verdict: it is outside and has only what it is told."""
    console = Console(width=request.width, force_terminal=request.color, no_color=not request.color, record=True)
    with console.capture() as captured:
        console.print(render(verdict))
    return {
        "passed": verdict.passed,
        "text": captured.get(),
        "exit_code": exit_code(verdict),
        "strict_exit_code": exit_code(verdict, strict=True),
    }


TOO_MUCH = "this machine cannot carry so much: lower the plan's peaks or --speed, or leave out the captures (--no-pcap)"


def refuse_lossy_wires(wires: list[dict[str, Any]]) -> None:
    """Raise :class:`RunInvalid` when the lab's own wires lost frames: no network of the plan did."""
    lossy = [
        f"{wire['name']}: the lab's wire dropped {wire['dropped']} frames {wire['dropped_by']}; {TOO_MUCH}"
        for wire in wires
        if wire["dropped"]
    ]
    if lossy:
        raise RunInvalid(lossy)


def excuse_late_wires(verdict: Verdict, wires: list[dict[str, Any]]) -> None:
    """A p99 above its promise is not shown, one way or the other, when the lab's wires held frames for too long."""
    latest = max(wires, key=lambda wire: int(wire["late_p99_ns"]), default=None)
    if latest is None or latest["late_p99_ns"] <= DELAY_TOLERANCE_NS:
        return
    late = f"the lab's wire {latest['name']} was {latest['late_p99_ns'] / NANOSECONDS_PER_MS:.1f} ms late at its p99"
    verdict.notes.append(f"{late}; the latencies include that")
    verdict.checks = [
        replace(check, passed=None, detail=f"{check.detail}; {late}: {TOO_MUCH}")
        if check.name.endswith(" p99") and check.passed is False and check.measured is not None
        else check
        for check in verdict.checks
    ]


def delay_checks(network: Network) -> list[Check]:
    """What each delayed link was asked to take against what a ping over it took, one way, in milliseconds."""
    asked = {wire.name: wire.delay_ns for wire in network.topology.delayed()}
    return [_delay_check(name, asked[name], got) for name, got in sorted(network.delays.items())]


def _delay_check(name: str, asked_ns: int, got: MeasuredDelay) -> Check:
    passed: bool | None = 0 <= got.median_ns - asked_ns <= DELAY_TOLERANCE_NS
    detail = "one way: half the median round trip of a ping"
    if not passed and 0 <= got.fastest_ns - asked_ns <= DELAY_TOLERANCE_NS:
        passed = None  # the wire holds every frame alike: what differs between pings is the machine's
        detail += (
            f"; the fastest took {got.fastest_ns / NANOSECONDS_PER_MS:.3f} ms, so this machine was late, not the wire"
        )
    return Check(
        name=f"{name} delay",
        passed=passed,
        wanted=asked_ns / NANOSECONDS_PER_MS,
        measured=round(got.median_ns / NANOSECONDS_PER_MS, 3),
        unit="ms",
        detail=detail,
    )


def run_notes(network: Network) -> list[str]:
    """What this lab does not show, so that nobody reads it into the verdict; and how convergence came about."""
    links = network.fabric.links
    steps = {name: value for name, value in network.timings.items() if name not in Timings.__dataclass_fields__}
    notes = ["convergence: " + ", ".join(f"{name} {value:.2f}" for name, value in steps.items())]
    tagged = sorted(link.name for link in links if link.vlan is not None)
    if tagged:
        notes.append(f"VLAN tags are not exercised: {', '.join(tagged)} run untagged under the subinterface's name")
    if any(link.bandwidth_bps is not None for link in links):
        notes.append("bandwidths are checked in the plan and not limited in the lab")
    return notes


def verdict_of(report: Path) -> dict[str, Any]:
    """The verdict that a report holds."""
    content: dict[str, Any] = json.loads((report / "verdict.json").read_text())
    return content
