"""The judge's own reading of the protocols, and that the lab's layers agree with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_samples import capture, cme, mold

from lanecast_lab.traffic.frames import read_capture
from lanecast_lab.traffic.framing import FramingError, announced_next, is_heartbeat, messages
from lanecast_lab.traffic.layers import CmeMdp3, MoldUdp64
from lanecast_relay.config.model import Protocol


def test_a_cme_packet_is_one_message_whose_body_is_the_packet() -> None:
    packet = cme(7, b"abc") + b"more messages"
    (message,) = messages(Protocol.CME_MDP3, "310", packet)
    assert message == ("310", "", 7, packet)


def test_a_cme_heartbeat_consumes_a_number() -> None:
    assert is_heartbeat(Protocol.CME_MDP3, cme(7, template=12))
    assert not is_heartbeat(Protocol.CME_MDP3, cme(7, template=46))
    assert not is_heartbeat(Protocol.CME_MDP3, cme(7)[:12])
    assert [message.number for message in messages(Protocol.CME_MDP3, "310", cme(7, template=12))] == [7]


@given(st.integers(0, 2**63), st.lists(st.binary(max_size=40), max_size=5))
def test_every_block_of_a_mold_packet_is_a_message(number: int, bodies: list[bytes]) -> None:
    found = messages(Protocol.MOLDUDP64, "itch", mold(number, *bodies))
    assert found == [("itch", "0000000042", number + at, body) for at, body in enumerate(bodies)]


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4), st.data())
def test_a_mold_packet_cut_anywhere_is_refused(bodies: list[bytes], data: st.DataObject) -> None:
    packet = mold(1, *bodies)
    with pytest.raises(FramingError):
        messages(Protocol.MOLDUDP64, "itch", packet[: data.draw(st.integers(0, len(packet) - 1))])
    with pytest.raises(FramingError, match="1 bytes follow the last"):
        messages(Protocol.MOLDUDP64, "itch", packet + b"\0")


@pytest.mark.parametrize("count", [0, 0xFFFF])
def test_a_mold_packet_without_messages_announces_the_next(count: int) -> None:
    packet = mold(12, count=count)
    assert messages(Protocol.MOLDUDP64, "itch", packet) == []
    assert announced_next(Protocol.MOLDUDP64, packet) == ("0000000042", 12)
    assert is_heartbeat(Protocol.MOLDUDP64, packet) is (count == 0)


def test_raw_datagrams_have_no_number() -> None:
    assert messages(Protocol.RAW, "r", b"any") == [("r", "", None, b"any")]
    assert not is_heartbeat(Protocol.RAW, b"")
    assert announced_next(Protocol.RAW, b"any") is None


@pytest.mark.parametrize(
    "name",
    [
        "singles/moldudp64_nasdaq_totalview_20230822.pcap",
        "singles/moldudp64_asx_ntp_20190903.pcap",
        "singles/moldudp64_jnx_20221212.pcap",
    ],
)
def test_real_mold_packets_read_as_scapy_reads_them(name: str) -> None:
    for datagram in read_capture(capture(name)).datagrams:
        layer = MoldUdp64(datagram.payload)
        found = messages(Protocol.MOLDUDP64, "itch", datagram.payload)
        assert [message.body for message in found] == [block.data for block in layer.blocks]
        assert not found or found[0].number == layer.sequence_number


def test_real_cme_packets_read_as_scapy_reads_them() -> None:
    for datagram in read_capture(capture("cme_mdp3_v9_AB_multichannel_20180912.pcap")).datagrams:
        layer = CmeMdp3(datagram.payload)
        (message,) = messages(Protocol.CME_MDP3, "310", datagram.payload)
        assert message.number == layer.sequence_number
        assert sum(one.message_size for one in layer.messages) == len(datagram.payload) - 12
