"""Captures: every format is read alike, every group has a line, and nothing is left out in silence."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_samples import V6, V9, capture, cme, endpoint, ethernet, feed, mold, pcap, pcapng, v9_feed

from lanecast_lab.traffic import TrafficError, measure_skew, skew_report
from lanecast_lab.traffic.capture import load_replay
from lanecast_lab.traffic.datagram import Datagram
from lanecast_lab.traffic.frames import read_capture
from lanecast_lab.traffic.framing import messages
from lanecast_relay.config.model import Protocol

A = "224.0.31.64:14340"
B = "224.0.32.64:15340"
START_NS = 1_500_000_000_000_000_000


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "sample.pcap"
    path.write_bytes(content)
    return path


def problems(path: Path, speed: int = 1, **lines: dict[str, str]) -> list[str]:
    with pytest.raises(TrafficError) as caught:
        load_replay(feed(lines=lines or None), path, Fraction(speed))
    return caught.value.problems


FRAMES = [(START_NS, ethernet(A, cme(1))), (START_NS + 5_000, ethernet(B, cme(2, b"x" * 80)))]


@pytest.mark.parametrize(
    "content",
    [
        pcap(FRAMES),
        pcap(FRAMES, endian=">"),
        pcap(FRAMES, nano=True),
        pcap(FRAMES, endian=">", nano=True),
        pcapng(FRAMES),
        pcapng(FRAMES, endian=">"),
        gzip.compress(pcap(FRAMES)),
        pcap([(at, frame[14:]) for at, frame in FRAMES], link_type=101),
        pcap([(at, bytes(14) + frame[12:]) for at, frame in FRAMES], link_type=113),
        pcap([(at, b"\x08\x00" + bytes(18) + frame[14:]) for at, frame in FRAMES], link_type=276),
    ],
)
def test_all_formats_read_alike(tmp_path: Path, content: bytes) -> None:
    found = read_capture(written(tmp_path, content))
    assert found.datagrams == [
        (START_NS, endpoint(A), cme(1)),
        (START_NS + 5_000, endpoint(B), cme(2, b"x" * 80)),
    ]


def test_nanoseconds_are_kept(tmp_path: Path) -> None:
    for content in (pcap([(START_NS + 1, FRAMES[0][1])], nano=True), pcapng([(START_NS + 1, FRAMES[0][1])])):
        assert read_capture(written(tmp_path, content)).datagrams[0].time_ns == START_NS + 1


@pytest.mark.parametrize("tags", [b"\x81\x00\x00\x65", b"\x88\xa8\x00\x65\x81\x00\x00\x66"])
def test_vlan_tags_are_taken_off(tmp_path: Path, tags: bytes) -> None:
    path = written(tmp_path, pcap([(START_NS, ethernet(A, cme(1), vlan=tags))]))
    assert read_capture(path).datagrams == [(START_NS, endpoint(A), cme(1))]


def test_other_protocols_are_passed_over_and_reported(tmp_path: Path) -> None:
    others = [(START_NS, ethernet(A, b"", protocol=103)), (START_NS, bytes(12) + b"\x08\x06" + bytes(46))]
    replay = load_replay(feed(), written(tmp_path, pcap(FRAMES + others)), Fraction(1))
    assert replay.notes == [
        "cme-310: sample.pcap: 1 frames passed over: EtherType 0x0806",
        "cme-310: sample.pcap: 1 frames passed over: PIM",
    ]


def test_damage_is_an_error_that_counts(tmp_path: Path) -> None:
    whole = ethernet(A, cme(1, b"x" * 80))
    frames = [
        (START_NS, ethernet(A, cme(1), fragment=0x2000)),
        (START_NS, ethernet(A, cme(1), fragment=0x0010)),
        (START_NS, whole[:-1]),
        (START_NS, whole[:38]),
        (START_NS, whole[:20]),
    ]
    path = written(tmp_path, pcap(FRAMES + frames))
    tail = "they cannot be replayed"
    assert problems(path) == [
        f"{path}: 2 datagrams in IP fragments, the first in frame 3: {tail}",
        f"{path}: 1 datagrams of which the capture holds only the beginning, the first in frame 5: {tail}",
        f"{path}: 1 datagrams cut in the UDP header, the first in frame 6: {tail}",
        f"{path}: 1 datagrams cut in the IP header, the first in frame 7: {tail}",
    ]


@pytest.mark.parametrize("make", [pcap, pcapng])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_never_reads_as_a_shorter_one(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[..., bytes], data: st.DataObject
) -> None:
    content = pcap(FRAMES) if make is pcap else pcapng(FRAMES)
    size = data.draw(st.integers(0, len(content) - 1))
    path = written(tmp_path_factory.mktemp("cut"), content[:size])
    try:
        found = read_capture(path)
    except TrafficError:
        return
    # What remains may only be a whole file: the cut fell between two frames.
    assert content[:size] in (pcap(FRAMES[: len(found.datagrams)]), pcapng(FRAMES[: len(found.datagrams)]))


def test_a_zstd_file_says_what_to_do(tmp_path: Path) -> None:
    path = written(tmp_path, b"\x28\xb5\x2f\xfd rest")
    assert problems(path) == [f"{path}: is compressed with zstd: unpack it first (zstd -d)"]


def test_another_file_is_no_capture(tmp_path: Path) -> None:
    path = written(tmp_path, b"lanecast: 1\n" * 10)
    assert problems(path) == [f"{path}: is neither pcap nor pcapng"]


def test_groups_map_by_port_when_the_plan_names_others(tmp_path: Path) -> None:
    path = written(tmp_path, pcap(FRAMES))
    of = feed(lines={"A": {"310": "233.1.1.1:14340"}, "B": {"310": "233.1.1.2:15340"}})
    replay = load_replay(of, path, Fraction(1))
    assert [(one.line, one.channel, one.due_ns) for one in replay.datagrams] == [("A", "310", 0), ("B", "310", 5000)]


def test_a_group_that_the_plan_does_not_name_is_an_error_with_both_sides(tmp_path: Path) -> None:
    path = written(tmp_path, pcap([*FRAMES, (START_NS, ethernet("224.0.33.1:14340", cme(2)))]))
    (problem,) = problems(path)
    assert problem == (
        f"{path}: cme-310 has no line for 224.0.33.1:14340 (1 datagrams); the capture holds 224.0.31.64:14340,"
        " 224.0.32.64:15340, 224.0.33.1:14340; the plan names 224.0.31.64:14340 (A/310), 224.0.32.64:15340 (B/310)"
    )


def test_a_port_that_two_groups_share_decides_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, pcap(FRAMES))
    (problem,) = problems(path, A={"310": "233.1.1.1:14340"}, B={"310": "233.1.1.2:14340"})
    assert "no line for 224.0.31.64:14340 (1 datagrams), 224.0.32.64:15340 (1 datagrams)" in problem


def test_packets_are_sorted_by_time_and_keep_their_spacing_divided_by_the_speed(tmp_path: Path) -> None:
    frames = [(START_NS + at, ethernet(A, cme(number))) for number, at in ((3, 9000), (1, 0), (2, 3000))]
    path = written(tmp_path, pcap(frames))
    replay = load_replay(feed(), path, Fraction(3, 2))
    assert [(one.due_ns, one.payload) for one in replay.datagrams] == [(0, cme(1)), (2000, cme(2)), (6000, cme(3))]
    assert replay.notes == ["cme-310: sample.pcap holds nothing for B/310"]


def test_a_number_with_two_contents_cannot_be_judged(tmp_path: Path) -> None:
    frames = [(START_NS, ethernet(A, cme(1))), (START_NS + 1000, ethernet(A, cme(1, b"after a reset")))]
    (problem,) = problems(written(tmp_path, pcap(frames)))
    assert "1 numbers stand for two different contents, the first is 1 of channel 310" in problem


def test_datagrams_of_another_protocol_are_sent_and_said(tmp_path: Path) -> None:
    path = written(tmp_path, pcap([*FRAMES, (START_NS, ethernet(A, b"keep-alive"))]))
    assert load_replay(feed(), path, Fraction(1)).notes == [
        "cme-310: sample.pcap: 1 datagrams are not cme-mdp3: sent, and not expected at subscribers"
    ]
    only = written(tmp_path, pcap([(START_NS, ethernet(A, b"keep-alive"))]))
    assert problems(only) == [f"{only}: none of its 1 datagrams is cme-mdp3"]


def test_skew_is_the_largest_difference_of_first_copies() -> None:
    of = feed(protocol=Protocol.MOLDUDP64)
    datagrams = [
        Datagram(0, "A", "310", mold(1, b"a", b"b")),
        Datagram(30, "B", "310", mold(1, b"a")),
        Datagram(900, "B", "310", mold(1, b"a")),
        Datagram(40, "B", "310", mold(2, b"b", b"c")),
        Datagram(70, "A", "310", mold(4, b"d")),
        Datagram(60, "B", "310", mold(4, b"d")),
    ]
    report = measure_skew(of, datagrams)
    assert (report.compared, report.largest_ns, report.largest_at) == (3, 40, "channel 310, number 2")
    assert report.after_ns == {"B": (-10, 30, 40)}
    assert report.only_on == {"A": 0, "B": 1}
    assert report.fits


def test_the_capture_of_2016_has_5000_messages_on_both_lines() -> None:
    report = skew_report(feed(), capture(V6))
    assert (report.compared, report.only_on) == (5000, {"A": 0, "B": 0})
    least, median, most = report.after_ns["B"]
    assert (round(least / 1000), round(median / 1000, 1), round(most / 1000)) == (-15, -0.3, 6)
    replay = load_replay(feed(), capture(V6), Fraction(1))
    numbers = [messages(Protocol.CME_MDP3, "310", one.payload)[0].number for one in replay.datagrams if one.line == "A"]
    assert sorted(number or 0 for number in numbers) == list(range(5615, 10615))


def test_the_capture_of_2018_has_holes_on_both_lines_that_the_other_fills() -> None:
    replay = load_replay(v9_feed(), capture(V9), Fraction(1))
    assert len(replay.datagrams) == 99
    assert replay.notes == [f"cme-all: {V9}: 1 frames passed over: PIM"]
    report = skew_report(v9_feed(), capture(V9))
    assert min(report.only_on.values()) > 0
    together: dict[str, set[int]] = {}
    for one in replay.datagrams:
        (message,) = messages(Protocol.CME_MDP3, one.channel, one.payload)
        together.setdefault(one.channel, set()).add(message.number or 0)
    assert len(together) == 9
    assert all(len(numbers) == max(numbers) - min(numbers) + 1 for numbers in together.values())
    assert sum(map(len, together.values())) == report.compared + sum(report.only_on.values())


def test_a_capture_of_another_feed_is_refused() -> None:
    (problem,) = problems(capture(V9))
    assert "cme-310 has no line for" in problem
    assert "the plan names 224.0.31.64:14340 (A/310), 224.0.32.64:15340 (B/310)" in problem


def test_a_pcapng_without_times_is_refused(tmp_path: Path) -> None:
    frame = ethernet(A, cme(1))
    body = pack("<I", len(frame)) + frame + bytes(-len(frame) % 4)
    simple = pcapng([]) + pack("<II", 3, 12 + len(body)) + body + pack("<I", 12 + len(body))
    path = written(tmp_path, simple)
    assert problems(path) == [
        f"{path}: 1 datagrams without a time stamp, the first in frame 1: they cannot be replayed"
    ]
