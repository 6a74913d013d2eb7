"""A plan's `journal` reaches the relay's file, with room for as long as it says at the feeds' peak."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_relay.config.document import DocumentError
from lanecast_relay.config.model import Journal

EXAMPLE = Path(__file__).parent.parent.parent / "examples/itch-recovery.yaml"


def journals(folder: Path, keep: str | None) -> dict[str, Journal | None]:
    """Each relay host's journal, when the first relay of the site asks for one."""
    plan = yaml.safe_load(EXAMPLE.read_text())
    relay = plan["sites"]["gz1"]["relays"]["gz1-relay-1"]
    relay.pop("journal", None)
    if keep is not None:
        relay["journal"] = keep
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan))
    hosts = compile_plan(load_plan(path), {}).hosts
    return {host.name: host.relay.journal for host in hosts if host.relay is not None}


def test_only_who_asks_has_one(tmp_path: Path) -> None:
    assert set(journals(tmp_path, None).values()) == {None}
    kept = journals(tmp_path, "2h")
    assert {name for name, journal in kept.items() if journal is not None} == {"gz1-relay-1"}


@pytest.mark.parametrize(("keep", "seconds"), [("1s", 1), ("15min", 900), ("24h", 86400)])
def test_it_holds_that_long_at_the_peak(tmp_path: Path, keep: str, seconds: int) -> None:
    journal = journals(tmp_path, keep)["gz1-relay-1"]
    assert journal is not None
    assert journal.keep_ns == seconds * 10**9
    assert journal.directory.startswith("/var/lib/lanecast-relay/"), "the unit's StateDirectory"
    payload = seconds * 2 * (500 * 500 + 500 * 300)  # packets a second and bytes of both feeds, on two lines
    assert payload + 2 * journal.segment_bytes < journal.size_bytes < 2 * payload + 4 * journal.segment_bytes + 2**20


def test_a_time_that_no_journal_has_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"gz1-relay-1\.journal: .*from 1s to 8784h"):
        journals(tmp_path, "9000h")
