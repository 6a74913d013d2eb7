"""Every module imports, also where the folders of whoever uses this have the names of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGES = ("lanecast", "lanecast_relay", "lanecast_templates", "lanecast_lab", "lanecast_infra", "lanecast_bench")

SCRIPT = """
import importlib, pkgutil, sys
decoys = sys.argv[1]
sys.path.insert(0, decoys)
count = 0
for name in sys.argv[2:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
        count += 1
wrong = [name for name, module in sys.modules.items() if str(getattr(module, "__file__", "")).startswith(decoys)]
assert not wrong, wrong
print(count)
"""


def test_everything_imports_with_decoys_in_front(tmp_path: Path) -> None:
    for folder in ("infra", "templates", "relay", "netlab", "bench"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("raise ImportError('a decoy was imported')\n")
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), *PACKAGES],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 60
