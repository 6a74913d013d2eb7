"""Compiles the plans that hypothesis makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from generated_plans import Compile, Document

from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.plan.loader import load_plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the plans of all examples."""
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def compiled(folder: Path) -> Compile:
    """Loads and compiles a plan, without a lock unless one is given."""

    def compile_it(plan: Document | str, locked: dict[str, str] | None = None) -> Fabric:
        path = folder / "plan.yaml"
        path.write_text(plan if isinstance(plan, str) else yaml.safe_dump(plan, sort_keys=False))
        return compile_plan(load_plan(path), locked or {})

    return compile_it
