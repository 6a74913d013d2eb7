"""The native tool in private network namespaces: what it is given arrives, when it should, or is counted.

Three namespaces: A and B hold the inner halves of veths, the middle holds the outer halves and the wire between them.
The measured figures are in the properties of the tests and are printed with ``-rP``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wire_bench import (
    BINARY,
    DEADLINE_S,
    EXIT_REFUSED,
    IP_RECVTTL,
    MS,
    SMALL_BUFFER,
    SOL_UDP,
    TCP_MD5SIG,
    UDP_SEGMENT,
    Bench,
    Datagram,
    Namespace,
    Tool,
    percentile,
    read_output,
    read_record,
    until,
    write_schedule,
)

pytestmark = pytest.mark.lab


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    assert BINARY.is_file(), f"{BINARY} is missing: cargo build --release -p lanecast-wire"
    with contextlib.ExitStack() as stack:
        a, b, middle = (stack.enter_context(contextlib.closing(Namespace())) for _ in range(3))
        yield Bench(a, b, middle, tmp_path, stack)


def steady(count: int, rate: int, size: int = 300) -> list[Datagram]:
    """Numbered datagrams from A to B at one rate."""
    period_ns = 10**9 // rate
    return [
        Datagram(index * period_ns, "10.77.0.1", "10.77.0.2", 5000, struct.pack("<I", index).ljust(size, b"."))
        for index in range(count)
    ]


# What leaves and what arrives


def test_every_datagram_arrives_byte_for_byte_and_is_recorded(bench: Bench) -> None:
    bench.wires(1 * MS)
    bench.a.run("ip", "address", "add", "10.77.0.11/24", "dev", "eth0")
    membership = socket.inet_aton("239.1.2.3") + socket.inet_aton("10.77.0.2")
    member = bench.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bench.stack.callback(member.close)
    member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    receiver = bench.receiver(bench.b, "10.77.0.2:5000", "10.77.0.2:5001", "239.1.2.3:5000")
    sizes = [0, 1, 63, 64, 1471, 1472, 1473, 9000, 65_507]
    ways = [("10.77.0.2", 5000), ("10.77.0.2", 5001), ("239.1.2.3", 5000)]
    datagrams = [
        Datagram(index * 5 * MS, source, *way, os.urandom(size))
        for index, (size, way, source) in enumerate(
            (size, way, source) for size in sizes for way in ways for source in ("10.77.0.1", "10.77.0.11")
        )
    ]
    sender = bench.sender(bench.a, datagrams)
    summary = sender.summary()
    receiver.await_count("received", len(datagrams))
    figures = receiver.stop()

    assert (summary["sent"], summary["refused"], summary["errors"]) == (len(datagrams), 0, {})
    assert sender.said[0] == {"ready": True}
    step_ns = figures.pop("clock_step_ns")
    assert figures == {"received": len(datagrams), "kernel_drops": 0, "truncated": 0}
    assert max(step_ns, summary["clock_step_ns"]) < MS
    arrived = read_output(bench.arrived)
    assert sorted((one.port, one.payload) for one in arrived) == sorted((one.port, one.payload) for one in datagrams)
    start_ns, sent_ns = read_record(bench.sent)
    assert len(sent_ns) == len(datagrams)
    came_ns = {one.payload: one.time_ns for one in arrived}
    for due, left_ns in zip(datagrams, sent_ns, strict=True):
        assert left_ns >= start_ns + due.due_ns
        if len(due.payload) > 64:
            assert came_ns[due.payload] >= left_ns + 1 * MS


def test_multicast_leaves_with_a_time_to_live_of_16_and_is_not_looped_back(bench: Bench) -> None:
    bench.wires(0)
    for name in ("10.77.0.1", "10.77.0.2"):
        node = bench.a if name.endswith("1") else bench.b
        member = node.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bench.stack.callback(member.close)
        member.bind(("239.1.2.3", 5000))
        member.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.1.2.3") + socket.inet_aton(name)
        )
        member.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        if node is bench.a:
            own = member
    bench.sender(bench.a, [Datagram(0, "10.77.0.1", "239.1.2.3", 5000, b"x")]).summary()
    payload, ancillary, _, sender = member.recvmsg(10, 64)
    assert (payload, sender[0]) == (b"x", "10.77.0.1")
    assert [struct.unpack("i", data)[0] for _, _, data in ancillary] == [16]
    own.setblocking(False)
    with pytest.raises(BlockingIOError):
        own.recv(10)


def test_what_the_kernel_refuses_is_counted_and_recorded_as_0(bench: Bench) -> None:
    bench.wires(0)
    receiver = bench.receiver(bench.b, "10.77.0.2:5000")
    here, nowhere = steady(3, 1000), Datagram(MS, "10.77.0.1", "192.0.2.1", 5000, b"lost")
    summary = bench.sender(bench.a, [here[0], nowhere, *here[1:]]).summary()
    assert (summary["sent"], summary["refused"], summary["errors"]) == (3, 1, {"ENETUNREACH": 1})
    _, sent_ns = read_record(bench.sent)
    assert [left_ns == 0 for left_ns in sent_ns] == [False, True, False, False]
    receiver.await_count("received", 3)


def test_the_sender_tells_its_progress(bench: Bench) -> None:
    bench.wires(0)
    sender = bench.sender(bench.a, steady(1000, 1000))
    sender.summary()
    progress = [one["sent"] for one in sender.said[1:-1]]
    assert 3 <= len(progress) <= 6
    assert progress == sorted(progress)


# Stopping


def stopped_receiver(bench: Bench, listen: str, *prefix: str) -> Tool:
    """One that does not read until it is told to go on."""
    receiver = bench.receiver(bench.b, listen, prefix=prefix)
    receiver.process.send_signal(signal.SIGSTOP)
    until("stopped", lambda: "T (stopped)" in Path(f"/proc/{receiver.process.pid}/status").read_text())
    return receiver


def flood(bench: Bench, count: int, size: int) -> None:
    """Send datagrams inside B until its kernel has had them all."""
    one = bench.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bench.stack.callback(one.close)
    before = bench.b.delivered()
    for index in range(count):
        one.sendto(struct.pack("<I", index).ljust(size, b"."), ("127.0.0.1", 5000))
    until("delivered", lambda: bench.b.delivered() - before >= count)


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "end of input"])
def test_what_the_sockets_hold_is_written_before_the_end(bench: Bench, way: str) -> None:
    receiver = stopped_receiver(bench, "127.0.0.1:5000")
    flood(bench, 5000, 200)
    assert bench.arrived.stat().st_size <= 8
    if way == "end of input":
        assert receiver.process.stdin is not None
        receiver.process.stdin.close()
    else:
        receiver.process.send_signal(signal.Signals[way])
    receiver.process.send_signal(signal.SIGCONT)
    assert receiver.summary()["received"] == 5000
    assert [struct.unpack_from("<I", one.payload)[0] for one in read_output(bench.arrived)] == list(range(5000))


def test_drops_after_the_last_datagram_that_was_read_are_counted(bench: Bench) -> None:
    receiver = stopped_receiver(bench, "127.0.0.1:5000", *SMALL_BUFFER)
    flood(bench, 5000, 1000)
    receiver.process.send_signal(signal.SIGTERM)
    receiver.process.send_signal(signal.SIGCONT)
    figures = receiver.summary()
    assert 0 < figures["received"] < 5000
    assert figures["received"] + figures["kernel_drops"] == 5000
    assert len(read_output(bench.arrived)) == figures["received"]


def test_a_receiver_outlives_whoever_listened_to_its_progress(bench: Bench) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        bench.b.command(BINARY, "receive", "--listen", "127.0.0.1:5000", "--output", bench.arrived),
        stdin=subprocess.PIPE,
        stdout=writing,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    assert os.read(reading, 100) == b'{"ready":true}\n'
    os.close(reading)
    flood(bench, 100, 10)
    until("the flood is read", lambda: _waiting_bytes(bench.b, 5000) == 0)
    flood(bench, 100, 10)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == EXIT_REFUSED  # the summary could not be told
    assert process.stdin is not None
    process.stdin.close()
    assert len(read_output(bench.arrived)) == 200


def _waiting_bytes(where: Namespace, port: int) -> int:
    rows = Path(f"/proc/{where.pid}/net/udp").read_text().splitlines()[1:]
    fields = [row.split() for row in rows]
    return sum(int(row[4].partition(":")[2], 16) for row in fields if row[1].endswith(f":{port:04X}"))


# The wire


@pytest.mark.parametrize("rate", [10_000, 20_000])
@pytest.mark.parametrize("delay_ms", [2, 20])
def test_the_delay_got_is_the_delay_asked(
    bench: Bench, rate: int, delay_ms: int, record_property: Callable[[str, object], None]
) -> None:
    wire = bench.wires(delay_ms * MS)
    bench.resolve()
    receiver = bench.receiver(bench.b, "10.77.0.2:5000")
    datagrams = steady(2 * rate, rate)
    sender = bench.sender(bench.a, datagrams).summary()
    receiver.await_count("received", len(datagrams))
    assert receiver.stop()["kernel_drops"] == 0
    arrived = read_output(bench.arrived)
    assert [one.payload for one in arrived] == [one.payload for one in datagrams], "order or content"
    _, sent_ns = read_record(bench.sent)
    got_ns = [one.time_ns - left_ns for one, left_ns in zip(arrived, sent_ns, strict=True)]
    pair = wire.stop()["pairs"][0]
    figures = {f"got_p{percent}_us": percentile(got_ns, percent) // 1000 for percent in (50, 90, 99)}
    late = {f"sender_{name}": value for name, value in sender.items() if name.startswith("late")}
    for name, value in {**figures, **late, "wire_late_p99_ns": pair["late_p99_ns"]}.items():
        record_property(name, value)
        print(f"{rate} a second, {delay_ms} ms asked: {name} {value}")
    assert (pair["name"], pair["dropped"], pair["dropped_by"]) == ("wire0", 0, {})
    assert min(got_ns) >= delay_ms * MS, "a frame was released early"
    # Beyond the delay is only what the wire itself knows that it was late: on a busy machine that is more.
    assert percentile(got_ns, 50) < (delay_ms + 1) * MS + pair["late_p50_ns"]


def test_pairs_keep_their_own_delays(bench: Bench) -> None:
    wire = bench.wires(1 * MS, 30 * MS, 0)
    for index, delay_ms in enumerate((1, 30, 0)):
        round_trip_ns = min(echo(bench, f"10.77.{index}.2") for _ in range(10))
        assert 2 * delay_ms * MS <= round_trip_ns < (2 * delay_ms + 2) * MS
    assert [pair["name"] for pair in wire.stop()["pairs"]] == ["wire0", "wire1", "wire2"]


def echo(bench: Bench, address: str) -> int:
    """One ICMP echo from A, answered by B's kernel; nanoseconds."""
    with bench.a.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as one:
        request = struct.pack("!BBHHH", 8, 0, 0, 0x77, 1)
        total = sum(struct.unpack("!4H", request))
        request = request[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + request[4:]
        started_ns = time.monotonic_ns()
        one.sendto(request, (address, 0))
        while one.recv(100)[20] != 0:
            pass
        return time.monotonic_ns() - started_ns


def test_segmented_udp_crosses_as_single_datagrams(bench: Bench) -> None:
    wire = bench.wires(2 * MS)
    bench.resolve()
    one, other = bench.sockets(socket.SOCK_DGRAM)
    other.bind(("10.77.0.2", 5000))
    content = os.urandom(40 * 1400 + 100)
    one.setsockopt(SOL_UDP, UDP_SEGMENT, 1400)
    one.sendto(content, ("10.77.0.2", 5000))
    found = [other.recv(65_535) for _ in range(41)]
    assert found == [content[start : start + 1400] for start in range(0, len(content), 1400)]
    pair = wire.stop()["pairs"][0]
    assert pair["dropped"] == 0
    assert pair["frames"] >= 41


def test_a_super_frame_that_was_not_made_plain_is_counted(bench: Bench) -> None:
    arguments = bench.veths(0)
    wire = bench.tool(bench.middle, "delay", *arguments).await_ready()
    one, other = bench.sockets(socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK: without plain-offloads a checksum is left unfinished
    other.bind(("10.77.0.2", 5000))
    one.sendto(b"", ("10.77.0.2", 5000))
    other.recv(1)
    one.setsockopt(socket.SOL_SOCKET, 11, 0)
    one.setsockopt(SOL_UDP, UDP_SEGMENT, 1400)
    one.sendto(bytes(20_000), ("10.77.0.2", 5000))
    one.setsockopt(SOL_UDP, UDP_SEGMENT, 0)
    one.setsockopt(socket.SOL_SOCKET, 11, 1)
    one.sendto(b"", ("10.77.0.2", 5000))
    assert other.recv(65_535) == b""
    assert wire.stop()["pairs"][0]["dropped_by"] == {"oversized": 1}


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "md5"])
def test_tcp_crosses_in_bulk_both_ways(bench: Bench, signed: bool) -> None:
    wire = bench.wires(2 * MS)
    one, other = bench.sockets(socket.SOCK_STREAM)
    if signed:
        one.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key("10.77.0.2"))
        other.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key("10.77.0.1"))
    other.bind(("10.77.0.2", 179))
    other.listen()
    one.connect(("10.77.0.2", 179))
    served, _ = other.accept()
    bench.stack.callback(served.close)
    served.settimeout(DEADLINE_S)
    content = os.urandom(8 << 20)
    for source, sink in ((one, served), (served, one)):
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(source.sendall, content)
            found = bytearray()
            while len(found) < len(content):
                found += sink.recv(1 << 20)
            writing.result()
        assert found == content
    assert wire.stop()["pairs"][0]["dropped"] == 0


def md5_key(peer: str) -> bytes:
    """``struct tcp_md5sig``."""
    address = struct.pack("=HH4s120x", socket.AF_INET, 0, socket.inet_aton(peer))
    return address + struct.pack("=BBHi80s", 0, 0, 6, 0, b"secret")


def test_any_frame_crosses_unchanged(bench: Bench) -> None:
    wire = bench.wires(0)
    one, other = (
        bench.a.socket(socket.AF_PACKET, socket.SOCK_RAW),
        bench.b.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)),
    )
    for end in (one, other):
        bench.stack.callback(end.close)
        end.bind(("eth0", 3 if end is other else 0))
    for target in ("ffffffffffff", "01005e010203", "0180c2000000", "020304050607"):
        for kind in (0x0806, 0x88CC, 0x88B5, 0x0027):
            frame = bytes.fromhex(target) + bytes.fromhex("02aabbccddee") + struct.pack("!H", kind) + os.urandom(1500)
            one.send(frame)
            while (found := other.recv(2000))[6:12] != frame[6:12]:
                pass
            assert found == frame
    assert wire.stop()["pairs"][0]["dropped"] == 0


def test_a_wire_goes_on_after_an_interface_was_down(bench: Bench) -> None:
    wire = bench.wires(1 * MS, 1 * MS)
    bench.middle.run("ip", "link", "set", "outera0", "down")
    assert echo(bench, "10.77.1.2") > 2 * MS
    bench.middle.run("ip", "link", "set", "outera0", "up")
    assert echo(bench, "10.77.0.2") > 2 * MS
    bench.middle.run("ip", "link", "delete", "outera0")
    assert echo(bench, "10.77.1.2") > 2 * MS
    assert wire.process.poll() is None
    wire.stop()


def test_what_the_other_side_would_not_send_is_counted(bench: Bench) -> None:
    wire = bench.wires(0)
    bench.resolve()
    bench.middle.run("ip", "link", "set", "outerb0", "mtu", "1000")
    one, other = bench.sockets(socket.SOCK_DGRAM)
    other.bind(("10.77.0.2", 5000))
    for size in (1400, 900):
        one.sendto(bytes(size), ("10.77.0.2", 5000))
    assert len(other.recv(2000)) == 900
    assert wire.stop()["pairs"][0]["dropped_by"] == {"refused": 1}


def test_frames_that_the_kernel_dropped_before_the_wire_are_counted(bench: Bench) -> None:
    wire = bench.wires(0, prefix=SMALL_BUFFER)
    bench.resolve()
    receiver = bench.receiver(bench.b, "10.77.0.2:5000")
    last_in_b = bench.b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    last_in_a = bench.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for one in (last_in_a, last_in_b):
        bench.stack.callback(one.close)
    last_in_b.bind(("10.77.0.2", 5001))
    wire.process.send_signal(signal.SIGSTOP)
    bench.sender(bench.a, steady(5000, 100_000, size=1400)).summary()
    last_in_a.sendto(b"", ("10.77.0.2", 5001))  # the queue is full: this is lost as well
    wire.process.send_signal(signal.SIGCONT)
    lost = carry_one(last_in_a, last_in_b, ("10.77.0.2", 5001))
    arrived = receiver.stop()["received"]
    pair = wire.stop()["pairs"][0]
    assert 0 < arrived < 5000
    assert (pair["dropped_by"], pair["in_flight"]) == ({"kernel": 5000 - arrived + 1 + lost}, 0)


def carry_one(one: socket.socket, other: socket.socket, address: tuple[str, int]) -> int:
    """Send datagrams until one arrives, and with it all that were in front of it; how many were lost."""
    other.settimeout(0.2)
    for lost in range(int(DEADLINE_S / 0.2)):
        one.sendto(b"", address)
        with contextlib.suppress(TimeoutError):
            other.recv(1)
            return lost
    raise AssertionError("nothing arrives")


def test_frames_on_their_way_at_the_end_are_counted(bench: Bench) -> None:
    wire = bench.wires(60_000 * MS)
    one = bench.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bench.stack.callback(one.close)
    bench.a.run(*["ip", "neigh", "add", "10.77.0.2", "lladdr", "02:00:00:00:00:01", "dev", "eth0"])
    for _ in range(700):
        one.sendto(b"", ("10.77.0.2", 5000))
    pair = wire.stop()["pairs"][0]
    assert (pair["frames"], pair["dropped"], pair["in_flight"]) == (0, 0, 700)


def test_several_pairs_carry_20000_a_second_each(bench: Bench, record_property: Callable[[str, object], None]) -> None:
    wire = bench.wires(*[2 * MS] * 3)
    receiver = bench.receiver(bench.b, "0.0.0.0:5000")
    each = steady(20_000, 20_000)
    datagrams = [
        one._replace(source=f"10.77.{index}.1", destination=f"10.77.{index}.2") for one in each for index in range(3)
    ]
    for index in range(3):
        echo(bench, f"10.77.{index}.2")
    sender = bench.sender(bench.a, datagrams).summary()
    receiver.await_count("received", len(datagrams))
    for pair in wire.stop()["pairs"]:
        assert (pair["dropped"], pair["in_flight"]) == (0, 0)
        record_property(pair["name"], pair["late_p99_ns"])
        print(f"3 pairs, 20000 a second each: {pair}")
    print(f"sender: {sender}")


# Refusals


GOOD = Datagram(0, "127.0.0.1", "127.0.0.1", 5000, b"abc")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "does not start with LCSCHED1"),
        (b"LCSCHED2" + GOOD.pack(), "does not start with LCSCHED1"),
        (b"LCSCHED1" + GOOD.pack() + GOOD.pack()[:10], "offset 31 is cut off: the file ends at 41"),
        (b"LCSCHED1" + GOOD.pack()[:-1], "offset 8 is cut off: the file ends at 30"),
        (b"LCSCHED1" + GOOD._replace(due_ns=1).pack(), "offset 8, is due at 1 ns"),
        (
            b"LCSCHED1" + b"".join(GOOD._replace(due_ns=due_ns).pack() for due_ns in (0, 9, 8)),
            "offset 54 is due at 8 ns, before the one in front of it (9 ns)",
        ),
        (b"LCSCHED1" + GOOD._replace(source="192.0.2.1").pack(), "sending from 192.0.2.1: Cannot assign"),
    ],
    ids=["empty", "magic", "head cut off", "payload cut off", "origin", "order", "source"],
)
def test_a_schedule_that_cannot_be_sent_is_refused_whole(bench: Bench, content: bytes, says: str) -> None:
    schedule = bench.directory / "due"
    schedule.write_bytes(content)
    assert says in bench.a.refused("send", "--schedule", schedule, "--record", bench.sent)
    assert not bench.sent.exists()


def test_what_cannot_be_started_is_refused_by_name(bench: Bench) -> None:
    absent = bench.directory / "absent/file"
    schedule = write_schedule(bench.directory / "due", [GOOD])
    a, listen = bench.a, ("receive", "--listen", "127.0.0.1:5000", "--output")
    assert f"{absent}: No such file" in a.refused("send", "--schedule", absent, "--record", bench.sent)
    assert f"{absent}: No such file" in a.refused("send", "--schedule", schedule, "--record", absent)
    assert f"{absent}: No such file" in a.refused(*listen, absent)
    assert "listening on 192.0.2.1:5000: " in a.refused(
        "receive", "--listen", "192.0.2.1:5000", "--output", bench.arrived
    )
    twice = a.refused(*listen, bench.arrived, "--listen", "127.0.0.1:5000")
    assert "listening on 127.0.0.1:5000: Address already in use" in twice
    assert not bench.arrived.exists()
    assert "no interface is called absent" in a.refused("delay", "--pair", "w,lo,absent,1")
    assert "w: the interface lo is named twice" in a.refused("delay", "--pair", "w,lo,lo,1")
    assert "expected NAME,INTERFACE_A,INTERFACE_B,DELAY_NS" in a.refused("delay", "--pair", "w,lo,1")
    assert "absent: No such device" in a.refused("plain-offloads", "absent")


def test_plain_offloads_names_what_was_on(bench: Bench) -> None:
    bench.veths(0)
    first, second = (json.loads(bench.a.run(BINARY, "plain-offloads", "eth0")) for _ in range(2))
    assert first["interface"] == "eth0"
    assert {"tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-udp-segmentation"} <= set(first["off"])
    assert second == {"interface": "eth0", "off": []}
