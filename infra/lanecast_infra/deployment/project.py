"""Where the Pulumi project is, and what a run of the `pulumi` command gets from here."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROJECT_FILE: Final = "Pulumi.yaml"
PROGRAM: Final = Path("infra/__main__.py")
SOURCE_TREE: Final = Path(__file__).parents[3]
BUILT: Final = Path("build/pulumi/bin")
"""Where setup/pulumi.sh puts the command, in a source tree."""
NEEDED: Final = {
    "pulumi": "install Pulumi, or build it with setup/pulumi.sh",
    "pulumi-language-python": "it comes with Pulumi; setup/pulumi.sh builds it too",
    "pulumi-resource-baiducloud": "pip install 'lanecast[infra]'",
}
"""The commands that have to be found, and how to get each."""


class ProjectError(Exception):
    """A run cannot begin here."""


def find_project(given: Path | None) -> Path:
    """The folder of the project: as given, or from here upwards, or this source tree. Raises :class:`ProjectError`."""
    here = Path.cwd()
    for folder in (given,) if given else (here, *here.parents, SOURCE_TREE):
        if (folder / PROJECT_FILE).exists() and (folder / PROGRAM).exists():
            return folder.resolve()
    raise ProjectError(
        f"no Pulumi project {f'in {given}' if given else 'here or above'}: it is a folder with {PROJECT_FILE} and"
        f" {PROGRAM}, as Lanecast's source tree has them (docs/cloud.md)"
    )


def begin_project(source: Path, directory: Path) -> None:
    """Copy a project's file and program, and no stack's settings. Raises :class:`ProjectError` and ``OSError``."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ProjectError(f"{directory} is not empty: name a new folder")
    for name in (PROJECT_FILE, PROGRAM):
        (directory / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / name, directory / name)


def pulumi_home(environment: Mapping[str, str]) -> Path:
    """Where Pulumi keeps what it knows of this user."""
    return Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")


def environment() -> dict[str, str]:
    """This process's, with the commands on PATH and nothing fetched from elsewhere. Raises :class:`ProjectError`."""
    folders = [str(Path(sys.executable).parent), str(SOURCE_TREE / BUILT), os.environ.get("PATH", os.defpath)]
    path = os.pathsep.join(folders)
    for program, how in NEEDED.items():
        if shutil.which(program, path=path) is None:
            raise ProjectError(f"{program} is missing: {how}")
    if not os.environ.get("PULUMI_BACKEND_URL") and not (pulumi_home(os.environ) / "credentials.json").exists():
        raise ProjectError("Pulumi has nowhere to keep its state: set PULUMI_BACKEND_URL=file://DIR, or `pulumi login`")
    return {
        **os.environ,
        "PATH": path,
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "1",
    }
