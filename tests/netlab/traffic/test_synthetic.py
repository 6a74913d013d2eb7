"""Invented feeds: they keep the plan's rate, size and burst, number without a hole, and repeat from their seed."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_samples import feed

from lanecast.fabric import Feed
from lanecast_lab.traffic import TrafficError
from lanecast_lab.traffic.datagram import Datagram
from lanecast_lab.traffic.framing import READABLE, is_heartbeat, messages
from lanecast_lab.traffic.layers import CmeMdp3, MoldUdp64
from lanecast_lab.traffic.synthetic import HEARTBEATS, smallest_payload, synthesize
from lanecast_relay.config.model import Protocol

SECOND_NS = 1_000_000_000

CHANNELS = {
    "A": {"1": "224.0.1.1:1001", "2": "224.0.1.2:1002", "3": "224.0.1.3:1003"},
    "B": {"1": "224.0.2.1:2001", "2": "224.0.2.2:2002", "3": "224.0.2.3:2003"},
}
INVENTED = sorted(READABLE)
PROTOCOLS = st.sampled_from(INVENTED)


def sample(protocol: Protocol, size: int = 300, rate: int = 1000, burst: tuple[int, int] = (0, 0)) -> Feed:
    lines = {"A": CHANNELS["A"]} if protocol is Protocol.RAW else CHANNELS
    return feed("sample", protocol, lines, rate=rate, size=size, burst=burst)


def data_of(of: Feed, line: str, found: list[Datagram]) -> list[Datagram]:
    return [one for one in found if one.line == line and not is_heartbeat(of.protocol, one.payload)]


@settings(max_examples=40, deadline=None)
@given(PROTOCOLS, st.integers(23, 1400), st.integers(0, 2**32))
def test_numbers_have_no_hole_and_sizes_stay_within_the_plan(protocol: Protocol, size: int, seed: int) -> None:
    of = sample(protocol, size)
    seen: dict[str, list[int]] = defaultdict(list)
    for one in data_of(of, "A", synthesize(of, SECOND_NS // 10, seed)):
        assert smallest_payload(protocol) <= len(one.payload) <= size
        numbers = [message.number for message in messages(protocol, one.channel, one.payload)]
        assert numbers
        seen[one.channel].extend(number for number in numbers if number is not None)
    for sent in seen.values():
        assert all(after == before + 1 for before, after in pairwise(sent))


@pytest.mark.parametrize("protocol", INVENTED)
def test_every_channel_is_used_and_the_lines_are_alike(protocol: Protocol) -> None:
    of = sample(protocol)
    found = synthesize(of, SECOND_NS, 1)
    copies = {
        line.name: [(one.due_ns, one.channel, one.payload) for one in found if one.line == line.name]
        for line in of.lines
    }
    assert {channel for _due, channel, _payload in copies["A"]} == {"1", "2", "3"}
    assert all(copy == copies["A"] for copy in copies.values())


@pytest.mark.parametrize("protocol", INVENTED)
def test_it_repeats_from_seed_and_name_and_from_nothing_else(protocol: Protocol) -> None:
    of = sample(protocol)
    assert synthesize(of, SECOND_NS, 7) == synthesize(of, SECOND_NS, 7)
    assert synthesize(of, SECOND_NS, 7) != synthesize(of, SECOND_NS, 8)


def test_the_rate_is_the_plans_and_bursts_are_as_dense_as_the_plan_says() -> None:
    of = sample(Protocol.CME_MDP3, rate=20_000, burst=(100, 1_000_000))
    due = [one.due_ns for one in data_of(of, "A", synthesize(of, SECOND_NS, 1))]
    assert len(due) == 20_000
    assert due == sorted(due)
    assert SECOND_NS - 5_000_000 <= due[-1] < SECOND_NS
    densest = max(sum(1 for at in due[index : index + 200] if at < due[index] + 1_000_000) for index in range(19_800))
    assert 100 <= densest <= 120


def test_a_burst_no_denser_than_the_rate_changes_nothing() -> None:
    even = sample(Protocol.CME_MDP3, rate=1000)
    slow = sample(Protocol.CME_MDP3, rate=1000, burst=(100, 200_000_000))
    assert [one.due_ns for one in synthesize(even, SECOND_NS, 1)] == [
        one.due_ns for one in synthesize(slow, SECOND_NS, 1)
    ]


def test_a_mold_stream_ends_with_spaced_heartbeats_that_reveal_a_lost_tail() -> None:
    of = sample(Protocol.MOLDUDP64)
    found = [one for one in synthesize(of, SECOND_NS, 1) if one.line == "A"]
    for channel in of.channels:
        data = [one for one in found if one.channel == channel and not is_heartbeat(of.protocol, one.payload)]
        beats = [one for one in found if one.channel == channel and is_heartbeat(of.protocol, one.payload)]
        last = messages(of.protocol, channel, data[-1].payload)[-1]
        assert [MoldUdp64(one.payload).sequence_number for one in beats] == [(last.number or 0) + 1] * HEARTBEATS
        assert len({one.due_ns for one in beats}) == HEARTBEATS
        assert beats[0].due_ns > data[-1].due_ns


@pytest.mark.parametrize(("protocol", "layer"), [(Protocol.CME_MDP3, CmeMdp3), (Protocol.MOLDUDP64, MoldUdp64)])
def test_filled_packets_are_what_scapy_builds_from_their_fields(
    protocol: Protocol, layer: type[CmeMdp3 | MoldUdp64]
) -> None:
    for one in synthesize(sample(protocol), SECOND_NS // 5, 3):
        read = layer(one.payload)
        assert bytes(read) == one.payload
        if isinstance(read, CmeMdp3):
            assert not {4, 12} & {message.template_id for message in read.messages}
            assert sum(message.message_size for message in read.messages) == len(one.payload) - 12


@pytest.mark.parametrize("protocol", INVENTED)
def test_contents_are_all_different(protocol: Protocol) -> None:
    of = sample(protocol)
    bodies = [
        message.body
        for one in data_of(of, "A", synthesize(of, SECOND_NS, 1))
        for message in messages(protocol, one.channel, one.payload)
    ]
    assert len(bodies) == len(set(bodies))


def test_what_the_plan_does_not_allow_for_is_said_at_once() -> None:
    of = feed("tiny", Protocol.MOLDUDP64, CHANNELS, rate=1, size=22)
    with pytest.raises(TrafficError) as caught:
        synthesize(of, SECOND_NS, 1)
    assert caught.value.problems == [
        "tiny: 22 bytes hold no message of moldudp64, which needs 23",
        "tiny: 1 packets a second for 1 s make 1 packets, too few for 3 channels",
    ]
