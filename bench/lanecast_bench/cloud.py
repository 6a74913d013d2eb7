"""How long a stack of many resources takes, and a page of a long list, against the emulated cloud."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from lanecast_bench import cloud_lists, cloud_stack, machine
from lanecast_bench.cloud_server import serving
from lanecast_bench.requirements import Requirements, verdict
from lanecast_bench.tools import ROOT

MOST_UP_S, MOST_UNCHANGED_S, MOST_PAGE_MS = 180.0, 40.0, 50.0
QUIET_WAIT_S = 60.0


class CloudRun(Requirements):
    """Seconds of each command of the engine, milliseconds of each page."""

    name: ClassVar[str] = "cloud"

    stack: cloud_stack.StackTimes
    pages: list[cloud_lists.PageTimes]

    @property
    def rows(self) -> list[list[str]]:
        """What was asked, what was measured, and the verdict."""
        stack, of = self.stack, f"{self.stack.resources:,} resources"
        slowest = max(self.pages, key=lambda one: one.median_ms)
        listed = f"a page of {cloud_lists.PAGE:,} of {cloud_lists.COUNT:,}"
        return [
            [f"`pulumi up` of {of} within {MOST_UP_S:g} s", f"{stack.up_s:.0f} s", verdict(stack.up_s < MOST_UP_S)],
            [
                f"again, unchanged, within {MOST_UNCHANGED_S:g} s",
                f"{stack.unchanged_s:.1f} s",
                verdict(stack.unchanged_s < MOST_UNCHANGED_S),
            ],
            ["`pulumi refresh`", f"{stack.refresh_s:.1f} s", ""],
            ["`pulumi destroy`", f"{stack.destroy_s:.0f} s", ""],
            [
                f"{listed} within {MOST_PAGE_MS:g} ms, median of the slowest list ({slowest.kind})",
                f"{slowest.median_ms:.0f} ms",
                verdict(slowest.median_ms < MOST_PAGE_MS),
            ],
            *([f"{listed}: {one.kind}, least / median / most", _told(one), ""] for one in self.pages),
            ["processors that others used during `pulumi up`", f"{stack.others_share:.0%}", ""],
        ]


def _told(one: cloud_lists.PageTimes) -> str:
    return f"{one.least_ms:.0f} / {one.median_ms:.0f} / {one.most_ms:.0f} ms, processor {one.processor_ms:.0f} ms"


def measure(resources: int, tell: Callable[[str], None]) -> CloudRun:
    """Both, one after the other; each with a cloud of its own."""
    started_at, here = datetime.now(UTC), machine.describe()
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lanecast-cloud-", dir=ROOT / "build") as directory:
        folder = Path(directory)
        machine.wait_quiet(QUIET_WAIT_S)
        tell(f"a stack of {resources:,} resources")
        quotas = [f"--quota={name}={limit}" for name, limit in cloud_stack.QUOTAS.items()]
        with serving(folder / "cloud", *quotas) as cloud:
            stack = cloud_stack.measure(folder / "project", cloud, resources)
        tell(f"lists of {cloud_lists.COUNT:,}")
        cloud_lists.fill(folder / "lists")
        with serving(folder / "lists") as cloud:
            pages = cloud_lists.measure(cloud)
    return CloudRun(started_at=started_at, machine=here, stack=stack, pages=pages)
