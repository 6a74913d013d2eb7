"""The judge on deliveries made by hand: what is changed in a perfect one is what the verdict says, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from struct import pack
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_samples import application, endpoint, fabric, feed

from lanecast.fabric import (
    Fabric,
    Recovery,
)
from lanecast.plan.model import Promise
from lanecast_lab.judge import RunInvalid, Summaries, Verdict, document, exit_code, judge, write_junit
from lanecast_lab.judge.checks import CONFIDENCE_LEFT, messages_needed
from lanecast_lab.judge.stalls import Stalls
from lanecast_lab.traffic import Traffic, TrafficOptions, build_traffic
from lanecast_lab.traffic.framing import messages
from lanecast_relay.config.model import Protocol

START_NS = 1_700_000_000_000_000_000
LATENCY_NS = 2_000_000
MS = 1_000_000
PROMISE = Promise.model_validate({"p99": "10ms", "availability": "90%"})
CME, ITCH = "cme-310", "itch"
ITCH_LINES = {"A": {"1": "233.54.12.1:26477"}, "B": {"1": "233.49.196.1:25475"}}


@dataclass
class Arrival:
    """One datagram at an instance's port."""

    time_ns: int
    port: int
    payload: bytes


@dataclass
class Scene:
    """A traffic and what came of it; tests change ``arrivals`` and the rest before they ask for the verdict."""

    fabric: Fabric
    traffic: Traffic
    arrivals: dict[str, list[Arrival]]
    stalls: list[tuple[int, int]] = field(default_factory=list)
    sender: dict[str, object] = field(default_factory=lambda: {"refused": 0, "errors": {}, "clock_step_ns": 0})
    receiver: dict[str, object] = field(default_factory=lambda: {"kernel_drops": 0, "truncated": 0, "clock_step_ns": 0})

    def of(self, instance: str, feed_name: str) -> list[Arrival]:
        """The arrivals of a feed at an instance, in order."""
        port = PORTS[feed_name]
        return [one for one in self.arrivals[instance] if one.port == port]

    answers: list[tuple[str, str, int, int]] = field(default_factory=list)
    """(server, session, first number, how many messages it answered with)."""

    def write(self, directory: Path) -> tuple[dict[str, Path], dict[str, Path], Summaries, Path]:
        """The files that the native tools would have written (docs/wire-tool-formats.md)."""
        sent, received = {}, {}
        for exchange in self.traffic.schedule_start_ns:
            sent[exchange] = directory / f"{exchange}.sent"
            times = [START_NS] * (1 + self.traffic.scheduled(exchange))
            sent[exchange].write_bytes(b"LCSENT01" + pack(f"<{len(times)}Q", *times))
        for instance, arrivals in self.arrivals.items():
            received[instance] = directory / f"{instance}.received"
            entries = (pack("<QHH", one.time_ns, one.port, len(one.payload)) + one.payload for one in arrivals)
            received[instance].write_bytes(b"LCRECV01" + b"".join(entries))
        stalls = directory / "stalls"
        stalls.write_bytes(b"LCSTALL1" + b"".join(pack("<QQ", *one) for one in self.stalls))
        senders = dict.fromkeys(sent, self.sender)
        receivers = {name: {"received": len(arrivals)} | self.receiver for name, arrivals in self.arrivals.items()}
        return sent, received, Summaries(senders, receivers), stalls

    def verdict(self, directory: Path) -> Verdict:
        """What the judge says."""
        sent, received, summaries, stalls = self.write(directory)
        if all(one.recovery is None for one in self.fabric.feeds):
            return judge(self.fabric, self.traffic, sent, received, summaries, stalls)
        path = directory / "nasdaq.answers"
        path.write_bytes(b"LCANSW01" + b"".join(answer_record(*one) for one in self.answers))
        counted = {"messages": sum(one[3] for one in self.answers), "kernel_drops": 0, "clock_step_ns": 0}
        summaries = Summaries(summaries.senders, summaries.receivers, {"nasdaq": counted})
        return judge(self.fabric, self.traffic, sent, received, summaries, stalls, {"nasdaq": path})


def answer_record(server: str, session: str, first: int, answered: int) -> bytes:
    """One request as the native tool records it (docs/wire-tool-formats.md)."""
    at, asker = endpoint(server), endpoint("10.200.0.2:40000")
    ends = pack("<4sH4sH", at.address.packed, at.port, asker.address.packed, asker.port)
    tail = pack("<10sQHHB", session.encode(), first, answered, answered, 0 if answered else 3)
    return pack("<Q", START_NS) + ends + tail


PORTS = {CME: 40000, ITCH: 41000}


def scene(losses: dict[tuple[str, str], float] | None = None, seed: int = 3) -> Scene:
    """Two instances that receive each message of two feeds once, in order, ``LATENCY_NS`` after it was due."""
    feeds = (
        feed(CME, rate=200, promise=PROMISE),
        feed(ITCH, Protocol.MOLDUDP64, ITCH_LINES, exchange="nasdaq", rate=200, promise=PROMISE),
    )
    instances = ("app-1", "app-2")
    applications = tuple(application(name, one, PORTS[one.name]) for name in instances for one in feeds)
    network = fabric(*feeds, applications=applications)
    traffic = build_traffic(network, TrafficOptions(losses=losses or {}, seed=seed, duration_ns=300 * MS))
    arrivals = []
    for exchange in sorted(traffic.schedule_start_ns):
        seen: set[bytes] = set()
        for one in traffic.of_exchange(exchange):
            if not one.lost and one.payload not in seen:
                seen.add(one.payload)
                due_ns = START_NS + one.due_ns - traffic.schedule_start_ns[exchange]
                arrivals.append(Arrival(due_ns + LATENCY_NS, PORTS[one.feed], one.payload))
    arrivals.sort(key=lambda one: one.time_ns)
    return Scene(network, traffic, {name: [Arrival(**vars(one)) for one in arrivals] for name in instances})


def count(one: Arrival) -> int:
    """How many messages a datagram holds."""
    protocol = Protocol.CME_MDP3 if one.port == PORTS[CME] else Protocol.MOLDUDP64
    return len(messages(protocol, "1", one.payload))


def figures(verdict: Verdict, instance: str, feed_name: str) -> dict[str, int]:
    """The counts of one feed at one instance."""
    (result,) = [one for one in verdict.subscribers if (one.name, one.feed) == (instance, feed_name)]
    names = ("missing", "duplicated", "out_of_order", "corrupted", "unexpected")
    return {name: getattr(result, name) for name in names if getattr(result, name)}


def delivered(verdict: Verdict, feed_name: str) -> bool | None:
    return next(check.passed for check in verdict.checks if check.name == f"{feed_name} delivered")


def everyone_else_is_well(verdict: Verdict, instance: str, feed_name: str) -> bool:
    return all(
        one.faultless and not one.unexpected
        for one in verdict.subscribers
        if (one.name, one.feed) != (instance, feed_name)
    )


def test_a_perfect_delivery_passes(tmp_path: Path) -> None:
    verdict = scene().verdict(tmp_path)
    assert verdict.passed
    assert exit_code(verdict) == 0
    for one in verdict.subscribers:
        assert one.expected == one.received == one.intact > 20
        assert set(one.latencies_ns) == {LATENCY_NS}
    assert {check.name: check.passed for check in verdict.checks} == {
        f"{CME} delivered": True, f"{CME} p99": True, f"{CME} availability": True,
        f"{ITCH} delivered": True, f"{ITCH} p99": True, f"{ITCH} availability": True,
        "nothing unexpected": True,
    }  # fmt: skip


Change = Callable[[Scene, list[Arrival], int], dict[str, int]]
"""Changes the arrival at an index of app-1's feed and returns the counts that this makes."""


def drop(made: Scene, arrivals: list[Arrival], at: int) -> dict[str, int]:
    made.arrivals["app-1"].remove(arrivals[at])
    return {"missing": count(arrivals[at])}


def repeat(made: Scene, arrivals: list[Arrival], at: int) -> dict[str, int]:
    made.arrivals["app-1"].append(arrivals[at])
    return {"duplicated": count(arrivals[at])}


def delay_one(made: Scene, arrivals: list[Arrival], at: int) -> dict[str, int]:
    made.arrivals["app-1"].remove(arrivals[at])
    made.arrivals["app-1"].append(arrivals[at])
    return {"out_of_order": count(arrivals[at])}


def swap_with_the_next(made: Scene, arrivals: list[Arrival], at: int) -> dict[str, int]:
    here, there = (made.arrivals["app-1"].index(arrivals[place]) for place in (at, at + 1))
    made.arrivals["app-1"][here], made.arrivals["app-1"][there] = arrivals[at + 1], arrivals[at]
    return {"out_of_order": count(arrivals[at])}


def flip_the_last_byte(made: Scene, arrivals: list[Arrival], at: int) -> dict[str, int]:
    payload = arrivals[at].payload
    place = made.arrivals["app-1"].index(arrivals[at])
    changed = payload[:-1] + bytes([payload[-1] ^ 1])
    made.arrivals["app-1"][place] = Arrival(arrivals[at].time_ns, arrivals[at].port, changed)
    return {"corrupted": 1}


@settings(max_examples=40, deadline=None)
@given(
    change=st.sampled_from([drop, repeat, delay_one, swap_with_the_next, flip_the_last_byte]),
    feed_name=st.sampled_from([CME, ITCH]),
    data=st.data(),
)
def test_what_was_changed_is_what_is_said(
    change: Change, feed_name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = scene()
    arrivals = [one for one in made.of("app-1", feed_name) if count(one)]
    last = len(arrivals) - 2  # the last one, when it is the one to be late, is not
    wanted = change(made, arrivals, data.draw(st.integers(0, last)))
    verdict = made.verdict(tmp_path_factory.mktemp("run"))
    assert figures(verdict, "app-1", feed_name) == wanted
    assert everyone_else_is_well(verdict, "app-1", feed_name)
    assert delivered(verdict, feed_name) is False
    assert not verdict.passed
    assert exit_code(verdict) == 1


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    made = scene()
    gone = made.of("app-1", CME)[5:8]
    made.arrivals["app-1"] = [one for one in made.arrivals["app-1"] if one not in gone]
    verdict = made.verdict(tmp_path)
    (result,) = [one for one in verdict.subscribers if (one.name, one.feed) == ("app-1", CME)]
    numbers = [int.from_bytes(one.payload[:4], "little") for one in gone]
    (lost,) = result.lost_on_the_way
    assert (lost.first, lost.last, len(lost)) == (numbers[0], numbers[-1], 3)
    assert not result.never_sent


def test_a_datagram_at_another_port_is_missing_there_and_unexpected_here(tmp_path: Path) -> None:
    made = scene()
    moved = made.of("app-1", CME)[4]
    moved.port = PORTS[ITCH]
    verdict = made.verdict(tmp_path)
    assert figures(verdict, "app-1", CME) == {"missing": 1}
    assert figures(verdict, "app-1", ITCH) == {"unexpected": 1}
    (strange,) = verdict.unexpected
    assert (strange.instance, strange.port, strange.count) == ("app-1", PORTS[ITCH], 1)


def test_a_datagram_that_nobody_sent_is_unexpected(tmp_path: Path) -> None:
    made = scene()
    made.arrivals["app-2"].append(Arrival(START_NS + 400 * MS, 50000, b"who am I"))
    verdict = made.verdict(tmp_path)
    assert [(one.instance, one.port) for one in verdict.unexpected] == [("app-2", 50000)]
    assert not verdict.passed


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(1, 1000))
def test_a_loss_on_both_lines_is_named_as_never_sent(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    losses = {(CME, "A"): 30.0, (CME, "B"): 30.0}
    made = scene(losses, seed)
    verdict = made.verdict(tmp_path_factory.mktemp("run"))
    both = {one.payload for one in made.traffic.transmissions if one.feed == CME} - {
        one.payload for one in made.traffic.transmissions if one.feed == CME and not one.lost
    }
    for result in (one for one in verdict.subscribers if one.feed == CME):
        assert result.missing == sum(len(one) for one in result.never_sent) == len(both)
        assert not result.lost_on_the_way
        alone = [one for one in made.traffic.transmissions if one.feed == CME and not one.lost]
        counts = {line: sum(1 for one in alone if one.line == line) for line in "AB"}
        twice = len(alone) - len({one.payload for one in alone})
        assert result.only_on == {line: number - twice for line, number in counts.items()}
    assert (delivered(verdict, CME) is True) == (not both)


def test_a_p99_above_the_promise_breaks_it_unless_the_machine_alone_was_late(tmp_path: Path) -> None:
    made = scene()
    for instance in made.arrivals:
        for one in made.of(instance, CME):
            one.time_ns += 30 * MS
    slow = made.verdict(tmp_path)
    check = next(one for one in slow.checks if one.name == f"{CME} p99")
    assert (check.passed, check.measured) == (False, 32.0)
    assert not slow.passed
    made.stalls = [(START_NS - MS, START_NS + 400 * MS)]
    disturbed = made.verdict(tmp_path)
    check = next(one for one in disturbed.checks if one.name == f"{CME} p99")
    assert (check.passed, check.measured) == (None, 32.0)
    assert "this machine stood still" in check.detail
    assert disturbed.passed
    made.stalls = [(START_NS, START_NS + 5 * MS)]
    check = next(one for one in made.verdict(tmp_path).checks if one.name == f"{CME} p99")
    assert check.passed is False, "a short stall does not excuse a slow network"


@given(
    intervals=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), max_size=6),
    start=st.integers(0, 120),
    length=st.integers(0, 120),
)
def test_disturbed_time_is_each_stall_and_as_long_again(
    intervals: list[tuple[int, int]], start: int, length: int
) -> None:
    stalls = Stalls([(begin, begin + lasting) for begin, lasting in intervals])
    disturbed = {time for begin, lasting in intervals for time in range(begin, begin + 2 * lasting)}
    assert stalls.within(start, start + length) == len(disturbed & set(range(start, start + length)))
    assert stalls.total_ns == len(disturbed)


def cut_a_file(made: Scene, files: dict[str, Path]) -> str:
    path = files["app-1"]
    path.write_bytes(path.read_bytes()[:-1])
    return "cut in the middle of a datagram"


def forge_a_file(made: Scene, files: dict[str, Path]) -> str:
    files["app-1"].write_bytes(b"LCRECV02")
    return "does not begin with LCRECV01"


def remove_a_file(made: Scene, files: dict[str, Path]) -> str:
    files["app-1"].unlink()
    return "No such file"


@pytest.mark.parametrize("damage", [cut_a_file, forge_a_file, remove_a_file])
def test_no_verdict_rests_on_a_damaged_file(damage: Callable[[Scene, dict[str, Path]], str], tmp_path: Path) -> None:
    made = scene()
    sent, received, summaries, stalls = made.write(tmp_path)
    says = damage(made, received)
    with pytest.raises(RunInvalid, match=says):
        judge(made.fabric, made.traffic, sent, received, summaries, stalls)


@pytest.mark.parametrize(
    ("who", "figure", "says"),
    [
        ("receiver", {"kernel_drops": 3}, "the kernel dropped 3"),
        ("receiver", {"truncated": 1}, "longer than its buffer"),
        ("receiver", {"received": 1}, "it counted 1 datagrams and its file holds"),
        ("receiver", {"clock_step_ns": 2 * MS}, "CLOCK_REALTIME moved by 2.000 ms"),
        ("receiver", {"kernel_drops": None}, "no number kernel_drops"),
        ("sender", {"clock_step_ns": -2 * MS}, "CLOCK_REALTIME moved"),
        ("sender", {"refused": 2, "errors": {"ENOBUFS": 2}}, "the kernel refused 2 datagrams.*ENOBUFS"),
    ],
)
def test_no_verdict_rests_on_tools_that_failed(who: str, figure: dict[str, object], says: str, tmp_path: Path) -> None:
    made = scene()
    getattr(made, who).update(figure)
    with pytest.raises(RunInvalid, match=says):
        made.verdict(tmp_path)


def test_a_cut_record_of_stalls_and_a_missing_summary_are_refused_together(tmp_path: Path) -> None:
    made = scene()
    sent, received, summaries, stalls = made.write(tmp_path)
    stalls.write_bytes(stalls.read_bytes() + b"\0")
    with pytest.raises(RunInvalid) as caught:
        judge(made.fabric, made.traffic, sent, received, Summaries(summaries.senders, {}), stalls)
    assert len(caught.value.reasons) == 3, "both receivers' summaries and the stalls"


def test_a_message_before_it_was_due_shows_wrong_files(tmp_path: Path) -> None:
    made = scene()
    made.of("app-1", CME)[3].time_ns -= 10 * MS
    with pytest.raises(RunInvalid, match="before it was due"):
        made.verdict(tmp_path)


@given(promise=st.floats(0.01, 0.999), lost=st.integers(0, 4))
def test_so_many_messages_show_a_promise(promise: float, lost: int) -> None:
    def chance(number: int) -> float:
        """Of at most ``lost`` losses, summed term by term."""
        term, total = promise**number, 0.0
        for index in range(lost + 1):
            total += term
            term *= (number - index) / (index + 1) * (1 - promise) / promise
        return total

    needed = messages_needed(promise, lost)
    assert needed is not None
    assert chance(needed) <= CONFIDENCE_LEFT * 1.0001
    assert needed <= lost + 1 or chance(needed - 1) > CONFIDENCE_LEFT * 0.9999


def test_no_number_of_messages_shows_perfection() -> None:
    assert messages_needed(1.0, 0) is None


def test_a_verdict_is_written_for_machines(tmp_path: Path) -> None:
    made = scene()
    made.arrivals["app-1"].remove(made.of("app-1", CME)[3])
    verdict = made.verdict(tmp_path)
    content = json.loads(json.dumps(document(verdict)))
    assert content["passed"] is False
    assert {"plan", "seed", "checks", "subscribers", "faults", "timings", "unexpected", "notes"} <= set(content)
    write_junit(verdict, tmp_path / "junit.xml")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    failed = sum(check.passed is False for check in verdict.checks)
    assert (int(suite.get("tests", 0)), int(suite.get("failures", 0))) == (len(verdict.checks), failed)
    assert len(suite.findall("testcase/failure")) == failed > 0


# Recovery

SERVER, SECOND = "198.51.100.21:26400", "198.51.100.22:26400"


def recovered_scene(seed: int = 3) -> tuple[Scene, list[tuple[str, int, Arrival]]]:
    """Both lines of the ITCH feed lose 30 %, and every message arrives: what no line had, 8 ms later, one by one.

    Returns, with the scene, the session and number of each message of the first instance that no line had.
    """
    made = scene({(ITCH, "A"): 30, (ITCH, "B"): 30}, seed)
    recovery = Recovery({"1": (endpoint(SERVER), endpoint(SECOND))}, 100 * MS, 15 * MS)
    feeds = tuple(replace(one, recovery=recovery) if one.name == ITCH else one for one in made.fabric.feeds)
    made.fabric = replace(made.fabric, feeds=feeds)
    made.traffic = replace(made.traffic, fabric=made.fabric)
    on_a_line = {one.payload for one in made.traffic.transmissions if not one.lost}
    lost = {one.payload: one for one in made.traffic.transmissions if one.feed == ITCH and one.payload not in on_a_line}
    assert len(lost) >= 3, "the case has to happen"
    start_ns = made.traffic.schedule_start_ns["nasdaq"]
    told = []
    for instance, arrivals in made.arrivals.items():
        for payload, one in lost.items():
            for message in messages(Protocol.MOLDUDP64, "1", payload):
                assert message.number is not None
                packet = pack("!10sQHH", message.epoch.encode(), message.number, 1, len(message.body)) + message.body
                arrival = Arrival(START_NS + one.due_ns - start_ns + 8 * MS, PORTS[ITCH], packet)
                arrivals.append(arrival)
                if instance == "app-1":
                    told.append((message.epoch, message.number, arrival))
        # In order again: what follows a hole waits for it.
        arrivals.sort(key=lambda arrival: (arrival.port, first_number(arrival), arrival.time_ns))
        for port in PORTS.values():
            latest = 0
            for arrival in (held for held in arrivals if held.port == port):
                arrival.time_ns = latest = max(latest, arrival.time_ns)
    made.answers = [(SERVER, epoch, number, 1) for epoch, number, _ in told]
    return made, told


def first_number(one: Arrival) -> int:
    """The number of a datagram's first message; heartbeats, which close the stream, come after all."""
    protocol = Protocol.CME_MDP3 if one.port == PORTS[CME] else Protocol.MOLDUDP64
    found = messages(protocol, "1", one.payload)
    return found[0].number or 0 if found else 2**63


def test_what_a_server_answered_counts_as_delivered_and_as_recovered(tmp_path: Path) -> None:
    made, told = recovered_scene()
    made.answers += [(SECOND, "0000000000", 1, 0), (SERVER, told[0][0], told[0][1], 1)]
    verdict = made.verdict(tmp_path)
    for one in verdict.subscribers:
        assert one.faultless
        assert one.recovered == (len(told) if one.feed == ITCH else 0)
    (check,) = [check for check in verdict.checks if check.name == f"{ITCH} recovered"]
    assert (check.passed, check.wanted, check.measured) == (True, 2 * len(told), 2 * len(told))
    content = document(verdict)
    assert {one["recovered"] for one in content["subscribers"] if one["feed"] == ITCH} == {len(told)}
    assert content["recovery"] == [
        {"exchange": "nasdaq", "server": SERVER, "requests": len(told) + 1, "answered": len(told) + 1,
         "messages": len(told) + 1, "unanswered": {}},
        {"exchange": "nasdaq", "server": SECOND, "requests": 1, "answered": 0, "messages": 0,
         "unanswered": {"not_sent": 1}},
    ]  # fmt: skip


def test_what_no_server_supplied_is_missing_and_breaks_the_promise(tmp_path: Path) -> None:
    made, told = recovered_scene()
    made.arrivals["app-2"] = [one for one in made.arrivals["app-2"] if one.payload != told[1][2].payload]
    verdict = made.verdict(tmp_path)
    assert figures(verdict, "app-2", ITCH) == {"missing": 1}
    (result,) = [one for one in verdict.subscribers if (one.name, one.feed) == ("app-2", ITCH)]
    assert [(one.first, one.last) for one in result.never_sent] == [(told[1][1], told[1][1])]
    assert result.recovered == len(told) - 1
    outcome = {check.name: (check.passed, check.measured) for check in verdict.checks}
    assert outcome[f"{ITCH} recovered"] == (False, 2 * len(told) - 1)
    assert delivered(verdict, ITCH) is False
    assert everyone_else_is_well(verdict, "app-2", ITCH)


def test_where_every_message_was_on_a_line_nothing_is_said_of_recovery(tmp_path: Path) -> None:
    made, _ = recovered_scene()
    whole = scene()
    whole.fabric = replace(whole.fabric, feeds=made.fabric.feeds)
    whole.traffic = replace(whole.traffic, fabric=whole.fabric)
    verdict = whole.verdict(tmp_path)
    assert verdict.passed
    assert not any(check.name.endswith("recovered") for check in verdict.checks)


def test_a_message_that_nobody_sent_makes_the_records_unbelievable(tmp_path: Path) -> None:
    made, told = recovered_scene()
    made.answers = [one for one in made.answers if one[2] != told[2][1]]
    with pytest.raises(RunInvalid, match=r"1 messages arrived that no line had and no re-request server answered"):
        made.verdict(tmp_path)


@pytest.mark.parametrize("change", ["cut", "outcome", "magic", "count"])
def test_a_damaged_record_of_answers_is_not_judged_by(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = recovered_scene()
    writing = Path.write_bytes

    def damaged(path: Path, content: bytes) -> int:
        if path.name.endswith(".answers"):
            entries = {"cut": content[:-1], "outcome": content[:-1] + b"\x09", "magic": b"X" + content[1:]}
            content = entries.get(change, content[: -len(answer_record(SERVER, "", 1, 1))])
        return writing(path, content)

    monkeypatch.setattr(Path, "write_bytes", damaged)
    words = {"cut": "cut in the middle", "outcome": "outcome 9", "magic": "does not begin", "count": "they counted"}
    with pytest.raises(RunInvalid, match=words[change]):
        made.verdict(tmp_path)
