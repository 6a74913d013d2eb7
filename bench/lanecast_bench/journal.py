"""What replay is held to: its start in a day, and its pace."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from lanecast_bench import machine
from lanecast_bench.processes import DIE_WITH_PARENT, BenchError, run
from lanecast_bench.requirements import Requirements, verdict
from lanecast_bench.tools import LANECAST, ROOT

DATAGRAM_BYTES = 160
DAY_NS = 24 * 3600 * 10**9
DAY_DATAGRAMS = 5_000_000
DAY_START_NS = 1_700_006_400_000_000_000  # a midnight
PACE_PPS = 100_000
PACE_DATAGRAMS = 1_000_000
STARTS = 9
REPLAYS = 5
SMALL_SEGMENT_BYTES = 128 << 10
SMALL_DATAGRAMS = 1_000_000
"""Of these a day has thousands of segments, as a day at a high rate has of the usual size."""
STRETCH_DATAGRAMS = 50
MOST_COMMAND_S = 30

MOST_FIRST_MS, MOST_LATE_P99_MS = 100.0, 1.0


class Start(BaseModel):
    """How soon replays that began at random places of a day sent their first datagram. Milliseconds."""

    model_config = ConfigDict(frozen=True)
    journal: str
    begins: str
    command_ms: list[float]
    """From when the command was started, as a person starts it: Python and its modules take most of it."""
    own_ms: list[float]
    """From when it has read its arguments, as it says itself."""


class JournalRun(Requirements):
    """Times in milliseconds."""

    name: ClassVar[str] = "journal"

    day_datagrams: int
    day_bytes: int
    small_segments: int
    """How many segments the day has that was recorded in small ones."""
    starts: list[Start]
    pace_pps: int
    late_p50_ms: list[float]
    late_p99_ms: list[float]
    """How much later than due datagrams left, in each round."""

    @property
    def rows(self) -> list[list[str]]:
        """What was asked, what was measured, and the verdict."""
        late = median(self.late_p99_ms)
        pace = f"replay at {self.pace_pps:,} datagrams/s: p99 of lateness, median of {len(self.late_p99_ms)}, under"
        return [
            *(_start_row(start) for start in self.starts),
            [f"{pace} {MOST_LATE_P99_MS:g} ms", f"{late:.3f} ms", verdict(late < MOST_LATE_P99_MS)],
        ]


def _start_row(start: Start) -> list[str]:
    took = median(start.command_ms)
    asked = (
        f"`lanecast relay replay` of {start.journal}, from {start.begins}: first datagram within {MOST_FIRST_MS:g} ms"
        f" of the command's start, median of {len(start.command_ms)}"
    )
    measured = f"{took:.0f} ms, {median(start.own_ms):.1f} ms of them after Python's own start"
    return [asked, measured, verdict(took <= MOST_FIRST_MS)]


def measure(tell: Callable[[str], None]) -> JournalRun:
    """Measure everything once, below a temporary directory of about 3 GiB; ``tell`` hears what is under way."""
    started_at, here, recorder = datetime.now(UTC), machine.describe(), _build_recorder()
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lanecast-journal-", dir=ROOT / "build") as directory, _sink() as sink:
        root = Path(directory)
        tell("recording a day")
        day, small = root / "day", root / "small"
        _record_day(recorder, day, DAY_DATAGRAMS)
        _record_day(recorder, small, SMALL_DATAGRAMS, "--segment-bytes", SMALL_SEGMENT_BYTES)
        tell("replaying from moments and numbers of the day")
        day_bytes = sum(path.stat().st_size for path in day.iterdir())
        segments = len(list(small.glob("*.pcapng")))
        in_gib, in_segments = f"a day of {day_bytes / 2**30:.1f} GiB", f"a day of {segments:,} segments"
        starts = [*_starts(in_gib, day, sink, DAY_DATAGRAMS), *_starts(in_segments, small, sink, SMALL_DATAGRAMS)]
        shutil.rmtree(day)
        tell(f"replaying at {PACE_PPS:,} datagrams/s")
        paced = root / "paced"
        _record(recorder, paced, "--datagrams", PACE_DATAGRAMS, "--spacing-ns", 10**9 // PACE_PPS)
        replays = [_replay(paced, sink) for _ in range(REPLAYS)]
        return JournalRun(
            started_at=started_at,
            machine=here,
            day_datagrams=2 * DAY_DATAGRAMS,
            day_bytes=day_bytes,
            small_segments=segments,
            starts=starts,
            pace_pps=PACE_PPS,
            late_p50_ms=[each["late_p50_ns"] / 1e6 for each in replays],
            late_p99_ms=[each["late_p99_ns"] / 1e6 for each in replays],
        )


def _build_recorder() -> Path:
    run(
        *("cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", str(ROOT / "Cargo.toml")),
        *("-p", "lanecast-relay-journal", "--example", "record"),
    )
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "examples" / "record"


def _record(recorder: Path, journal: Path, *options: object) -> None:
    run(str(recorder), str(journal), "--patient", f"--bytes={DATAGRAM_BYTES}", *(str(each) for each in options))


def _record_day(recorder: Path, journal: Path, datagrams: int, *options: object) -> None:
    spaced = ("--datagrams", datagrams, "--spacing-ns", DAY_NS // datagrams, "--start-ns", DAY_START_NS)
    _record(recorder, journal, *spaced, *options)


@contextmanager
def _sink() -> Iterator[socket.socket]:
    """A socket of the loopback that takes everything; what finds no room in it is dropped there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(MOST_COMMAND_S)
        yield listening


def _replay_command(journal: Path, sink: socket.socket, *options: str) -> list[str]:
    address, port = sink.getsockname()
    to = f"{address}:{port}"
    return [str(LANECAST), "relay", "replay", str(journal), "--to-address", to, "--json", *options]


def _replay(journal: Path, sink: socket.socket) -> dict[str, float]:
    found: dict[str, float] = json.loads(run(*_replay_command(journal, sink)))
    return found


def _starts(named: str, journal: Path, sink: socket.socket, datagrams: int) -> list[Start]:
    """Replays of a few datagrams, from random moments of the day and from random numbers."""
    drawn = random.Random(1)
    numbers = [drawn.randrange(1, datagrams - STRETCH_DATAGRAMS) for _ in range(STARTS)]
    moments = {number: _moment(DAY_START_NS + (number - 1) * (DAY_NS // datagrams)) for number in numbers}
    measured = {
        "a moment": [_start_ms(journal, sink, moments[number], number) for number in numbers],
        "a number": [_start_ms(journal, sink, str(number), number) for number in numbers],
    }
    return [
        Start(
            journal=named,
            begins=begins,
            command_ms=[command for command, _ in found],
            own_ms=[own for _, own in found],
        )
        for begins, found in measured.items()
    ]


def _moment(time_ns: int) -> str:
    second = datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{second}.{time_ns % 10**9:09}Z"


def _start_ms(journal: Path, sink: socket.socket, begin: str, number: int) -> tuple[float, float]:
    """How soon after the command was started the first datagram came here, and how soon it left, as it says itself."""
    stretch = ("--from", begin, "--to", str(number + STRETCH_DATAGRAMS - 1), "--speed", "max")
    began_s = time.monotonic()
    command = [*DIE_WITH_PARENT, *_replay_command(journal, sink, *stretch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        sink.recv(DATAGRAM_BYTES)
        came_s = time.monotonic() - began_s
        said, _ = process.communicate()
    if process.returncode:
        raise BenchError(f"{' '.join(command)}: status {process.returncode}")
    for _ in range(STRETCH_DATAGRAMS - 1):
        sink.recv(DATAGRAM_BYTES)
    return came_s * 1000, json.loads(said)["first_datagram_ns"] / 1e6
