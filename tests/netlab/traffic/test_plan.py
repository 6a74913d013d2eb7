"""What is decided before a run: schedules, losses, the source's own record, and every mistake of the options."""

from __future__ import annotations

import json
from fractions import Fraction
from hashlib import sha256
from ipaddress import IPv4Address
from math import sqrt
from pathlib import Path
from struct import unpack_from

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_samples import V9, capture, cme, ethernet, fabric, feed, pcap, v9_feed

from lanecast_lab.traffic import Traffic, TrafficError, TrafficOptions, build_traffic, read_losses, read_replays
from lanecast_lab.traffic.framing import is_heartbeat
from lanecast_relay.config.model import Protocol

SECOND_NS = 1_000_000_000
OTHER_LINES = {"A": {"1": "233.54.12.1:26477"}, "B": {"1": "233.49.196.1:25475"}}


def sample(losses: dict[tuple[str, str], float] | None = None, seed: int = 1) -> Traffic:
    """Two exchanges, three feeds."""
    feeds = (
        feed("cme-310"),
        feed("itch", Protocol.MOLDUDP64, OTHER_LINES, exchange="nasdaq"),
        feed("news", Protocol.RAW, {"A": {"1": "233.1.1.1:5000"}}),
    )
    return build_traffic(fabric(*feeds), TrafficOptions(losses=losses or {}, seed=seed, duration_ns=SECOND_NS))


def read_schedule(path: Path) -> list[tuple[int, IPv4Address, IPv4Address, int, bytes]]:
    """The sender's reading of docs/wire-tool-formats.md, written again."""
    content = path.read_bytes()
    assert content[:8] == b"LCSCHED1"
    found = []
    offset = 8
    while offset < len(content):
        due, source, group, port, length = unpack_from("<Q4s4sHH", content, offset)
        payload = content[offset + 20 : offset + 20 + length]
        assert len(payload) == length
        found.append((due, IPv4Address(source), IPv4Address(group), port, payload))
        offset += 20 + length
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.sampled_from([0.0, 0.5, 20.0, 100.0]))
def test_a_schedule_holds_what_is_sent_in_due_order_from_the_plans_sources(
    tmp_path_factory: pytest.TempPathFactory, seed: int, percent: float
) -> None:
    traffic = sample({("cme-310", "A"): percent, ("itch", "B"): percent}, seed)
    written = traffic.write_schedules(tmp_path_factory.mktemp("schedules"))
    assert set(written) == {"cme", "nasdaq"}
    for exchange, path in written.items():
        sent = [one for one in traffic.of_exchange(exchange) if not one.lost]
        entries = read_schedule(path)
        assert [one.schedule_index for one in sent] == list(range(len(entries)))
        assert len(entries) == traffic.scheduled(exchange)
        assert entries[0][0] == 0
        assert [entry[0] for entry in entries] == sorted(entry[0] for entry in entries)
        for one, (due, source, group, port, payload) in zip(sent, entries, strict=True):
            line = {line.name: line for line in traffic.fabric.feed(one.feed).lines}[one.line]
            assert (source, group, port) == (line.source, *_pair(line.groups[one.channel]))
            assert (due, payload) == (one.due_ns - traffic.schedule_start_ns[exchange], one.payload)
        assert traffic.length_ns(exchange) == entries[-1][0]


def _pair(endpoint: object) -> tuple[IPv4Address, int]:
    return endpoint.address, endpoint.port  # type: ignore[attr-defined]


def test_every_feed_is_on_every_line_and_none_is_idle() -> None:
    traffic = sample()
    assert {(one.feed, one.line) for one in traffic.transmissions} == {
        ("cme-310", "A"),
        ("cme-310", "B"),
        ("itch", "A"),
        ("itch", "B"),
        ("news", "A"),
    }


def test_the_record_keeps_what_was_lost(tmp_path: Path) -> None:
    traffic = sample({("cme-310", "A"): 30})
    traffic.write_record(tmp_path / "record")
    head, *rows = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    assert (head["lanecast-record"], head["seed"]) == (1, 1)
    records = [dict(zip(head["columns"], row, strict=True)) for row in rows]
    assert len(records) == len(traffic.transmissions)
    for record, one in zip(records, traffic.transmissions, strict=True):
        assert record["sha256"] == sha256(one.payload).hexdigest()[:16]
        assert (record["lost"], record["schedule_index"]) == (one.lost, one.schedule_index)
        assert record["lost"] is (record["schedule_index"] is None)
    assert any(record["lost"] for record in records)


def lost(traffic: Traffic, name: str, line: str) -> list[bool]:
    return [one.lost for one in traffic.transmissions if (one.feed, one.line) == (name, line)]


def test_loss_repeats_from_the_seed_and_each_line_has_its_own() -> None:
    both = {("cme-310", "A"): 10.0, ("cme-310", "B"): 10.0}
    first = sample(both)
    assert first.transmissions == sample(both).transmissions
    assert lost(first, "cme-310", "A") != lost(first, "cme-310", "B")
    assert lost(first, "cme-310", "A") != lost(sample(both, seed=2), "cme-310", "A")
    more = sample({**both, ("itch", "A"): 50.0})
    assert lost(more, "cme-310", "A") == lost(first, "cme-310", "A")
    assert lost(more, "cme-310", "B") == lost(first, "cme-310", "B")


def test_asking_for_loss_changes_nothing_but_the_loss() -> None:
    plain, lossy = sample(), sample({("cme-310", "A"): 10.0})
    assert [one[:5] for one in plain.transmissions] == [one[:5] for one in lossy.transmissions]
    assert not any(one.lost for one in plain.transmissions)


@pytest.mark.parametrize("percent", [0.1, 2.0, 50.0])
def test_the_share_lost_is_the_share_asked_for_and_falls_evenly(percent: float) -> None:
    of = feed(rate=20_000, size=30)
    options = TrafficOptions(losses={("cme-310", "A"): percent, ("cme-310", "B"): percent}, duration_ns=2 * SECOND_NS)
    traffic = build_traffic(fabric(of), options)
    a, b = lost(traffic, "cme-310", "A"), lost(traffic, "cme-310", "B")
    share = percent / 100
    for draws, expected in ((a, share), (b, share), ([x and y for x, y in zip(a, b, strict=True)], share * share)):
        assert abs(sum(draws) - expected * len(draws)) <= 4 * sqrt(len(draws) * expected) + 1
    for part in range(4):
        assert abs(sum(a[part::4]) - share * len(a) / 4) <= 4 * sqrt(len(a) / 4 * share)


def test_a_line_that_loses_everything_is_in_the_record_alone(tmp_path: Path) -> None:
    traffic = sample({("itch", "A"): 100.0, ("itch", "B"): 100.0})
    assert read_schedule(traffic.write_schedules(tmp_path)["nasdaq"]) == []
    assert all(one.lost for one in traffic.of_exchange("nasdaq"))
    assert traffic.length_ns("nasdaq") == 0


def test_a_replay_takes_the_plans_addresses_and_the_captures_bytes(tmp_path: Path) -> None:
    path = tmp_path / "one.pcap"
    path.write_bytes(pcap([(SECOND_NS, ethernet("224.0.31.64:14340", cme(5, b"payload")))]))
    of = feed(lines={"A": {"310": "233.9.9.1:14340"}, "B": {"310": "233.9.9.2:15340"}})
    traffic = build_traffic(fabric(of), TrafficOptions(replays={"cme-310": path}, speed=2.0))
    (entry,) = read_schedule(traffic.write_schedules(tmp_path)["cme"])
    assert entry == (0, IPv4Address("198.51.100.11"), IPv4Address("233.9.9.1"), 14340, cme(5, b"payload"))


def test_a_real_capture_and_an_invented_feed_go_together() -> None:
    itch = feed("itch", Protocol.MOLDUDP64, OTHER_LINES)
    options = TrafficOptions(replays={"cme-all": capture(V9)}, speed=Fraction(10), duration_ns=SECOND_NS // 10)
    traffic = build_traffic(fabric(v9_feed(), itch), options)
    assert sum(one.feed == "cme-all" for one in traffic.transmissions) == 99
    invented = [one for one in traffic.transmissions if one.feed == "itch"]
    assert sum(not is_heartbeat(Protocol.MOLDUDP64, one.payload) for one in invented) == 200
    assert traffic.notes == [f"cme-all: {V9}: 1 frames passed over: PIM"]


def test_every_mistake_is_reported_in_one_run(tmp_path: Path) -> None:
    options = TrafficOptions(
        replays={"cme-301": tmp_path, "news": tmp_path / "absent.pcap"},
        losses={("cme-310", "C"): 1, ("cme-310", "A"): 101, ("nothing", "A"): 1},
        speed=0,
        duration_ns=0,
    )
    of = fabric(feed(), feed("news", Protocol.RAW, {"A": {"1": "233.1.1.1:5000"}}))
    with pytest.raises(TrafficError) as caught:
        build_traffic(of, options)
    assert caught.value.problems == [
        "replay: no feed is called cme-301: did you mean cme-310?",
        f"replay news: no file is at {tmp_path / 'absent.pcap'}",
        "loss: no line of cme-310 is called C: the plan has A, B",
        "loss cme-310.A: expected a percentage from 0 to 100, found 101",
        "loss: no feed is called nothing: the plan has cme-310, news",
        "speed: expected more than 0, found 0",
        "duration: expected more than 0, found 0 ns: cme-310 would be idle",
    ]


def test_arguments_are_read_and_their_mistakes_collected() -> None:
    assert read_replays(["cme-310=a=b.pcap"]) == {"cme-310": Path("a=b.pcap")}
    assert read_losses(["cme-310.A=0.5", "cme-310.B.2=3%"]) == {("cme-310", "A"): 0.5, ("cme-310", "B.2"): 3.0}
    with pytest.raises(TrafficError) as caught:
        read_replays(["cme-310", "=x", "a=1", "a=2"])
    assert len(caught.value.problems) == 3
    with pytest.raises(TrafficError) as caught:
        read_losses(["cme-310=1", "cme-310.A=many", "cme-310.A=nan", "cme-310.A=-1", "x.A=1", "x.A=1"])
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize("replays", [{}, {"pitch": Path(__file__)}])
def test_a_protocol_that_the_lab_cannot_read_is_refused(replays: dict[str, Path]) -> None:
    of = fabric(feed("pitch", Protocol.PITCH))
    with pytest.raises(TrafficError) as caught:
        build_traffic(of, TrafficOptions(replays=replays))
    assert caught.value.problems == ["pitch: the lab invents, replays and judges cme-mdp3, moldudp64, raw; not pitch"]
