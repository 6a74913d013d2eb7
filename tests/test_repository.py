"""What the repository promises about itself: who imports whom, how long files are, what no file holds."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "lanecast": ROOT / "lanecast",
    "lanecast_relay": ROOT / "relay/lanecast_relay",
    "lanecast_templates": ROOT / "templates/lanecast_templates",
    "lanecast_lab": ROOT / "netlab/lanecast_lab",
    "lanecast_infra": ROOT / "infra/lanecast_infra",
    "lanecast_bench": ROOT / "bench/lanecast_bench",
}
MAY_IMPORT = {
    "lanecast": {"lanecast_relay.config"},
    "lanecast_relay": set[str](),
    "lanecast_templates": {"lanecast", "lanecast_relay.config"},
    "lanecast_lab": {"lanecast", "lanecast_templates", "lanecast_relay"},
    "lanecast_infra": {"lanecast", "lanecast_templates", "lanecast_relay.config"},
    "lanecast_bench": {"lanecast_lab.traffic", "lanecast_lab.cloud", "lanecast_infra.baiducloud"},
}
LONGEST_FILE = 700
# Put together here, so that this file does not hold them itself.
REGISTRIES = [
    "py" + "pi.org",
    "pythonhosted" + ".org",
    "crates" + ".io/api",
    "static.crates" + ".io",
    "proxy.go" + "lang",
    "registry.np" + "mjs",
    "deb.debian" + ".org",
]
MACHINE_PATHS = ["/wo" + "rk/", "/fa" + "rm/", "/ro" + "ot/", "/ho" + "me/"]
CAPTURES = ["*.pcap", "*.pcapng", "*.pcap.*", "*.zst"]


def tracked(*patterns: str) -> list[Path]:
    out = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in out.stdout.split("\0") if name]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_the_arrows_never_turn_back(package: str) -> None:
    wrong = []
    for path in PACKAGES[package].rglob("*.py"):
        for name in imports(path):
            top = name.partition(".")[0]
            if top in PACKAGES and top != package:
                allowed = MAY_IMPORT[package]
                if top not in allowed and not any(name == one or name.startswith(one + ".") for one in allowed):
                    wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_no_file_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in tracked("*.py", "*.rs")}
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE}


def test_no_file_names_a_registry_or_a_machine() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {needle}" for needle in REGISTRIES + MACHINE_PATHS if needle in text]
    assert not found


def test_no_capture_is_tracked() -> None:
    assert tracked(*CAPTURES) == []


def document(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text())


def test_there_is_one_version() -> None:
    native = document("Cargo.toml")["workspace"]["package"]["version"]
    both = [document(path)["project"] for path in ("pyproject.toml", "relay/pyproject.toml")]
    assert [one["version"] for one in both] == [native, native]
    assert f"lanecast-relay=={native}" in both[0]["dependencies"]
    for package in ("lanecast", "lanecast_relay"):
        assert f'__version__ = "{native}"' in (PACKAGES[package] / "__init__.py").read_text()


def test_the_lock_holds_what_the_distributions_ask_for() -> None:
    """`make lock` was run after the last change of a dependency, and every line is pinned by hash."""
    lock = (ROOT / "requirements.lock").read_text()
    lines = re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", lock, re.MULTILINE)
    pinned = dict(lines)  # one that is pinned twice, for two versions of Python, is asked for by others only
    assert len(lines) == len(re.findall(r"^\S+==\S+.*\\\n {4}--hash=sha256:", lock, re.MULTILINE))
    root, relay = document("pyproject.toml"), document("relay/pyproject.toml")
    asked = [*root["project"]["dependencies"], *relay["project"]["dependencies"], *root["dependency-groups"]["dev"]]
    asked += root["dependency-groups"]["bench"]
    asked += [*root["build-system"]["requires"], *relay["build-system"]["requires"]]
    for extra in root["project"]["optional-dependencies"].values():
        asked += extra
    wrong = []
    for text in asked:
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        if name != "lanecast-relay" and not wanted.specifier.contains(pinned.get(name, "0"), prereleases=True):
            wrong.append(f"{text}: the lock has {pinned.get(name)}")
    assert not wrong
