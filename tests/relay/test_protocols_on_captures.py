"""The native parser against real exchange traffic, packet by packet, beside a reader that shares nothing with it."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from struct import unpack_from

import pytest
from exchange_readers import MESSAGES, READERS, Datagram, Reading, can_unpack, read_capture, split_messages

import lanecast_relay._core as core

FILES = {
    "cme_mdp3_v6_AB_20161112.pcap": "cme-mdp3",
    "cme_mdp3_v9_AB_multichannel_20180912.pcap": "cme-mdp3",
    "cboe_cfe_pitch_20190501.pcap": "pitch",
    "ice_impact_20160804.pcap": "impact",
    "miax_tom_mach_20161018.pcap": "mach",
    "nyse_xdp_imbalances_20170929.pcap": "xdp",
    "iex_deep_v1.0_20260713.pcap.zst": "iex-tp",
    "singles/moldudp64_nasdaq_totalview_20230822.pcap": "moldudp64",
    "singles/moldudp64_nasdaq_bx_20230822.pcap": "moldudp64",
    "singles/moldudp64_nasdaq_ise_orderfeed_2019.pcap": "moldudp64",
    "singles/moldudp64_nasdaq_ise_topcombo_2019.pcap": "moldudp64",
    "singles/moldudp64_asx_ntp_20190903.pcap": "moldudp64",
    "singles/moldudp64_jnx_20221212.pcap": "moldudp64",
    "singles/memx_memoir_20230822.pcap": "memx-udp",
    "singles/b3_umdf_binary.pcap": "umdf",
    "singles/eurex_eobi.pcap": "eobi",
    "singles/nyse_pillar_xdp.pcap": "xdp",
    "singles/cboe_byx_pitch_20230822.pcap": "pitch",
    "singles/iex_deepplus_20241001.pcap": "iex-tp",
}

OTHERS = ("singles/coinbase_derivatives_20210628.pcap", "singles/siac_opra_20231129.pcap", "singles/siac_cts_2026.pcap")
"""Traffic of protocols that the relay does not know."""

UNSPLIT = {
    "nyse_xdp_imbalances_20170929.pcap",
    "singles/moldudp64_nasdaq_bx_20230822.pcap",
    "singles/moldudp64_nasdaq_ise_orderfeed_2019.pcap",
    "singles/moldudp64_nasdaq_ise_topcombo_2019.pcap",
}
"""Captures all of whose packets have one message, which nothing can be taken off."""

WITH_GAPS = "cme_mdp3_v9_AB_multichannel_20180912.pcap"
"""Each line lacks packets that the other has; lines of a channel differ in their port's thousands."""


def manifest(captures: Path) -> dict[str, dict[str, str]]:
    with (captures / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file, delimiter="\t")}


def datagrams(captures: Path, name: str) -> list[Datagram]:
    if name.endswith(".zst") and not can_unpack():
        pytest.skip(f"{name}: neither the module zstandard nor the program zstd is installed")
    return list(read_capture(captures / name))


def parsed(protocol: str, payload: bytes) -> list[Reading]:
    return [
        Reading(stream, kind, epoch, first, count, reset)
        for stream, kind, epoch, first, count, reset in core.parse(protocol, payload)
    ]


def singly(readings: Iterable[Reading]) -> list[Reading]:
    """A run of packets as one reading for each of its numbers."""
    return [
        one._replace(first=one.first + index, messages=min(one.messages, 1))
        for one in readings
        for index in range(max(one.messages, 1))
    ]


def numbers(found: list[tuple[Datagram, list[Reading]]]) -> dict[tuple[str, int, bytes], list[int]]:
    """Every number of every stream in the order of the file, by place, stream and epoch."""
    by_stream: dict[tuple[str, int, bytes], list[int]] = defaultdict(list)
    for datagram, readings in found:
        for one in readings:
            key = f"{datagram.group}:{datagram.port}", one.stream, one.epoch
            by_stream[key].extend(range(one.first, one.first + one.messages))
    return by_stream


def test_every_file_of_the_manifest_is_accounted_for(captures: Path) -> None:
    assert set(manifest(captures)) == {*FILES, *OTHERS}


@pytest.mark.parametrize("name", FILES)
def test_every_packet_is_read_as_the_exchange_wrote_it(captures: Path, name: str) -> None:
    protocol = FILES[name]
    found = datagrams(captures, name)
    groups = Counter(f"{one.group}:{one.port}" for one in found)
    listed = manifest(captures)[name]["groups:ports (packets)"].split()
    assert sorted(f"{place}({count})" for place, count in groups.items()) == sorted(listed)
    for index, one in enumerate(found):
        expected = READERS[protocol](one.payload)
        got = parsed(protocol, one.payload)
        if protocol == "mach":
            assert singly(got) == singly(expected), f"{name}: datagram {index}"
        else:
            assert got == expected, f"{name}: datagram {index}"


@pytest.mark.parametrize("name", [name for name in FILES if "/" not in name])
def test_numbers_are_the_manifests_and_have_no_hole(captures: Path, name: str) -> None:
    ranges = dict(one.split("=") for one in manifest(captures)[name]["seq_ranges"].split())
    found = [(one, parsed(FILES[name], one.payload)) for one in datagrams(captures, name)]
    by_stream = numbers(found)
    assert len({place for place, _stream, _epoch in by_stream}) == len(by_stream), "one stream and epoch a group"
    seen = {place: f"{min(those)}-{max(those)}" for (place, _stream, _epoch), those in by_stream.items()}
    assert seen == ranges
    if name == WITH_GAPS:
        union: dict[int, set[int]] = defaultdict(set)
        for (place, _stream, _epoch), those in by_stream.items():
            union[int(place.rpartition(":")[2]) % 1000].update(those)
        assert len(union) == 9
        assert all(len(those) == max(those) - min(those) + 1 for those in union.values())
        return
    for (place, _stream, _epoch), those in by_stream.items():
        assert those == list(range(those[0], those[-1] + 1)), place


def test_eobi_numbers_go_on_from_one_segment_to_the_next(captures: Path) -> None:
    """Two products on one address: far too near each other to be counted apart."""
    name = "singles/eurex_eobi.pcap"
    shared = [one.payload for one in datagrams(captures, name) if (one.group, one.port) == ("224.0.114.42", 59032)]
    segments = [unpack_from("<I", payload, 12)[0] for payload in shared]
    assert segments == [603, 604]
    readings = [reading for payload in shared for reading in parsed("eobi", payload)]
    assert [(one.stream, one.first) for one in readings] == [(6, 532352), (6, 532356)]


@pytest.mark.parametrize("name", [name for name in FILES if "/" in name])
def test_numbers_of_picked_packets_lie_within_the_manifests(captures: Path, name: str) -> None:
    lowest, _, highest = manifest(captures)[name]["seq_ranges"].split()[0].partition("-")
    found = [(one, parsed(FILES[name], one.payload)) for one in datagrams(captures, name)]
    for those in numbers(found).values():
        assert all(int(lowest) <= number for number in those)
    firsts = [one.first for _datagram, readings in found for one in readings if one.messages]
    assert firsts
    assert max(firsts) <= int(highest)


@pytest.mark.parametrize("name", [name for name, protocol in FILES.items() if protocol in MESSAGES])
def test_half_of_a_packet_is_a_packet(captures: Path, name: str) -> None:
    protocol = FILES[name]
    split = 0
    for one in datagrams(captures, name):
        (whole, *others) = parsed(protocol, one.payload)
        if whole.kind != "data" or whole.messages < 2 or others:
            continue
        skip = whole.messages // 2
        half = core.trim(protocol, one.payload, skip)
        assert half is not None
        expected = whole._replace(first=whole.first + skip, messages=whole.messages - skip, reset=False)
        assert singly(READERS[protocol](half)) == singly([expected])
        messages = split_messages(protocol, one.payload)
        assert split_messages(protocol, half) == messages[skip:]
        if protocol == "iex-tp":
            gone = sum(map(len, messages[:skip]))
            assert unpack_from("<Q", half, 16)[0] == unpack_from("<Q", one.payload, 16)[0] + gone
        assert core.trim(protocol, one.payload, whole.messages) is None
        split += 1
    assert (split == 0) == (name in UNSPLIT), f"{split} packets split"


@pytest.mark.parametrize("name", [*FILES, *OTHERS])
def test_no_protocol_fails_on_anothers_traffic(captures: Path, name: str) -> None:
    for one in datagrams(captures, name)[:500]:
        for protocol in core.protocols():
            for payload in (one.payload, one.payload[:-1], one.payload + b"\0"):
                try:
                    core.parse(protocol, payload)
                except core.MalformedDatagram:
                    continue


@pytest.mark.parametrize("name", [name for name in FILES if FILES[name] != "eobi"])
def test_no_part_of_a_packet_is_taken_for_one(captures: Path, name: str) -> None:
    protocol = FILES[name]
    for one in datagrams(captures, name)[:50]:
        ends = {len(one.payload)}
        if protocol == "mach":
            ends |= {sum(map(len, split_messages("mach", one.payload)[:count])) for count in range(1, 99)}
        if protocol in ("cme-mdp3", "umdf"):
            continue  # these say nowhere how long they are: a packet cut between messages is a packet
        for length in set(range(len(one.payload))) - ends:
            with pytest.raises(core.MalformedDatagram):
                core.parse(protocol, one.payload[:length])
