"""A relay that records: what its disk does costs no forwarding, and what is none of a line's is in nobody's past."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from journal_recorder import ROOT
from leasing import NEEDS_ROOT, mold, own_network, wait_until
from relay_process import RELAY, SESSION, RelayProcess, receiving, waiting
from scapy.layers.inet import IP
from scapy.utils import PcapNgReader

LINE = ("127.0.0.1", 20001)
SUBSCRIBER = ("127.0.0.1", 30001)
SERVER = ("127.0.0.1", 31001)
SOURCE = "127.0.0.2"
STRANGER = "127.0.0.3"
SEGMENT_BYTES = 2**20
BODY_BYTES = 1000
RELEASE_WITHIN_S = 20.0
"""How long a relay may take to let go of a deleted file; it does within about a second."""

UNIT = ROOT / "templates/lanecast_templates/linux/lanecast-relay.service.j2"


@pytest.fixture
def network() -> Iterator[None]:
    with own_network():
        yield


def relay_with(directory: Path, journal: dict[str, str], wrapper: list[str] | None = None) -> RelayProcess:
    """Takes what SOURCE sends; remembers next to nothing itself."""
    feed = {
        "protocol": "moldudp64",
        "re-requests": {"listen": {"main": "{}:{}".format(*SERVER)}, "memory": "4KiB", "answers": "100000 pps"},
        "lines": {"A": {"unicast": {"listen": {"main": "{}:{}".format(*LINE)}, "source": SOURCE}}},
    }
    subscribers = {"first": {"feeds": {"quotes": {"main": "{}:{}".format(*SUBSCRIBER)}}}}
    document = {"feeds": {"quotes": feed}, "subscribers": subscribers, "journal": journal}
    return RelayProcess(directory, document, wrapper or [])


@dataclass
class Forwarding:
    """Sends numbers, and sees that each one arrives before many more are sent."""

    sender: socket.socket
    receiver: socket.socket
    sent: int = 0

    def go_on(self, count: int) -> None:
        for first in range(self.sent + 1, self.sent + count + 1, 50):
            packets = [packet(number) for number in range(first, min(first + 50, self.sent + count + 1))]
            for one in packets:
                self.sender.sendto(one, LINE)
            assert [self.receiver.recv(2048) for _ in packets] == packets
        self.sent += count

    def go_on_until(self, relay: RelayProcess, reached: Any) -> dict[str, Any]:
        """Returns the journal's counters as they were then."""
        found: list[dict[str, Any]] = []

        def is_reached() -> bool:
            self.go_on(500)
            found.append(relay.counters()["journal"])
            return bool(reached(found[-1]))

        wait_until(is_reached)
        return found[-1]


@contextmanager
def forwarding() -> Iterator[Forwarding]:
    with receiving(*SUBSCRIBER) as receiver, receiving(SOURCE, 0) as sender:
        yield Forwarding(sender, receiver)


def packet(number: int) -> bytes:
    return mold(number, (b"message %d " % number).ljust(BODY_BYTES, b"."))


def asked_for(number: int) -> bytes:
    """What a subscriber gets that asks for one message."""
    with receiving("127.0.0.1", 0) as asker:
        asker.sendto(struct.pack(">10sQH", SESSION, number, 1), SERVER)
        return asker.recv(65536)


def on_own_disk(disk: Path, *prepare: str) -> list[str]:
    """What a command runs behind, to have a small file system in memory at ``disk`` that nobody else sees."""
    disk.mkdir()
    commands = [f"mount -t tmpfs -o size=3m tmpfs {disk}", *prepare, 'exec "$@"']
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", " && ".join(commands), "sh"]


def remount(relay: RelayProcess, disk: Path, options: str) -> None:
    assert relay.process is not None
    inside = ["nsenter", f"--mount=/proc/{relay.process.pid}/ns/mnt"]
    subprocess.run([*inside, "mount", "-o", f"remount,{options}", str(disk)], check=True)


def deleted_files(pid: int, below: Path) -> list[str]:
    """What a process holds open that has no name any more."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(descriptor.readlink()))
    return [path for path in found if path.startswith(str(below)) and path.endswith("(deleted)")]


@NEEDS_ROOT
@pytest.mark.usefixtures("network")
def test_what_a_stranger_sends_is_neither_recorded_nor_given_to_who_asks(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with (
        forwarding() as feed,
        receiving(STRANGER, 0) as stranger,
        relay_with(tmp_path, {"directory": str(journal)}) as it,
    ):
        feed.go_on(200)
        for number in range(1, 201):
            stranger.sendto(mold(number, b"forged".ljust(BODY_BYTES, b"!")), LINE)
        wait_until(lambda: it.counters()["streams"][0]["lines"][0]["filtered"] == 200)
        wait_until(lambda: it.counters()["journal"]["written"] >= 200)
        assert [asked_for(number) for number in (1, 5, 150)] == [packet(number) for number in (1, 5, 150)]
        final = it.stop()
    assert (final["journal"]["recorded"], final["journal"]["written"]) == (200, 200)
    assert final["streams"][0]["re_requests"]["answers_from_journal"] == 3
    (segment,) = journal.glob("*.pcapng")
    assert {one[IP].src for one in PcapNgReader(str(segment))} == {SOURCE}


@NEEDS_ROOT
@pytest.mark.usefixtures("network")
def test_a_full_disk_costs_no_forwarding(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    journal = {"directory": f"{disk}/journal", "segment": "1MiB", "size": "1GiB", "sync": "5ms"}
    with forwarding() as feed, relay_with(tmp_path, journal, on_own_disk(disk)) as relay:
        full = feed.go_on_until(relay, lambda it: it["failed"] > 1000)
        assert "failing since" in full["state"]
        assert "ENOSPC" in full["state"]
        assert full["written"] > 1000
        feed.go_on(2000)
        remount(relay, disk, "size=200m")
        feed.go_on_until(relay, lambda it: it["state"] == "writing" and it["written"] > full["written"] + 1000)
        final = relay.stop()
        assert waiting(feed.receiver) == []
    assert final["streams"][0]["lost_messages"] == 0
    assert final["subscribers"][0]["datagrams"] == feed.sent
    told = final["journal"]
    assert told["recorded"] == feed.sent == told["written"] + told["failed"]
    assert told["dropped"] == 0


@NEEDS_ROOT
@pytest.mark.usefixtures("network")
def test_a_disk_that_fails_at_the_start_costs_no_forwarding_and_is_used_once_it_works(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    read_only = on_own_disk(disk, f"mkdir {disk}/journal", f"mount -o remount,ro {disk}")
    journal = {"directory": f"{disk}/journal", "segment": "1MiB", "size": "4MiB", "sync": "5ms"}
    with forwarding() as feed, relay_with(tmp_path, journal, read_only) as relay:
        feed.go_on(1000)
        told = relay.counters()["journal"]
        assert "EROFS" in told["state"]
        assert told["errors"]["EROFS"] >= 1
        wait_until(lambda: relay.counters()["journal"]["failed"] == 1000)
        assert asked_for(1000) == packet(1000), "from memory"
        remount(relay, disk, "rw")
        feed.go_on_until(relay, lambda it: it["written"] > 0)
        final = relay.stop()
    assert final["subscribers"][0]["datagrams"] == feed.sent
    assert final["journal"]["state"] == "writing"
    assert final["journal"]["recorded"] == final["journal"]["written"] + final["journal"]["failed"]


@NEEDS_ROOT
@pytest.mark.usefixtures("network")
def test_the_past_holds_no_deleted_file_when_nobody_asks(tmp_path: Path) -> None:
    journal = {"directory": f"{tmp_path}/journal", "segment": "1MiB", "size": "4MiB", "sync": "5ms"}
    with forwarding() as feed, relay_with(tmp_path, journal) as relay:
        feed.go_on_until(relay, lambda it: it["written"] >= 500)
        assert asked_for(1) == packet(1), "from the segment that goes first"
        kept = feed.go_on_until(relay, lambda it: it["segments_opened"] > 8)
        assert kept["kept_bytes"] <= 4 * SEGMENT_BYTES
        assert relay.process is not None

        wait_until(lambda: not deleted_files(relay.process.pid, tmp_path), RELEASE_WITHIN_S)


def test_a_journal_that_another_relay_writes_is_a_mistake(tmp_path: Path) -> None:
    relay = relay_with(tmp_path, {"directory": f"{tmp_path}/journal"})
    relay.write()
    (tmp_path / "journal").mkdir()
    with (tmp_path / "journal/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [*RELAY, "run", str(relay.file)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert "another relay writes this journal" in result.stderr


def test_places_in_the_documents_are_such_as_the_unit_lets_the_relay_write() -> None:
    (state,) = re.findall(r"^StateDirectory=(.+)$", UNIT.read_text(), re.MULTILINE)
    documents = (ROOT / "relay/README.md", ROOT / "docs/leases.md", *(ROOT / "examples").rglob("*.yaml"))
    places = [place for path in documents for place in re.findall(r"/var/lib/[\w./-]+", path.read_text())]
    assert len(places) >= 4
    assert [place for place in places if not f"{place}/".startswith(f"/var/lib/{state}/")] == []
