"""Where the benchmark's files are, and its native tool, built when its sources changed."""

from __future__ import annotations

from pathlib import Path

from lanecast_bench.processes import run

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
BUILD = ROOT / "build" / "bench"
MIXES = BENCH / "mixes"
RESULTS = BENCH / "results"
UDPBENCH = BUILD / "udpbench"
LANECAST = ROOT / ".venv" / "bin" / "lanecast"
LANECAST_RELAY = ROOT / ".venv" / "bin" / "lanecast-relay"


def build_udpbench() -> None:
    """Build the sender, sink and reference relays; nothing happens while they are up to date."""
    run("make", "--silent", "-C", str(BENCH / "udpbench"), f"OUT={BUILD}")


def mix_file(name: str) -> Path:
    """The file of a size mix: one of ``bench/mixes`` by its name, or any path."""
    known = MIXES / f"{name}.txt"
    return known if known.exists() else Path(name)
