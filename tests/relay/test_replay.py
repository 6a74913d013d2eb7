"""Replays of journals that are not one tidy feed: recovery, skew, sessions, wraps, units, and clocks that were set back."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from journal_recorder import START_NS, Came, build_recorder, datagram, in_order, mitch, record_script
from replaying import RELAY, address, listening, received, replay

MS = 1_000_000
S = 1000 * MS

Record = Callable[..., Path]


@pytest.fixture(scope="module")
def scripted() -> Path:
    return build_recorder("script")


@pytest.fixture
def record(scripted: Path, tmp_path: Path) -> Record:
    """Records what is given into a journal of the test's own."""

    def make(came: Iterable[Came], segment_bytes: int = 2**20) -> Path:
        journal = tmp_path / "journal"
        record_script(scripted, journal, came, segment_bytes)
        return journal

    return make


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    yield from listening()


def line(
    name: str,
    numbers: Iterable[int],
    without: Iterable[int] = (),
    start_ns: int = START_NS,
    skew_ns: int = 0,
    session: bytes = b"SESSION001",
) -> list[Came]:
    """Number n comes n milliseconds after the start, and ``skew_ns`` later on this line."""
    lost = set(without)
    return [
        Came(start_ns + number * MS + skew_ns, name, datagram(number, session=session))
        for number in numbers
        if number not in lost
    ]


def mold(numbers: Iterable[int], session: bytes = b"SESSION001") -> list[bytes]:
    return [datagram(number, session=session) for number in numbers]


def all_of(listener: socket.socket, journal: Path, *options: str) -> list[bytes]:
    """What a replay as fast as can be sends to one address."""
    summary = replay(journal, "--to-address", address(listener), "--speed", "max", *options)
    return received(listener, summary["datagrams"])


RECOVERED_NS = 20 * MS + 45 * MS
"""After hole-wait, and what asking took."""


def recovered(number: int) -> Came:
    return Came(START_NS + number * MS + RECOVERED_NS, "recovery", datagram(number))


@pytest.fixture
def with_recovery(record: Record) -> Path:
    """50, 90 and 91 are on neither line and were recovered; 70 on neither and nobody had it."""
    lost = (50, 70, 90, 91)
    answers = [recovered(50), Came(recovered(90).at_ns, "recovery", datagram(90)), recovered(91)]
    return record(in_order(line("A", range(1, 201), lost), line("B", range(1, 201), lost, skew_ns=MS), answers))


def test_what_servers_supplied_leaves_as_it_did(with_recovery: Path, sockets: list[socket.socket]) -> None:
    summary = replay(with_recovery, "--to-address", address(sockets[0]), "--speed", "max")
    assert received(sockets[0], 199) == mold(number for number in range(1, 201) if number != 70)
    assert summary["lost_messages"] == 1


def test_a_number_that_was_recovered_begins_or_ends_a_replay(
    with_recovery: Path,
    sockets: list[socket.socket],
) -> None:
    assert all_of(sockets[0], with_recovery, "--from", "50", "--to", "60") == mold(range(50, 61))
    assert all_of(sockets[0], with_recovery, "--from", "80", "--to", "91") == mold(range(80, 92))
    # 90 came after 95 had come on both lines.
    assert all_of(sockets[0], with_recovery, "--from", "85", "--to", "95") == mold(range(85, 96))


def test_recovered_numbers_keep_the_pause_that_subscribers_saw(
    with_recovery: Path,
    sockets: list[socket.socket],
) -> None:
    summary = replay(with_recovery, "--to-address", address(sockets[0]), "--from", "50", "--to", "51", "--speed", "max")
    assert received(sockets[0], 2) == mold([50, 51])
    assert summary["at_ns"] == recovered(50).at_ns  # when the answer came 51 left as well


def test_without_a_recovery_line_nothing_waits_for_one(record: Record, sockets: list[socket.socket]) -> None:
    lost = [50]
    late = Came(START_NS + 50 * MS + RECOVERED_NS, "C", datagram(50))
    journal = record(in_order(line("A", range(1, 201), lost), line("B", range(1, 201), lost), [late]))
    summary = replay(journal, "--to-address", address(sockets[0]), "--speed", "max")
    assert received(sockets[0], 199) == mold(number for number in range(1, 201) if number != 50)
    assert summary["lost_messages"] == 1


def set_back(came: list[Came], after_ns: int, by_ns: int) -> list[Came]:
    """The same, read from a clock that was set back at ``after_ns``."""
    return [Came(one.at_ns - by_ns if one.at_ns > after_ns else one.at_ns, one.line, one.datagram) for one in came]


@pytest.mark.parametrize("by_ns", [MS, 15 * MS, 300 * MS, 5 * S, 3600 * S])
@pytest.mark.parametrize("segment_bytes", [2**14, 2**20])
def test_a_clock_that_was_set_back_costs_no_message(
    record: Record,
    sockets: list[socket.socket],
    by_ns: int,
    segment_bytes: int,
) -> None:
    numbers = range(1, 2001)
    a = line("A", numbers, without=[*range(7, 2001, 10), 1500])
    b = line("B", numbers, without=[*range(3, 2001, 10), 1500], skew_ns=2 * MS)
    journal = record(
        set_back(in_order(a, b, [recovered(1500)]), START_NS + 1000 * MS, by_ns), segment_bytes=segment_bytes
    )
    summary = replay(journal, "--to-address", address(sockets[0]), "--speed", "max")
    assert received(sockets[0], 2000) == mold(numbers)
    assert summary["lost_messages"] == 0
    assert all_of(sockets[0], journal, "--from", "990", "--to", "1040") == mold(range(990, 1041))
    assert all_of(sockets[0], journal, "--from", "1995") == mold(range(1995, 2001))
    to_b = f"B={address(sockets[1])}"
    replay(journal, "--line", to_b, "--speed", "max")
    assert received(sockets[1], len(b)) == [one.datagram for one in b]


def test_a_clock_that_was_set_back_keeps_the_spacing(record: Record, sockets: list[socket.socket]) -> None:
    came = set_back(in_order(line("A", range(1, 201)), line("B", range(1, 201))), START_NS + 100 * MS, 3600 * S)
    summary = replay(record(came), "--to-address", address(sockets[0]), "--speed", "1")
    assert received(sockets[0], 200) == mold(range(1, 201))
    assert 190 * MS <= summary["elapsed_ns"] < 10 * S


def test_a_moment_after_the_clock_was_set_back_is_found_in_its_segment(
    record: Record,
    sockets: list[socket.socket],
) -> None:
    """Two hours are recorded, then the clock goes back by one and a half: names of segments are not in order."""
    before = [Came(START_NS + number * 10 * S, "A", datagram(number)) for number in range(1, 721)]
    after = [Came(START_NS + 1800 * S + number * S, "A", datagram(720 + number)) for number in range(1, 601)]
    journal = record([*before, *after], segment_bytes=2**13)
    names = sorted(path.name for path in journal.glob("*.pcapng"))
    times = [int(name.split("-")[1].split(".")[0]) for name in names]
    assert times != sorted(times)
    # 6500 s came before the clock was set back, and in no later segment.
    assert all_of(sockets[0], journal, "--from", "2023-11-15T00:01:40Z") == mold(range(650, 1321))
    # All that was recorded: the latest moment is not that of the last segment.
    assert all_of(sockets[0], journal, "--from", "2023-11-15T00:13:20Z") == mold(range(720, 1321))


def test_numbers_are_those_of_the_newest_session_that_has_them(
    record: Record,
    sockets: list[socket.socket],
) -> None:
    old, new = b"SESSION001", b"SESSION002"
    later_ns = START_NS + 400 * MS
    came = in_order(
        line("A", range(1, 301), session=old),
        line("B", range(1, 301), session=old),
        line("A", range(1, 251), session=new, start_ns=later_ns),
        line("B", range(1, 251), session=new, start_ns=later_ns, skew_ns=MS),
    )
    journal = record(came)
    assert len(list(journal.glob("*.pcapng"))) == 1
    assert all_of(sockets[0], journal, "--from", "100", "--to", "200") == mold(range(100, 201), new)
    assert all_of(sockets[0], journal, "--from", "260", "--to", "270") == mold(range(260, 271), old)
    assert all_of(sockets[0], journal, "--from", "240") == mold(range(240, 251), new)
    result = refused(journal, "--from", "200", "--to", "260")
    assert "--to 260: not in the session that has --from 200" in result


def test_numbers_that_start_anew_in_band_are_the_newest(record: Record, sockets: list[socket.socket]) -> None:
    came = [
        Came(START_NS + run * 60 * S + number * MS, name, mitch(1, number, run), protocol="mitch")
        for run in (0, 1)
        for number in range(1, 301 - 50 * run)
        for name in ("A", "B")
    ]
    journal = record(came)
    assert all_of(sockets[0], journal, "--stream", "1", "--from", "100", "--to", "200") == [
        mitch(1, number, 1) for number in range(100, 201)
    ]
    assert all_of(sockets[0], journal, "--stream", "1", "--from", "260", "--to", "270") == [
        mitch(1, number, 0) for number in range(260, 271)
    ]


@pytest.mark.parametrize("lost_after", [0, 5])
def test_a_line_that_is_behind_fills_holes_at_both_ends(
    record: Record,
    sockets: list[socket.socket],
    lost_after: int,
) -> None:
    """A lacks the first and the last number; B is 10 ms behind and lacks those that A had meanwhile."""
    a = line("A", range(1, 401), without=[100, 200])
    b = line(
        "B", range(1, 401), without=[*range(101, 101 + lost_after), *range(195, 195 + lost_after)], skew_ns=10 * MS
    )
    journal = record(in_order(a, b))
    assert all_of(sockets[0], journal, "--from", "100", "--to", "200") == mold(range(100, 201))
    summary = replay(journal, "--to-address", address(sockets[0]), "--from", "100", "--to", "200", "--speed", "max")
    assert summary["lost_messages"] == 0


def test_losses_around_a_range_are_not_the_ranges(record: Record, sockets: list[socket.socket]) -> None:
    lost = [95, 96, 150, 201, 202, 203]
    journal = record(in_order(line("A", range(1, 401), lost), line("B", range(1, 401), lost)))
    summary = replay(journal, "--to-address", address(sockets[0]), "--from", "97", "--to", "200", "--speed", "max")
    assert summary["lost_messages"] == 1


def test_a_range_goes_on_across_the_end_of_a_round(record: Record, sockets: list[socket.socket]) -> None:
    top = 2**32
    numbers = [*range(top - 200, top), *range(1, 200)]  # 0 would follow; it is lost on both lines
    came = [
        Came(START_NS + at * MS, name, mitch(1, number), protocol="mitch")
        for at, number in enumerate([*numbers[:200], 0, *numbers[200:]])
        for name in ("A", "B")
    ]
    journal = record(came)
    sent = all_of(sockets[0], journal, "--stream", "1", "--from", str(top - 10), "--to", "10")
    assert sent == [mitch(1, number) for number in [*range(top - 10, top), *range(11)]]
    sent = all_of(sockets[0], journal, "--stream", "1", "--from", str(top - 10))
    assert sent == [mitch(1, number) for number in [*range(top - 10, top), *range(200)]]
    sent = all_of(sockets[0], journal, "--stream", "1", "--to", "10")
    assert sent == [mitch(1, number) for number in [*range(top - 200, top), *range(11)]]


def test_a_unit_of_several_is_meant_by_stream(record: Record, sockets: list[socket.socket]) -> None:
    came = [
        Came(START_NS + number * MS + 10_000 * unit, name, mitch(unit, number), protocol="mitch")
        for number in range(1, 301)
        for unit in (1, 2, 3)
        for name in ("A", "B")
    ]
    journal = record(came)
    assert all_of(sockets[0], journal, "--stream", "2", "--from", "100", "--to", "110") == [
        mitch(2, number) for number in range(100, 111)
    ]
    everything = all_of(sockets[0], journal)
    assert sorted(everything) == sorted(mitch(unit, number) for unit in (1, 2, 3) for number in range(1, 301))
    assert "--to 5: not recorded in channel main, stream 4; recorded is stream 1: 1 to 300, stream 2:" in refused(
        journal, "--stream", "4", "--to", "5"
    )


def test_channels_and_feeds_are_told_apart(record: Record, sockets: list[socket.socket]) -> None:
    came = [
        Came(START_NS + number * MS, name, datagram(number, session=session), channel=channel, feed=feed)
        for number in range(1, 101)
        for feed, channel, session in (
            ("quotes", "310", b"QUOTES-310"),
            ("quotes", "311", b"QUOTES-311"),
            ("trades", "310", b"TRADES-310"),
        )
        for name in ("A", "B")
    ]
    journal = record(came)
    to = [address(one) for one in sockets]
    assert "--feed: expected one of quotes, trades" in refused(journal)
    assert "there are channels 310, 311" in refused(journal, "--feed", "quotes")
    two = ["--to-address", f"310={to[0]}", "--to-address", f"311={to[1]}", "--speed", "max"]
    assert replay(journal, "--feed", "quotes", *two)["datagrams"] == 200
    assert received(sockets[0], 100) == mold(range(1, 101), b"QUOTES-310")
    assert received(sockets[1], 100) == mold(range(1, 101), b"QUOTES-311")
    assert all_of(sockets[0], journal, "--feed", "trades", "--from", "90") == mold(range(90, 101), b"TRADES-310")
    only = ["--feed", "quotes", "--channel", "311", "--from", "5", "--to", "9"]
    assert all_of(sockets[0], journal, *only) == mold(range(5, 10), b"QUOTES-311")
    lines = ["--line", f"A/310={to[0]}", "--line", f"B/311={to[1]}", "--speed", "max"]
    replay(journal, "--feed", "quotes", *lines)
    assert received(sockets[0], 100) == mold(range(1, 101), b"QUOTES-310")
    assert received(sockets[1], 100) == mold(range(1, 101), b"QUOTES-311")
    assert "numbers belong to one channel" in refused(
        journal, "--feed", "quotes", "--from", "5", "--to-address", f"310={to[0]}", "--to-address", f"311={to[1]}"
    )


def test_a_replay_of_nothing_says_so(record: Record, sockets: list[socket.socket]) -> None:
    early, late = line("A", range(1, 11)), line("A", range(11, 21), start_ns=START_NS + 60 * S)
    journal = record([*early, *late])
    silent = ["--from", "2023-11-14T22:13:30Z", "--to", "2023-11-14T22:13:40Z", "--speed", "max"]
    command = [*RELAY, "replay", str(journal), "--to-address", address(sockets[0]), *silent]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout.startswith("0 datagrams, 0 bytes")
    assert "nothing was recorded of what is asked for" in result.stderr
    assert received(sockets[0], 0) == []


def refused(journal: Path, *options: str) -> str:
    """What the command says of options that are not possible."""
    to = [] if "--to-address" in options else ["--to-address", "127.0.0.1:9"]
    command = [*RELAY, "replay", str(journal), *to, *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    return result.stderr


@pytest.mark.parametrize("command", [["lanecast_relay"], ["lanecast_relay.cli"], ["lanecast", "relay"]])
def test_it_is_one_command_by_every_name(
    record: Record,
    sockets: list[socket.socket],
    command: list[str],
) -> None:
    journal = record(line("A", range(1, 11)))
    options = ["--to-address", address(sockets[0]), "--speed", "max", "--from", "3", "--json"]
    module, *rest = command
    words = [sys.executable, "-m", module, *rest, "replay"]
    subprocess.run([*words, str(journal), *options], capture_output=True, check=True)
    assert received(sockets[0], 8) == mold(range(3, 11))
    told = subprocess.run([*words, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--recovery-wait DURATION" in told
    wrong = subprocess.run([*words, str(journal), "--ttl", "256"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "--ttl: expected a number from 0 to 255" in wrong.stderr


def test_a_replay_loads_nothing_that_it_does_not_need(record: Record) -> None:
    journal = record(line("A", range(1, 11)))
    script = (
        "import sys; from lanecast_relay.replay_command import main;"
        f" main([{str(journal)!r}, '--to-address', '127.0.0.1:9', '--speed', 'max', '--from', '3'], 'replay');"
        " print(sorted({'typer', 'click', 'rich', 'pydantic', 'yaml', 'inspect'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
