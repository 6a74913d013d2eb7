"""Builds the lab's native tool and ships it as a program of the distribution, in wheels and editable installs alike."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeToolHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds ``lanecast-wire`` to what is installed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the tool with the locked crates; a failing build fails the distribution's."""
        root = Path(self.root)
        build = ["cargo", "build", "--release", "--locked", "--package", "lanecast-wire", "--target-dir", "target"]
        subprocess.run(build, cwd=root, check=True)
        build_data["shared_scripts"] = {str(root / "target/release/lanecast-wire"): "lanecast-wire"}
        # The tool ties the wheel to a platform, but to no version of Python.
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
