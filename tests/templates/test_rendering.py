"""Rendered text: golden files, stable bytes, and a folder in which nothing else is touched.

``LANECAST_UPDATE_GOLDEN=1`` rewrites the golden files; the diff is the review.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from difflib import unified_diff
from pathlib import Path

import pytest

from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.plan.loader import load_plan
from lanecast_templates.frr_configuration import missing_lines
from lanecast_templates.renderer import RenderedFile, RenderError, SecretResolver, render_fabric
from lanecast_templates.writer import MANIFEST, InTheWayError, write

ROOT = Path(__file__).parent.parent.parent
GALLERY = ROOT / "docs/gallery"
"""The examples as they are rendered: for people to look at, and the golden files of what is rendered."""
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.yaml") if not path.stem.endswith(".lock"))
MOST_EXPOSED = 2.0
"""What `systemd-analyze security` may say of the relay's unit at most."""


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return compile_plan(load_plan(ROOT / "examples/two-sites.yaml"), {})


@pytest.fixture(scope="module")
def files(fabric: Fabric) -> tuple[RenderedFile, ...]:
    return render_fabric(fabric, SecretResolver({}))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_gallery_has_what_is_rendered(example: str) -> None:
    files = render_fabric(compile_plan(load_plan(ROOT / f"examples/{example}.yaml"), {}), SecretResolver({}))
    rendered = {str(file.path): file.text for file in files}
    folder = GALLERY / example
    if os.environ.get("LANECAST_UPDATE_GOLDEN"):
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in rendered.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    golden = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert sorted(rendered) == sorted(golden)
    for name, text in rendered.items():
        diff = "".join(unified_diff(golden[name].splitlines(True), text.splitlines(True), f"gallery/{name}", name))
        assert not diff, diff


def test_the_same_plan_gives_the_same_bytes(fabric: Fabric, files: tuple[RenderedFile, ...]) -> None:
    assert render_fabric(fabric, SecretResolver({})) == files


def test_a_second_run_changes_nothing_and_strangers_stay(files: tuple[RenderedFile, ...], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    first = write(files, tmp_path)
    assert len(first.written) == len(files)
    second = write(files, tmp_path)
    assert (second.written, second.removed, len(second.unchanged)) == ((), (), len(files))
    third = write(files[1:], tmp_path)
    assert third.removed == (str(files[0].path),)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.rglob(".lanecast-[!r]*")), "temporary files are left"


def test_what_was_edited_or_is_not_ours_stops_everything(files: tuple[RenderedFile, ...], tmp_path: Path) -> None:
    stranger = tmp_path / files[3].path
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    with pytest.raises(InTheWayError):
        write(files, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [stranger]
    write(files, tmp_path, force=True)
    edited = tmp_path / files[0].path
    edited.write_text(files[0].text + "# edited\n")
    with pytest.raises(InTheWayError, match=str(files[0].path)):
        write((*files[1:], RenderedFile(files[0].path, "new\n")), tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', "\xff"])
def test_a_damaged_manifest_stops_everything(content: str, files: tuple[RenderedFile, ...], tmp_path: Path) -> None:
    write(files[:1], tmp_path)
    (tmp_path / MANIFEST).write_text(content, encoding="latin-1")
    with pytest.raises(InTheWayError, match=MANIFEST):
        write(files, tmp_path)
    assert not (tmp_path / files[1].path).exists()


def test_a_folder_in_a_files_place_and_a_file_in_a_folders_stop_everything(
    files: tuple[RenderedFile, ...], tmp_path: Path
) -> None:
    (tmp_path / "a" / files[0].path).mkdir(parents=True)
    with pytest.raises(InTheWayError, match=str(files[0].path)):
        write(files, tmp_path / "a", force=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / files[0].path.parts[0]).write_text("mine")
    with pytest.raises(InTheWayError, match=str(files[0].path)):
        write(files, tmp_path / "b", force=True)
    assert not [path for folder in "ab" for path in (tmp_path / folder).rglob("*") if path.name == MANIFEST]


def test_a_link_out_of_the_folder_is_not_followed(files: tuple[RenderedFile, ...], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / files[0].path.parts[0]).symlink_to(outside)
    with pytest.raises(InTheWayError):
        write(files, folder, force=True)
    assert not list(outside.iterdir())


def test_a_secret_stands_only_in_files_for_their_owner(tmp_path: Path) -> None:
    text = (ROOT / "examples/two-sites.yaml").read_text()
    text = text.replace("carries: [cme-310.A]}", "carries: [cme-310.A], password: {environment: HK1_A}}")
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    fabric = compile_plan(load_plan(plan))
    with pytest.raises(RenderError, match="HK1_A is not set"):
        render_fabric(fabric, SecretResolver({}))
    holding = [f for f in render_fabric(fabric, SecretResolver({"HK1_A": "s3cret-word"})) if "s3cret-word" in f.text]
    assert {file.path.parts[-1] for file in holding} == {"frr.conf"}
    assert {file.path.parts[0] for file in holding} == {"hk1-r1", "counterparts"}
    assert all(file.mode == 0o600 and "secret" in file.text.splitlines()[0].lower() for file in holding)
    write(holding, tmp_path / "out")
    assert all(stat.S_IMODE((tmp_path / "out" / file.path).stat().st_mode) == 0o600 for file in holding)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_the_relay_is_little_exposed(files: tuple[RenderedFile, ...], tmp_path: Path) -> None:
    unit = next(file for file in files if file.path.name == "lanecast-relay.service")
    path = tmp_path / unit.path.name
    path.write_text(unit.text)
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    figure = float(said.strip().splitlines()[-1].partition("service:")[2].split()[0])
    assert figure <= MOST_EXPOSED


ASKED = "interface mc\n ip pim\n ip igmp\nexit\n!\nrouter bgp 1\n neighbor 192.0.2.1 remote-as 2\nexit\n"


@pytest.mark.parametrize(
    ("running", "missing"),
    [
        (ASKED, 0),
        (ASKED.replace(" ip pim\n", ""), 1),
        (ASKED.replace(" ip pim\n", "") + "interface other\n ip pim\nexit\n", 1),
        (ASKED.replace("remote-as 2", "remote-as 3"), 1),
    ],
)
def test_what_frr_does_not_run_is_noticed(running: str, missing: int) -> None:
    assert len(missing_lines(ASKED, running)) == missing
