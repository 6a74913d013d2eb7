"""The hardening table: each row on each platform is present, not applicable, or not supported and refused.

What is present is found by the platform's reader in the text of a plan that asks for everything; what is refused is refused
with a mistake. docs/hardening.md is written from this; ``LANECAST_UPDATE_GOLDEN=1`` writes it anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from platform_plans import compiled, everything, rendered
from test_hardening import DOCUMENT, ROWS, Row, Status

from lanecast.plan.model import Platform
from lanecast.platforms import FACTS, Duty, Feature
from lanecast_relay.config.document import DocumentError
from lanecast_templates.readers import READERS
from lanecast_templates.readers.facts import Facts
from lanecast_templates.router_templates import router_templates

BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"


@dataclass(frozen=True)
class Shown:
    """How a row of the table is seen in what a reader found."""

    found: Callable[[Facts], object]
    duties: tuple[Duty, ...] = ()
    """What of it another part may do."""
    feature: Feature | None = None
    """What a plan asks for; a platform that lacks it refuses the plan."""


def every_neighbor(holds: Callable[..., object]) -> Callable[[Facts], bool]:
    return lambda facts: bool(facts.neighbors) and all(holds(neighbor) for neighbor in facts.neighbors)


SHOWN = {
    "PIM only where needed": Shown(lambda facts: any(pim.passive for pim in facts.pim), (Duty.PIM_PASSIVE,)),
    "allowed PIM neighbours": Shown(lambda facts: any(pim.neighbors for pim in facts.pim), (Duty.PIM_NEIGHBORS,)),
    "SSM": Shown(lambda facts: facts.ssm_ranges),
    "register filter at a rendezvous point": Shown(
        lambda facts: any(point.register_sources == frozenset() for point in facts.rendezvous_points),
        (Duty.REGISTER_FILTER,),
        Feature.MSDP,
    ),
    "join filter, boundary": Shown(lambda facts: facts.boundaries, (Duty.BOUNDARY,)),
    "IGMP filter and limits": Shown(
        lambda facts: all(igmp.groups and igmp.maximum_groups for igmp in facts.igmp) and facts.igmp,
        (Duty.IGMP_GROUPS, Duty.IGMP_LIMIT),
    ),
    "MSDP password, filter, limit": Shown(
        lambda facts: any(peer.authenticated and peer.sources and peer.maximum_active_sources for peer in facts.msdp),
        (Duty.MSDP_FILTER, Duty.MSDP_AUTHENTICATION),
        Feature.MSDP,
    ),
    "BGP authentication": Shown(
        lambda facts: any(neighbor.authentication for neighbor in facts.neighbors), (), Feature.PASSWORD
    ),
    "TCP-AO": Shown(lambda facts: any(n.authentication == "tcp-ao" for n in facts.neighbors), (), Feature.TCP_AO),
    "GTSM": Shown(every_neighbor(lambda neighbor: neighbor.gtsm), (Duty.GTSM,)),
    "BGP policy": Shown(
        every_neighbor(lambda neighbor: neighbor.accept and neighbor.accept_paths_of and neighbor.maximum_prefixes),
        (Duty.AS_PATHS, Duty.MAXIMUM_PREFIXES, Duty.FIRST_AS),
    ),
    "BFD": Shown(lambda facts: facts.bfd, (), Feature.BFD),
    "control plane": Shown(lambda facts: facts.control_plane and facts.access, (Duty.CONTROL_PLANE, Duty.ACCESS_LISTS)),
    "reverse path": Shown(lambda facts: facts.reverse_path, (Duty.REVERSE_PATH,)),
    "housekeeping": Shown(lambda facts: facts.no_redirects, (Duty.NO_REDIRECTS,)),
    "unused interfaces shut": Shown(lambda facts: facts.shut, (), Feature.UNUSED_PORTS),
}
"""By row; the rows that are not here are of Linux boxes, or tested by test_platforms.py (secrets)."""

OF_LINUX_BOXES = ("memberships",)
TESTED_FOR_EVERY_PLATFORM = ("secrets",)
PLATFORMS = sorted(Platform, key=lambda platform: platform.value)


@cache
def found(platform: Platform, folder: Path) -> tuple[Facts, ...]:
    """What the platform's reader finds in the routers of a plan that asks for everything."""
    files = rendered(compiled(everything(platform), folder))
    main = router_templates(platform).main
    texts = [file.text for path, file in files.items() if path.endswith(f"/{main}") and "counterparts" not in path]
    return tuple(READERS[platform](text) for text in texts)


def status(row: Row, platform: Platform) -> Status:
    """What the table says."""
    shown = SHOWN.get(row.item)
    if shown is None:
        applies = platform is Platform.FRR or row.item in TESTED_FOR_EVERY_PLATFORM
        applies |= row.item in OF_LINUX_BOXES and FACTS[platform].filters_with_state  # VyOS: test_vyos.py
        return Status.PRESENT if applies else Status.NOT_APPLICABLE
    return Status.REFUSED if shown.feature in FACTS[platform].lacks else Status.PRESENT


def elsewhere(row: Row, platform: Platform) -> list[str]:
    """How another part does what the platform's configuration has no command for."""
    shown = SHOWN.get(row.item)
    said = FACTS[platform].elsewhere
    return [f"{duty}: {said[duty]}" for duty in (shown.duties if shown else ()) if duty in said]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hardening")


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
@pytest.mark.parametrize("row", [row for row in ROWS if row.item in SHOWN], ids=lambda row: row.item)
def test_what_is_said_to_be_present_is_found_in_the_text(row: Row, platform: Platform, folder: Path) -> None:
    if status(row, platform) is Status.PRESENT and not elsewhere(row, platform):
        assert any(SHOWN[row.item].found(facts) for facts in found(platform, folder))
    if status(row, platform) is Status.REFUSED:
        assert not any(SHOWN[row.item].found(facts) for facts in found(platform, folder))


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_what_a_platform_lacks_is_refused_once_a_router_with_line_and_reason(
    platform: Platform, tmp_path: Path
) -> None:
    for feature, reason in FACTS[platform].lacks.items():
        with pytest.raises(DocumentError) as refused:
            compiled(everything(platform, frozenset({feature})), tmp_path)
        said = [str(problem) for problem in refused.value.problems if f"cannot do {feature}: {reason}" in str(problem)]
        assert said, feature
        assert len(said) == len(set(said)) <= 4
        assert all(line.partition(": ")[0].rpartition(":")[2].isdigit() for line in said), said


def test_the_document_has_the_table() -> None:
    heads = ["item", *(FACTS[platform].title for platform in PLATFORMS), "relay host", "source"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in ROWS:
        cells = [f"{status(row, p)}{' *' if elsewhere(row, p) else ''}" for p in PLATFORMS]
        lines.append(f"| {' | '.join([row.item, *cells, row.host[0], row.source])} |")
    lines += ["", "\\* by another part:", ""]
    for platform in PLATFORMS:
        lines += [f"### {FACTS[platform].title}", ""]
        if platform is Platform.FRR:
            lines += [f"- {row.item}: {row.how}" for row in ROWS]
        else:
            parts = [(row, part) for row in ROWS for part in elsewhere(row, platform)]
            lines += [f"- {row.item}: {part}" for row, part in parts]
        lines += [f"- refused: {feature}: {reason}" for feature, reason in FACTS[platform].lacks.items()]
        lines += [""]
    table = "\n".join(lines)
    before, begin, rest = DOCUMENT.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    assert (begin, end) == (BEGIN, END), f"{DOCUMENT} needs its markers"
    text = f"{before}{begin}{table}{end}{after}"
    if os.environ.get("LANECAST_UPDATE_GOLDEN"):
        DOCUMENT.write_text(text)
    assert DOCUMENT.read_text() == text
