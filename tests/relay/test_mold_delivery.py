"""Delivery as the relay's own MoldUDP64: packed, with the exchange's numbers, and asked for again where something is missing."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from leasing import NEEDS_ROOT, own_network
from relay_process import RelayProcess, receiving, waiting

pytestmark = NEEDS_ROOT

PAYLOAD_BYTES = 600
SERVER = ("127.0.0.1", 31001)
END_OF_SESSION = 0xFFFF


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


def relay_of(directory: Path, protocol: str, answers: str = "100000 pps") -> RelayProcess:
    feed = {
        "protocol": protocol,
        "hole-wait": "1s",
        "payload": f"{PAYLOAD_BYTES}B",
        "lines": {"A": {"unicast": {"listen": {"main": "127.0.0.1:20001"}}}},
        "re-requests": {"listen": {"main": "127.0.0.1:31001"}, "answers": answers},
    }
    app = {"feeds": {"quotes": {"main": "127.0.0.1:30001"}}, "delivery": "mold"}
    return RelayProcess(directory, {"feeds": {"quotes": feed}, "subscribers": {"app": app}})


def blocks(packet: bytes) -> tuple[bytes, int, int, list[bytes]]:
    """MoldUDP64 1.0, Downstream Packet: session, number, count, messages."""
    session, number, count = struct.unpack_from(">10sQH", packet)
    at, found = 20, []
    for _ in range(0 if count == END_OF_SESSION else count):
        (size,) = struct.unpack_from(">H", packet, at)
        found.append(packet[at + 2 : at + 2 + size])
        at += 2 + size
    assert at == len(packet)
    return session, number, count, found


def request(session: bytes, number: int, count: int) -> bytes:
    return session + struct.pack(">QH", number, count)


def pitch(number: int, messages: list[bytes]) -> bytes:
    """Cboe PITCH, Sequenced Unit Header: length, count, unit, sequence; a message begins with its length."""
    body = b"".join(bytes([len(message) + 2, 0x21]) + message for message in messages)
    return struct.pack("<HBBI", 8 + len(body), len(messages), 7, number) + body


def collect(receiver: socket.socket, last: int) -> tuple[set[bytes], dict[int, bytes], list[int]]:
    """Sessions, messages by number, and sizes, until message ``last`` has come."""
    sessions, messages, sizes = set(), dict[int, bytes](), []
    while last not in messages:
        packet = receiver.recv(65536)
        session, number, _, found = blocks(packet)
        sessions.add(session)
        assert not set(range(number, number + len(found))) & set(messages), "once"
        messages.update({number + at: message for at, message in enumerate(found)})
        sizes.append(len(packet))
    return sessions, messages, sizes


def test_messages_of_another_framing_are_packed_with_their_own_numbers(tmp_path: Path) -> None:
    sent: dict[int, bytes] = {}
    with receiving("127.0.0.1", 30001) as app, relay_of(tmp_path, "pitch"):
        with receiving("127.0.0.1", 0) as sender:
            for first in range(1, 601, 3):
                messages = [b"message %d" % number for number in range(first, first + 3)]
                sender.sendto(pitch(first, messages), ("127.0.0.1", 20001))
                sent.update({first + at: bytes([len(one) + 2, 0x21]) + one for at, one in enumerate(messages)})
        sessions, messages_by_number, sizes = collect(app, 600)
        assert messages_by_number == sent
        assert len(sessions) == 1
        assert max(sizes) <= PAYLOAD_BYTES
        assert len(sizes) < 200, "fewer than came: they came faster than they left"


def test_silence_the_end_of_the_session_and_messages_without_room(tmp_path: Path) -> None:
    session, large = b"TODAY     ", bytes(2 * PAYLOAD_BYTES)
    with receiving("127.0.0.1", 30001) as app, relay_of(tmp_path, "moldudp64"), receiving("127.0.0.1", 0) as sender:
        for number, body in ((1, b"one"), (2, large), (3, b"three")):
            packet = request(session, number, 1) + struct.pack(">H", len(body)) + body
            sender.sendto(packet, ("127.0.0.1", 20001))
        sessions, messages, sizes = collect(app, 3)
        assert messages == {1: b"one", 2: large, 3: b"three"}
        assert 20 + 2 + len(large) in sizes, "alone, and whole"
        (own,) = sessions
        while (beat := blocks(app.recv(2048)))[1:3] != (4, 0):  # about a second of silence
            assert beat[2] == 0
        sender.sendto(request(session, 4, END_OF_SESSION), ("127.0.0.1", 20001))
        while (said := blocks(app.recv(2048)))[2] != END_OF_SESSION:
            assert said[1:3] == (4, 0)
        assert said[:2] == (own, 4)


def test_a_subscriber_fills_its_own_gap_and_nobody_else_is_answered(tmp_path: Path) -> None:
    with (
        receiving("127.0.0.1", 30001) as app,
        relay_of(tmp_path, "moldudp64") as relay,
        receiving("127.0.0.1", 0) as asker,
        receiving("127.0.0.9", 0) as stranger,
    ):
        with receiving("127.0.0.1", 0) as sender:
            for number in range(1, 201):
                body = b"message %d" % number
                packet = request(b"TODAY     ", number, 1) + struct.pack(">H", len(body)) + body
                sender.sendto(packet, ("127.0.0.1", 20001))
        (session,), messages, _ = collect(app, 200)
        for asked in ((50, 4), (199, 50), (1, 65_534)):
            for one in (stranger, asker):  # in this order, so that the second answer shows that there is no first
                one.sendto(request(session, *asked), SERVER)
            answer = asker.recv(65536)
            name, number, count, found = blocks(answer)
            assert (name, number) == (session, asked[0])
            assert 1 <= count == len(found) <= min(asked[1], 201 - asked[0])
            assert len(answer) <= PAYLOAD_BYTES
            assert found == [messages[number + at] for at in range(count)]
        unanswered = [
            b"",
            b"short",
            request(session, 5, 1) + b"x",
            request(b"ANOTHER   ", 5, 1),
            request(session, 999, 1),
        ]
        for wrong in unanswered:
            asker.sendto(wrong, SERVER)
        asker.sendto(request(session, 7, 1), SERVER)
        assert blocks(asker.recv(65536))[1:] == (7, 1, [messages[7]]), "the others got nothing"
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(65536)
        told = re_requests(relay)
    assert (told["requests"], told["answers"], told["strangers"]) == (12, 4, 3)
    assert (told["malformed"], told["unknown"]) == (3, 2)


def test_each_address_has_its_rate(tmp_path: Path) -> None:
    """100 a second, of which a tenth may come at once."""
    with (
        receiving("127.0.0.1", 30001) as app,
        relay_of(tmp_path, "moldudp64", answers="100 pps") as relay,
        receiving("127.0.0.1", 0) as asker,
    ):
        body = b"message"
        asker.sendto(request(b"TODAY     ", 1, 1) + struct.pack(">H", len(body)) + body, ("127.0.0.1", 20001))
        (session,), _, _ = collect(app, 1)
        for _ in range(2000):
            asker.sendto(request(session, 1, 1), SERVER)
        told = re_requests(relay)
        assert told["answers"] + told["limited"] == told["requests"]
        assert told["limited"] > 0
        assert told["answers"] >= 10
        for _ in range(told["answers"]):
            assert blocks(asker.recv(2048))[3] == [body]


def unit(stream: int, number: int, body: bytes) -> bytes:
    """As :func:`pitch`, of a unit of one's choice."""
    packet = bytearray(pitch(number, [body]))
    packet[3] = stream
    return bytes(packet)


def cme(number: int, body: bytes) -> bytes:
    """CME MDP 3.0, Binary Packet Header and one message; number 1 is a ChannelReset (template 4)."""
    message = struct.pack("<HHHHH", 10 + len(body), len(body), 4 if number == 1 else 46, 1, 9) + body
    return struct.pack("<IQ", number, 1_700_000_000_000_000_000) + message


def test_a_quiet_stream_says_so_while_others_are_busy(tmp_path: Path) -> None:
    with receiving("127.0.0.1", 30001) as app, relay_of(tmp_path, "pitch"), receiving("127.0.0.1", 0) as sender:
        line = ("127.0.0.1", 20001)
        sender.sendto(unit(1, 1, b"quiet"), line)
        quiet = blocks(app.recv(2048))[0]
        sender.sendto(unit(2, 1, b"busy"), line)
        while blocks(app.recv(2048))[3] != [b"\x06\x21busy"]:  # its start window is over
            pass
        for number in range(2, 100_000):  # these take many seconds
            sender.sendto(unit(2, number, b"busy"), line)
            session, next_number, count, _ = blocks(app.recv(2048))
            if session == quiet:
                break
            assert count > 0, "the busy one has nothing to say beside its messages"
        assert (session, next_number, count) == (quiet, 2, 0)


def test_heartbeats_of_the_exchange_do_not_stand_for_the_relays_own(tmp_path: Path) -> None:
    with receiving("127.0.0.1", 30001) as app, relay_of(tmp_path, "moldudp64"), receiving("127.0.0.1", 0) as sender:
        packet = request(b"TODAY     ", 1, 1) + struct.pack(">H", 3) + b"one"
        sender.sendto(packet, ("127.0.0.1", 20001))
        assert blocks(app.recv(2048))[1:3] == (1, 1)
        # One about every 0.6 s leaves to who gets the exchange's own datagrams; packed, it is nothing.
        app.settimeout(0.2)
        for _ in range(50):
            sender.sendto(request(b"TODAY     ", 2, 0), ("127.0.0.1", 20001))
            with contextlib.suppress(TimeoutError):
                beat = blocks(app.recv(2048))
                break
        assert beat[1:3] == (2, 0)


def test_who_subscribes_later_hears_where_the_session_is_now(tmp_path: Path) -> None:
    """The last one who gets packed sessions leaves, numbers go on and start anew, and another one comes."""
    with (
        receiving("127.0.0.1", 30001) as app,
        receiving("127.0.0.1", 30002) as other,
        relay_of(tmp_path, "moldudp64") as relay,
        receiving("127.0.0.1", 0) as sender,
    ):

        def send(session: bytes, number: int) -> None:
            packet = request(session, number, 1) + struct.pack(">H", 2) + b"ok"
            sender.sendto(packet, ("127.0.0.1", 20001))

        send(b"TODAY     ", 1)
        old = blocks(app.recv(2048))[0]
        to_other = {"feeds": {"quotes": {"main": "127.0.0.1:30002"}}}
        relay.reload(subscribers={"other": to_other})
        for number in range(2, 11):
            send(b"TODAY     ", number)
        for number in range(1, 6):
            send(b"EVENING   ", number)
        while b"EVENING" not in (packet := other.recv(2048)) or blocks(packet)[1] != 5:
            pass
        waiting(app)
        relay.reload(subscribers={"app": {"feeds": {"quotes": {"main": "127.0.0.1:30001"}}, "delivery": "mold"}})
        session, number, count, _ = blocks(app.recv(2048))
        assert (number, count) == (6, 0)
        assert session != old
        send(b"EVENING   ", 6)
        while (said := blocks(app.recv(2048)))[2] == 0:
            assert said[:2] == (session, 6)
        assert said[:3] == (session, 6, 1)


def test_a_relay_that_is_restarted_after_a_reset_goes_on_in_its_session(tmp_path: Path) -> None:
    """Twice: once while the numbers go on, and once so that they start anew meanwhile. A second relay hears it all."""
    journal = {"journal": {"directory": str(tmp_path / "journal")}}
    first = relay_of(tmp_path, "cme-mdp3")
    first.document |= journal
    behind = tmp_path / "behind"
    behind.mkdir()
    feed = {
        "protocol": "moldudp64",
        "hole-wait": "10ms",
        "lines": {"A": {"unicast": {"listen": {"main": "127.0.0.1:30001"}}}},
    }
    app = {"feeds": {"quotes": {"main": "127.0.0.1:30009"}}}
    second = RelayProcess(behind, {"feeds": {"quotes": feed}, "subscribers": {"app": app}})
    with receiving("127.0.0.1", 30009) as end, receiving("127.0.0.1", 0) as sender, second:

        def run(numbers: range) -> set[bytes]:
            """Sessions that bring all of these."""
            sessions, got, beats = set(), list[int](), 0
            for number in numbers:
                sender.sendto(cme(number, b"message"), ("127.0.0.1", 20001))
            while len(got) < len(numbers):
                session, at, _, found = blocks(end.recv(2048))
                got += range(at, at + len(found))
                sessions |= {session} if found else set()
                beats += not found
                assert beats < 10, f"only {got}"
            assert got == list(numbers)
            return sessions

        with first:
            before = run(range(1000, 1100))
            after_reset = run(range(1, 50))
            first.stop()
        with first:
            assert run(range(50, 80)) == after_reset, "it goes on"
            first.stop()
        with first:
            fresh = run(range(2, 40))
            first.stop()
        assert len(before | after_reset | fresh) == 3
        (stream,) = [one for one in second.counters()["streams"] if one["feed"] == "quotes"]
    assert stream["lost_messages"] == 0
    assert stream["lines"][0]["late"] == 0
    kept = json.loads((tmp_path / "journal" / "sessions.json").read_text())
    assert [(one["feed"], one["channel"], one["stream"], one["next"]) for one in kept["streams"]] == [("quotes", "main", 0, 40)]  # fmt: skip


@pytest.mark.parametrize("text", ["", "[]", '{"lanecast-sessions": 1, "streams": [{"feed": "quotes"}]}', "{" * 100_000])
def test_a_file_of_sessions_that_is_none_is_told_and_done_without(tmp_path: Path, text: str) -> None:
    directory = tmp_path / "journal"
    directory.mkdir()
    (directory / "sessions.json").write_text(text)
    relay = relay_of(tmp_path, "pitch")
    relay.document["journal"] = {"directory": str(directory)}
    with receiving("127.0.0.1", 30001) as app, relay, receiving("127.0.0.1", 0) as sender:
        sender.sendto(unit(1, 7, b"message"), ("127.0.0.1", 20001))
        assert blocks(app.recv(2048))[1:3] == (7, 1)
        relay.stop()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [one["event"] for one in log if one["level"] == "warning"] == ["sessions not read"]
    assert json.loads((directory / "sessions.json").read_text())["streams"][0]["next"] == 8


def re_requests(relay: RelayProcess) -> dict[str, Any]:
    told: dict[str, Any] = relay.counters()["streams"][0]["re_requests"]
    return told
