"""Secrets are found where a plan says they are: in the environment, in files, in a Pulumi stack's configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lanecast.plan.model import SecretReference
from lanecast_templates.secrets import SecretError, SecretResolver

ROOT = Path(__file__).parent.parent.parent
BUILT = ROOT / "build/pulumi/bin"
"""Where setup/pulumi.sh builds the command when none is installed."""

PASSPHRASE = "correct-horse"
SECRET = "battery-staple"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a Pulumi project, a stack `hk` on the file backend, and a secret in its configuration."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{BUILT}")
    if shutil.which("pulumi") is None:
        pytest.skip("Pulumi is neither on PATH nor built (setup/pulumi.sh)")
    backend = tmp_path / "backend"
    backend.mkdir()
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{backend}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_SKIP_UPDATE_CHECK", "1")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: lanecast\nruntime: python\n")
    for command in (["stack", "init", "hk"], ["config", "set", "--secret", "bgp", SECRET, "--stack", "hk"]):
        subprocess.run(
            ["pulumi", *command, "--non-interactive"], cwd=folder, check=True, capture_output=True, timeout=60
        )
    return folder


def test_a_stacks_secret_is_read_by_the_command_itself(project: Path) -> None:
    assert SECRET not in "".join(path.read_text() for path in project.iterdir()), "it has to be encrypted"
    assert SecretResolver(directory=project).resolve(SecretReference(pulumi="hk/bgp")) == SECRET


@pytest.mark.parametrize(
    ("place", "passphrase", "said"),
    [
        ("hk/other", PASSPHRASE, "Pulumi's hk/other cannot be read: error: configuration key 'other' not found"),
        ("gz/bgp", PASSPHRASE, "Pulumi's gz/bgp cannot be read: error: no stack named 'gz' found"),
        ("hk/bgp", "wrong", "Pulumi's hk/bgp cannot be read: error: "),
    ],
    ids=["key", "stack", "passphrase"],
)
def test_what_cannot_be_read_is_told_without_the_value(
    project: Path, monkeypatch: pytest.MonkeyPatch, place: str, passphrase: str, said: str
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", passphrase)
    with pytest.raises(SecretError) as refused:
        SecretResolver(directory=project).resolve(SecretReference(pulumi=place))
    assert said in str(refused.value)
    assert SECRET not in str(refused.value)


def test_without_the_command_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SecretError, match="there is no command pulumi on PATH"):
        SecretResolver(directory=tmp_path).resolve(SecretReference(pulumi="hk/bgp"))
