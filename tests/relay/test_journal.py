"""Journals through the commands: shown, replayed to sockets and to another relay, and read by readers that are not ours."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journal_recorder import GROUPS, ROOT, SOURCE, START_NS, build_recorder, datagram, record
from replaying import RELAY, address, listening, received, replay
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgReader

from lanecast.compiler.journals import OVERHEAD_BYTES
from lanecast_relay.config.document import DocumentError, load_document, validate
from lanecast_relay.config.model import RelayFile
from lanecast_relay.config.quantity import DURATION
from lanecast_relay.engine import engine_configuration

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a namespace")


@pytest.fixture(scope="module")
def recorder() -> Path:
    return build_recorder()


@pytest.fixture(scope="module")
def journal(recorder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2000 numbers, 100 µs apart; line A lacks 1, 11, 21, …, line B 2, 12, 22, … and has the rest 1 µs later."""
    directory = tmp_path_factory.mktemp("journal")
    options = {"datagrams": 2000, "spacing_ns": 100_000, "lose_every": 10, "segment_bytes": 2**17, "bytes": 160}
    counters = record(recorder, directory, **options)
    assert (counters["recorded"], counters["written"]) == (3600, 3600)
    return directory


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    yield from listening()


def on_line(name: str, numbers: range = range(1, 2001)) -> list[bytes]:
    lost = {"A": 1, "B": 2}[name]
    return [datagram(number) for number in numbers if number % 10 != lost]


def test_readers_that_are_not_ours_read_every_segment(journal: Path) -> None:
    seen: dict[str, list[bytes]] = {group: [] for group in GROUPS.values()}
    times = []
    segments = sorted(journal.glob("*.pcapng"))
    assert len(segments) > 3
    for segment in segments:
        for packet in PcapNgReader(str(segment)):
            sound = Ether(bytes(packet))
            del sound[IP].chksum
            assert Ether(bytes(sound))[IP].chksum == packet[IP].chksum
            assert (packet[IP].src, packet[UDP].sport, packet[UDP].dport) == (SOURCE, 31001, 20001)
            assert packet[Ether].dst == f"01:00:5e:0a:0{packet[IP].dst.split('.')[2]}:01"
            assert packet[UDP].len == 8 + 160
            seen[packet[IP].dst].append(bytes(packet[UDP].payload))
            times.append(packet.time)
        dumped = subprocess.run(["tcpdump", "-nr", segment], capture_output=True, text=True, check=True)
        assert dumped.stdout.count("UDP, length 160") == dumped.stdout.count("\n")
    assert {name: seen[group] == on_line(name) for name, group in GROUPS.items()} == {"A": True, "B": True}
    nanoseconds = sorted(int(time * 10**9) for time in times)
    expected = [
        START_NS + index * 100_000 + (1000 if line else 0)
        for index in range(2000)
        for line in (0, 1)
        if (index + 1) % 10 != line + 1
    ]
    assert nanoseconds == expected


WIRESHARK_FIELDS = ("frame.time_epoch", "frame.interface_name", "ip.checksum.status", "_ws.malformed", "udp.payload")


def test_wireshark_reads_every_segment(journal: Path) -> None:
    seen: dict[str, list[bytes]] = {"A": [], "B": []}
    for segment in sorted(journal.glob("*.pcapng")):
        fields = [word for field in WIRESHARK_FIELDS for word in ("-e", field)]
        # What is in the datagrams it would guess at.
        reading = ["-r", str(segment), "-d", "udp.port==20001,data", "-o", "ip.check_checksum:TRUE"]
        command = ["tshark", *reading, "-T", "fields", *fields]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for row in shown.splitlines():
            time, interface, checksum, malformed, payload = row.split("\t")
            feed, channel, line = interface.split("/")
            number = int.from_bytes(bytes.fromhex(payload)[10:18], "big")
            nanoseconds = (number - 1) * 100_000 + (1000 if line == "B" else 0)
            assert (feed, channel, checksum, malformed) == ("quotes", "main", "1", "")
            assert time == f"{START_NS // 10**9}.{nanoseconds:09d}"
            seen[line].append(bytes.fromhex(payload))
    assert {line: payloads == on_line(line) for line, payloads in seen.items()} == {"A": True, "B": True}


TCPREPLAY_SCRIPT = r"""
import json, socket, subprocess, sys
listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
listener.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE, socket(7)
listener.bind(("wan", 0x0800))
listener.settimeout(20)
subprocess.run(["tcpreplay", "--quiet", "--topspeed", "--intf1=out", *sys.argv[2:]], check=True, capture_output=True)
print(json.dumps([listener.recv(65536).hex() for _ in range(int(sys.argv[1]))]))
"""


@NEEDS_ROOT
def test_tcpreplay_sends_every_segment(journal: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(TCPREPLAY_SCRIPT)
    prepare = "ip link add out type veth peer name wan && ip link set out up && ip link set wan up && exec "
    segments = [str(segment) for segment in sorted(journal.glob("*.pcapng"))]
    inner = ["unshare", "--net", "sh", "-c", f'{prepare} "$@"', "sh", sys.executable, str(script), "3600", *segments]
    result = subprocess.run(inner, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    frames = [Ether(bytes.fromhex(frame)) for frame in json.loads(result.stdout)]
    for name, group in GROUPS.items():
        assert [bytes(frame[UDP].payload) for frame in frames if frame[IP].dst == group] == on_line(name)


def test_a_subscriber_gets_each_message_once_in_order_with_its_spacing(
    journal: Path, sockets: list[socket.socket]
) -> None:
    summary = replay(journal, "--to-address", address(sockets[0]), "--speed", "2x")
    assert received(sockets[0], 2000) == [datagram(number) for number in range(1, 2001)]
    assert (summary["datagrams"], summary["bytes"], summary["lost_messages"]) == (2000, 320_000, 0)
    # Line B alone has number 1, a microsecond later.
    assert summary["elapsed_ns"] >= (1999 * 100_000 - 1000) / 2
    assert summary["first_datagram_ns"] > 0
    assert summary["late_max_ns"] >= summary["late_p99_ns"] >= summary["late_p50_ns"]


def test_each_line_goes_to_its_own_address_as_it_was(journal: Path, sockets: list[socket.socket]) -> None:
    to_a, to_b = (address(listener) for listener in sockets)
    replay(journal, "--line", f"A={to_a}", "--line", f"B/main={to_b}", "--speed", "max")
    assert received(sockets[0], 1800) == on_line("A")
    assert received(sockets[1], 1800) == on_line("B")


def test_one_line_alone_has_the_holes_that_it_had(journal: Path, sockets: list[socket.socket]) -> None:
    summary = replay(journal, "--line", "B", "--to-address", f"main={address(sockets[0])}", "--speed", "max")
    assert received(sockets[0], 1800) == on_line("B")
    assert (summary["late_p99_ns"], summary["speed"]) == (0, None)


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("1001", "1500", 1001, 1500),  # 1001 is on line B alone
        ("1002", None, 1002, 2000),  # 1002 is on line A alone
        (None, "12", 1, 12),
        ("22:13:20.1", "22:13:20.1499", 1001, 1500),
        ("2023-11-14T22:13:20.1Z", "2023-11-14T23:13:20.149900+01:00", 1001, 1500),
        ("2023-11-14 22:13:20.1", "1500", 1001, 1500),
        ("22:13:20.199900000", None, 2000, 2000),
    ],
)
def test_from_and_to_are_times_or_numbers(
    journal: Path, sockets: list[socket.socket], start: str | None, end: str | None, first: int, last: int
) -> None:
    options = [f"--from={start}"] * (start is not None) + [f"--to={end}"] * (end is not None)
    replay(journal, "--to-address", address(sockets[0]), "--speed", "max", *options)
    assert received(sockets[0], last - first + 1) == [datagram(number) for number in range(first, last + 1)]


REFUSED = [
    (["--to-address", "10.0.0.1:1", "--feed", "trades"], "--feed: expected one of quotes"),
    (["--to-address", "10.0.0.1:1", "--channel", "310"], "--channel 310: not recorded for feed quotes; it has main"),
    (["--to-address", "10.0.0.1:1", "--line", "C"], "--line C: not recorded; there is A, B"),
    (["--to-address", "10.0.0.1:1", "--line", "A", "--line", "B"], "several lines to one address"),
    (["--to-address", "10.0.0.1:1", "--line", "A=10.0.0.1:2"], "give every --line one, and no --to-address"),
    (["--to-address", "10.0.0.1:1", "--to-address", "10.0.0.2:1"], "channel main has two addresses"),
    (["--to-address", "10.0.0.1"], "--to-address 10.0.0.1: expected address:port"),
    (["--to-address", "other=10.0.0.1:1"], "channel other is not among main"),
    ([], "where to? --to-address ADDRESS:PORT"),
    (
        ["--to-address", "10.0.0.1:1", "--from", "2001"],
        "--from 2001: not recorded in channel main, stream 0; recorded is stream 0: 1 to 2000",
    ),
    (["--to-address", "10.0.0.1:1", "--stream", "7", "--to", "5"], "--to 5: not recorded in channel main, stream 7"),
    (["--to-address", "10.0.0.1:1", "--from", "25:00:00"], "expected a time such as"),
    (["--to-address", "10.0.0.1:1", "--from", "yesterday"], "--from yesterday: expected a time such as"),
    (
        ["--to-address", "10.0.0.1:1", "--from", "2024-01-01T00:00:00Z"],
        "nothing was recorded then; the journal has 2023-11-14T22:13:20.000001000Z to",
    ),
    (["--to-address", "10.0.0.1:1", "--from", "500", "--to", "400"], "--to 400: nothing lies between --from and that"),
    (["--to-address", "10.0.0.1:1", "--speed", "0"], "--speed 0: expected a factor"),
    (["--to-address", "10.0.0.1:1", "--hole-wait", "20"], "--hole-wait 20: expected a duration"),
    (["--to-address", "10.0.0.1:1", "--interface", "nowhere0"], "interface nowhere0"),
]


@pytest.mark.parametrize(("options", "expected"), REFUSED)
def test_what_has_no_one_meaning_is_refused_with_what_there_is(
    journal: Path, options: list[str], expected: str
) -> None:
    result = subprocess.run([*RELAY, "replay", str(journal), *options], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    for command in (["journal", "show", str(tmp_path / "none")], ["replay", str(tmp_path / "none")]):
        result = subprocess.run([*RELAY, *command], capture_output=True, text=True, check=False)
        assert result.returncode == 2
        assert "No such file or directory" in result.stderr
    result = subprocess.run([*RELAY, "replay", str(tmp_path)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, f"{tmp_path}: nothing is recorded there\n")


def test_a_replay_ends_where_it_is_stopped(journal: Path, sockets: list[socket.socket]) -> None:
    options = ["--to-address", address(sockets[0]), "--speed", "0.001", "--json"]
    process = subprocess.Popen([*RELAY, "replay", str(journal), *options], stdout=subprocess.PIPE, text=True)
    first = [sockets[0].recv(65535) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    summary = json.loads(out)
    assert first == [datagram(number) for number in (1, 2, 3)]
    assert (process.returncode, summary["stopped"]) == (1, True)
    assert 3 <= summary["datagrams"] < 2000


SECOND_SITE = """
lanecast-relay: 1
name: second-site
feeds:
  quotes:
    protocol: moldudp64
    lines:
      A: {{unicast: {{listen: {{main: "127.0.0.1:{a}"}}}}}}
      B: {{unicast: {{listen: {{main: "127.0.0.1:{b}"}}}}}}
subscribers:
  first: {{feeds: {{quotes: {{main: "{to}"}}}}}}
"""


def free_ports(count: int) -> list[int]:
    opened = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for one in opened:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in opened]
    for one in opened:
        one.close()
    return ports


def test_a_site_recovers_by_replaying_each_line_into_another_relay(
    journal: Path, sockets: list[socket.socket], tmp_path: Path
) -> None:
    a, b = free_ports(2)
    file = tmp_path / "relay.yaml"
    file.write_text(SECOND_SITE.format(a=a, b=b, to=address(sockets[0])))
    process = subprocess.Popen([*RELAY, "run", str(file), "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] is True
        replay(journal, "--line", f"A=127.0.0.1:{a}", "--line", f"B=127.0.0.1:{b}")
        got = [sockets[0].recv(65535) for _ in range(2000)]
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=20)
    assert got == [datagram(number) for number in range(1, 2001)]
    (stream,) = json.loads(out.splitlines()[-1])["streams"]
    assert stream["lost_messages"] == 0


GROUP_SCRIPT = r"""
import socket, struct, subprocess, sys
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("239.9.9.9", 30001))
interface = struct.pack("4s4sI", socket.inet_aton("239.9.9.9"), b"\0" * 4, socket.if_nametoindex("wan"))
receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, interface)
receiver.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
receiver.settimeout(20)
out = subprocess.check_output(sys.argv[1].split("\x1f"), text=True)
hops = set()
for _ in range(3):
    _, control, _, _ = receiver.recvmsg(2048, 64)
    hops.add(control[0][2][0])
print(sorted(hops))
"""


@NEEDS_ROOT
def test_a_group_is_sent_to_by_an_interface_over_some_hops(journal: Path, tmp_path: Path) -> None:
    prepare = (
        "ip link add tap type veth peer name wan && ip address add 192.0.2.1/24 dev tap && ip link set tap up && "
        "ip address add 192.0.2.2/24 dev wan && ip link set wan up && "
        "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wan.rp_filter=0 net.ipv4.conf.wan.accept_local=1 "
        "net.ipv4.conf.all.accept_local=1 && exec "
    )
    script = tmp_path / "script.py"
    script.write_text(GROUP_SCRIPT)
    options = ["--to-address", "239.9.9.9:30001", "--interface", "tap", "--ttl", "5", "--to", "3", "--json"]
    command = "\x1f".join([*RELAY, "replay", str(journal), *options])
    inner = ["unshare", "--net", "sh", "-c", f'{prepare} "$@"', "sh", sys.executable, str(script), command]
    result = subprocess.run(inner, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (0, "[5]\n"), result.stderr


def show(journal: Path) -> tuple[dict[str, Any], str]:
    command = [*RELAY, "journal", "show", str(journal)]
    report = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(report), table


def test_show_tells_segments_lines_and_numbers(journal: Path) -> None:
    report, table = show(journal)
    assert sum(segment["datagrams"] for segment in report["segments"]) == 3600
    assert {segment["state"] for segment in report["segments"]} == {"closed"}
    by_line = {line["line"]: line for line in report["lines"]}
    assert by_line["A"]["streams"] == [
        {"stream": 0, "epoch": b"SESSION001".hex(), "lowest": 2, "highest": 2000, "datagrams": 1800}
    ]
    assert by_line["B"]["streams"][0]["lowest"] == 1
    assert "nothing is known to be missing" in table


def test_show_tells_what_a_killed_writer_may_have_lost(recorder: Path, tmp_path: Path) -> None:
    options = ["--datagrams=100000000", "--rate=20000", "--tell", "--sync-interval-ns=7000000"]
    process = subprocess.Popen([recorder, tmp_path, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    synced = 0
    while synced == 0:
        synced = json.loads(process.stdout.readline())["synced"]
    report, _ = show(tmp_path)
    assert report["is_written"] is True
    assert [segment["state"] for segment in report["segments"]] == ["open"]
    process.kill()
    process.communicate()
    report, table = show(tmp_path)
    (segment,) = report["segments"]
    assert (report["is_written"], segment["state"]) == (False, "torn")
    missing_ns = segment["missing_at_most_ns"]
    assert missing_ns > 7_000_000, "the interval, and by how much a sync was late"
    assert segment["datagrams"] >= 2 * synced
    assert f"up to {DURATION.write(missing_ns)} is missing" in table
    record(recorder, tmp_path, datagrams=10)
    report, table = show(tmp_path)
    assert [one["state"] for one in report["segments"]] == ["recovered", "closed"]
    recovered = report["segments"][0]
    assert (recovered["datagrams"], recovered["missing_at_most_ns"]) == (segment["datagrams"], missing_ns)
    assert f"up to {DURATION.write(missing_ns)} is missing" in table


FULL_DISK_SCRIPT = r"""
import json, subprocess, sys
recorder, mount = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", mount], check=True)
process = subprocess.Popen([recorder, mount + "/journal", "--datagrams=1000000000", "--rate=20000", "--tell",
                            "--segment-bytes=1048576", "--max-bytes=1000000000", "--sync-interval-ns=5000000"],
                           stdout=subprocess.PIPE, text=True)
def until(reached):
    for line in process.stdout:
        told = json.loads(line)
        if reached(told["counters"]):
            return told
    raise SystemExit("the recorder ended")
full = until(lambda it: it["errors"].get("ENOSPC") and it["failed"] > 1000)
recorded = full["recorded"]
later = until(lambda it: it["failed"] > full["counters"]["failed"] + 1000)
subprocess.run(["mount", "-o", "remount,size=200m", mount], check=True)
good = until(lambda it: it["state"] == "writing" and it["written"] > later["counters"]["written"] + 1000)
process.terminate()
process.wait()
print(json.dumps({"full": full, "later": later, "good": good}))
out = subprocess.check_output([sys.executable, "-m", "lanecast_relay.cli", "journal", "show", mount + "/journal",
                               "--json"], text=True)
print(out)
"""


@NEEDS_ROOT
def test_a_full_disk_is_told_and_recording_goes_on_when_there_is_room(recorder: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    script = tmp_path / "script.py"
    script.write_text(FULL_DISK_SCRIPT)
    command = ["unshare", "--mount", sys.executable, str(script), str(recorder), str(tmp_path / "disk")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    told, report = (json.loads(line) for line in result.stdout.splitlines() if line.startswith("{"))
    assert "failing since" in told["full"]["counters"]["state"]
    assert "ENOSPC" in told["full"]["counters"]["state"]
    for counters in (told[name]["counters"] for name in ("full", "later", "good")):
        # What is on its way to the disk is at most what the queue holds; nothing was dropped for want of room in it.
        assert counters["recorded"] >= counters["written"] + counters["failed"]
        assert counters["dropped"] == 0
    assert told["later"]["recorded"] > told["full"]["recorded"]  # recording cost nothing meanwhile
    assert sum(segment["datagrams"] for segment in report["segments"]) >= told["good"]["counters"]["written"]
    # Of each segment that the disk cut short it is said, and what is missing between them to the datagram.
    *before, _ = report["segments"]
    cut_short = [segment for segment in before if segment["state"] != "closed"]
    assert cut_short
    assert {segment["state"] for segment in cut_short} <= {"failed", "torn"}
    assert all(segment["missing_at_most_ns"] > 0 for segment in cut_short)
    unrecorded = sum(segment["unrecorded_datagrams"] for segment in report["segments"])
    streams = [stream for line in report["lines"] for stream in line["streams"]]
    holes = sum(stream["highest"] - stream["lowest"] + 1 - stream["datagrams"] for stream in streams)
    assert holes == unrecorded >= told["later"]["counters"]["failed"]


def test_memory_after_a_thousand_segments_is_that_after_ten(recorder: Path, tmp_path: Path) -> None:
    options = [
        "--datagrams=1200000",
        "--segment-bytes=262144",
        "--max-bytes=4194304",
        "--queue-bytes=4194304",
        "--tell",
    ]
    out = subprocess.run([recorder, tmp_path, *options, "--patient"], capture_output=True, text=True, check=True).stdout
    told = [json.loads(line) for line in out.splitlines()]
    ten, thousand = (
        next(one["resident_kib"] for one in told if one["counters"]["segments_opened"] >= count) for count in (10, 1000)
    )
    assert abs(thousand - ten) <= ten * 0.05
    assert told[-1]["counters"]["kept_bytes"] <= 4194304


JOURNALED = """
lanecast-relay: 1
name: journaled
feeds: {quotes: {protocol: moldudp64, lines: {A: {unicast: {listen: {main: "127.0.0.1:20001"}}}}}}
journal: %s
"""


def read_file(tmp_path: Path, journal: str) -> RelayFile:
    file = tmp_path / "relay.yaml"
    file.write_text(JOURNALED % journal)
    return validate(RelayFile, load_document(file))


def test_the_file_says_where_and_how_much(tmp_path: Path) -> None:
    relay = read_file(tmp_path, "{directory: /var/lib/lanecast-relay/journal, keep: 1h, sync: 50ms}")
    assert engine_configuration(relay)["journal"] == {
        "directory": "/var/lib/lanecast-relay/journal",
        "max_bytes": 10 * 2**30,
        "max_age_ns": 3600 * 10**9,
        "segment_bytes": 64 * 2**20,
        "sync_interval_ns": 50_000_000,
        "queue_bytes": 64 * 2**20,
    }


def test_every_mistake_of_a_journal_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as raised:
        read_file(tmp_path, "{directory: here, keep: 1ms, segment: 1kB, sync: 2min, queue: 1B, ages: 2}")
    text = "\n".join(str(problem) for problem in raised.value.problems)
    for place, expected in (
        ("journal.directory", ""),
        ("journal.keep", "expected from 1s to 8784h"),
        ("journal.segment", "expected from 1MiB to 4GiB"),
        ("journal.sync", "expected from 1ms to 60s"),
        ("journal.queue", "expected from 1MiB to 4GiB"),
        ("journal.ages", ""),
    ):
        assert f":5: {place}: " in text, text
        assert expected in text
    with pytest.raises(DocumentError) as raised:
        read_file(tmp_path, "{directory: /var/lib/journal, size: 100MiB}")
    assert "expected room for 4 segments" in str(raised.value.problems[0])


def test_a_datagram_takes_no_more_room_than_plans_reckon_with(recorder: Path, tmp_path: Path) -> None:
    sizes = {}
    for size in (60, 600):
        counters = record(recorder, tmp_path / str(size), datagrams=20_000, bytes=size, spacing_ns=1000)
        assert counters["written"] == 40_000
        sizes[size] = counters["kept_bytes"] / counters["written"] - size
    assert all(0 < overhead <= OVERHEAD_BYTES for overhead in sizes.values()), sizes
