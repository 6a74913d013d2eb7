"""The hand-over sheets say what the plan says, to whom it concerns, and nothing that is secret.

What is expected comes from the plan's text by an independent reader, not from the compiled network.
"""

from __future__ import annotations

from html.parser import HTMLParser
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from platform_plans import compiled, everything

from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast.plan.model import Platform
from lanecast_templates.environment import Templates
from lanecast_templates.renderer import SecretResolver, render_fabric
from lanecast_templates.views.hand_over import hand_overs

EXAMPLE = Path(__file__).parent.parent.parent / "examples/two-sites.yaml"
SHEETS = [("cme", "hk1"), ("nasdaq", "gz1")]


def sheets(path: Path, secrets: dict[str, str] | None = None) -> dict[str, str]:
    files = render_fabric(compile_plan(load_plan(path), {}), SecretResolver(secrets or {}))
    return {"/".join(file.path.parts[1:]): file.text for file in files if file.path.parts[0] == "hand-over"}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(markdown: str) -> dict[str, list[list[str]]]:
    """The rows of each section's table, without heads."""
    found: dict[str, list[list[str]]] = {}
    for section in markdown.split("\n## ")[1:]:
        rows = [cells(line) for line in section.splitlines() if line.startswith("|")]
        found[section.splitlines()[0]] = rows[2:]
    return found


class TableReader(HTMLParser):
    """The cells of every table row of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._in_cell = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    return read


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return sheets(EXAMPLE)


def test_there_is_a_sheet_for_each_exchange_at_each_site(rendered: dict[str, str]) -> None:
    assert sorted(rendered) == ["cme/hk1.html", "cme/hk1.md", "nasdaq/gz1.html", "nasdaq/gz1.md"]


@pytest.mark.parametrize(("exchange", "site"), SHEETS)
def test_circuits_and_autonomous_systems_are_the_plans(
    plan: dict[str, Any], rendered: dict[str, str], exchange: str, site: str
) -> None:
    asked = plan["sites"][site]
    by_section = tables(rendered[f"{exchange}/{site}.md"])
    for name, circuit in asked["circuits"].items():
        theirs, ours = IPv4Network(circuit["link"]).hosts()
        [router] = [name_ for name_, router in asked["routers"].items() if name in router["circuits"]]
        assert [
            name,
            ", ".join(circuit["carries"]),
            str(circuit["vlan"]),
            circuit["bandwidth"],
            f"{theirs}/30",
            f"{ours}/30",
            router,
            circuit["delay"],
        ] in by_section["Circuits"]
        [bgp] = [row for row in by_section["BGP"] if row[0] == name]
        assert bgp[1:4] == [str(plan["exchanges"][exchange]["asn"]), str(asked["asn"]), "none"]
    assert len(by_section["Circuits"]) == len(by_section["BGP"]) == len(asked["circuits"])


@pytest.mark.parametrize(("exchange", "site"), SHEETS)
def test_every_group_of_the_exchange_is_named_once_and_no_other(
    plan: dict[str, Any], rendered: dict[str, str], exchange: str, site: str
) -> None:
    expected = []
    for name, feed in plan["feeds"].items():
        if feed["exchange"] != exchange:
            continue
        for line_name, line in feed["lines"].items():
            circuits = plan["sites"][site]["circuits"].items()
            over = ", ".join(circuit for circuit, held in circuits if f"{name}.{line_name}" in held["carries"])
            for channel, endpoint in line["groups"].items():
                group, _, port = endpoint.partition(":")
                expected.append([name, line_name, str(channel), line["source"], group, port, over])
    text = rendered[f"{exchange}/{site}.md"]
    assert sorted(tables(text)["Multicast"]) == sorted(expected)
    [ranges] = [line for line in text.splitlines() if line.startswith("Treat these ranges")]
    listed = [IPv4Network(word.strip(" .")) for word in ranges.partition(":")[2].split(",")]
    groups = {row[4] for row in expected}
    assert all(any(IPv4Network(group).subnet_of(each) for group in groups) for each in listed)
    assert all(any(IPv4Network(group).subnet_of(each) for each in listed) for group in groups)


def test_servers_stand_where_there_are_some(plan: dict[str, Any], rendered: dict[str, str]) -> None:
    assert "Re-requests" not in tables(rendered["cme/hk1.md"])
    servers = plan["feeds"]["nasdaq-itch"]["recovery"]["servers"]["itch"]
    assert tables(rendered["nasdaq/gz1.md"])["Re-requests"] == [
        ["nasdaq-itch", "itch", *server.split(":")] for server in servers
    ]


def test_nobody_reads_of_another_exchange_or_of_the_cloud(plan: dict[str, Any], rendered: dict[str, str]) -> None:
    for other, (exchange, site) in zip(("nasdaq", "cme"), SHEETS, strict=True):
        for kind in ("md", "html"):
            text = rendered[f"{exchange}/{site}.{kind}"]
            words = [other, str(plan["exchanges"][other]["asn"]), "10.8.", "10.9.", "10.10.", "search", "quotes-hk"]
            assert [word for word in words if word in text] == []


def test_a_password_is_told_of_and_not_told(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("carries: [cme-310.A]}", "carries: [cme-310.A], password: {environment: HK1_A}}")
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    found = sheets(path, {"HK1_A": "correct-horse-battery"})
    assert not any("correct-horse" in sheet for sheet in found.values())
    told = {row[0]: row[3] for row in tables(found["cme/hk1.md"])["BGP"]}
    assert told == {"hk1-a": "password (TCP MD5), agreed apart from this sheet", "hk1-b": "none"}


def written(document: dict[str, Any], exchange: str, folder: Path) -> str:
    """An exchange's sheet of a plan whose routers may be of any platform."""
    fabric = compiled(document, folder)
    [sheet] = [each for each in hand_overs(fabric) if each.exchange == exchange]
    return Templates().render("hand_over/sheet.md.j2", header="", sheet=sheet)


def test_bfd_is_told_as_each_platform_runs_it(tmp_path: Path) -> None:
    platforms = (Platform.FRR, Platform.VYOS, Platform.NX_OS)
    said = {platform: written(everything(platform), "cme", tmp_path) for platform in platforms}
    told = {platform: {row[0]: row[4] for row in tables(text)["BGP"]} for platform, text in said.items()}
    single = "every 300 ms, down after 3 without one; single hop (UDP 3784)"
    assert told[Platform.NX_OS] == {"hk1-a": single, "hk1-b": "none"}
    for platform in (Platform.FRR, Platform.VYOS):
        assert told[platform]["hk1-a"].startswith(f"{single} for PIM, and one over several hops (UDP 4784")


def test_sparse_mode_is_told_with_both_rendezvous_points_and_their_sessions(tmp_path: Path) -> None:
    document = everything(Platform.NX_OS)
    text = written(document, "cme", tmp_path)
    assert "Your rendezvous point is 198.51.100.250, for 239.4.0.0/16; ours is 10.255.255.1 on each" in text
    sessions = [row for row in tables(text)["Multicast"] if row[0] == "198.51.100.250"]
    agreed = "yes, agreed apart from this sheet"
    assert sessions == [
        ["198.51.100.250", address, "65101", router, agreed, "50"]
        for router, address in (("hk1-r1", "192.0.2.2"), ("hk1-r2", "192.0.2.6"))
    ]
    used = written(document, "nasdaq", tmp_path)
    assert "Your rendezvous point is 203.0.113.14, for 239.3.0.0/16; we use it as it is." in used
    assert "MSDP" not in used


@pytest.mark.parametrize(("exchange", "site"), SHEETS)
def test_the_page_has_the_same_cells(rendered: dict[str, str], exchange: str, site: str) -> None:
    text, page = rendered[f"{exchange}/{site}.md"], rendered[f"{exchange}/{site}.html"]
    expected = [cells(line) for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    assert TableReader(page).rows == expected
