"""How long a large plan takes to load, check, compile and render, and how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, ClassVar

import yaml

from lanecast_bench import machine
from lanecast_bench.processes import BenchError
from lanecast_bench.requirements import Requirements, verdict
from lanecast_bench.tools import ROOT

ROUTERS_A_SITE = 4
CIRCUITS_A_ROUTER = 4
MOST_S, MOST_MIB = 20.0, 1024
LINKS = IPv4Network("100.64.0.0/10")

MEASURED = """
import json, resource, sys, time
from pathlib import Path
from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_templates.renderer import SecretResolver, render_fabric
times = [time.monotonic()]
loaded = load_plan(Path(sys.argv[1]))
times.append(time.monotonic())
fabric = compile_plan(loaded, {})
times.append(time.monotonic())
files = render_fabric(fabric, SecretResolver({}))
times.append(time.monotonic())
print(json.dumps({
    "load_s": times[1] - times[0], "compile_s": times[2] - times[1], "render_s": times[3] - times[2],
    "files": len(files), "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


class ScaleRun(Requirements):
    """Seconds of each step, and the most memory, of one process (getrusage(2))."""

    name: ClassVar[str] = "scale"

    routers: int
    circuits: int
    load_s: float
    compile_s: float
    render_s: float
    files: int
    mebibytes: float

    @property
    def rows(self) -> list[list[str]]:
        """What was asked, what was measured, and the verdict."""
        took_s = self.compile_s + self.render_s
        what = f"{self.routers:,} routers, {self.circuits:,} circuits, {self.files:,} files"
        return [
            [f"{what}: compile and render within {MOST_S:g} s", f"{took_s:.1f} s", verdict(took_s <= MOST_S)],
            ["the same in less memory than 1 GiB", f"{self.mebibytes:.0f} MiB", verdict(self.mebibytes < MOST_MIB)],
            ["loading and checking the plan before that", f"{self.load_s:.1f} s", ""],
        ]


def plan(routers: int) -> dict[str, Any]:
    """A plan of that many routers, four a site; half of a router's circuits carry each line of a feed."""
    links = LINKS.subnets(new_prefix=30)
    sites = {f"s{number}": _site(number, links) for number in range(1, routers // ROUTERS_A_SITE + 1)}
    lines = {
        "A": {"source": "198.51.100.11", "groups": {"main": "239.10.1.1:20001"}},
        "B": {"source": "198.51.100.21", "groups": {"main": "239.10.2.1:20001"}},
    }
    feed = {"exchange": "x", "protocol": "moldudp64", "peak": {"rate": "1000 pps", "bytes": 200}, "lines": lines}
    return {
        "lanecast": 1,
        "exchanges": {"x": {"asn": 65000, "rendezvous": "none"}},
        "multicast": {"ssm-ranges": ["232.0.0.0/8", "239.10.0.0/16"]},
        "pools": {"sites": "10.64.0.0/10"},
        "feeds": {"quotes": feed},
        "sites": sites,
        "regions": {
            "r": {
                "cloud": {"provider": "baidu", "region": "hkg"},
                "vpcs": {"v": {"cidr": "10.8.0.0/16", "subnets": {"apps": {"cidr": "10.8.2.0/24", "zone": "a"}}}},
            }
        },
        "subscribers": {"app": {"subnet": "r.v.apps", "count": 2, "feeds": ["quotes"], "from": ["s1-relay"]}},
    }


def _site(number: int, links: Any) -> dict[str, Any]:
    name = f"s{number}"
    circuits, routers = {}, {}
    for router in range(1, ROUTERS_A_SITE + 1):
        own = [f"{name}-c{router}{circuit}" for circuit in range(1, CIRCUITS_A_ROUTER + 1)]
        for index, circuit in enumerate(own):
            circuits[circuit] = {
                "exchange": "x",
                "mode": "multicast",
                "role": "primary" if router == 1 else "backup",
                "vlan": 100 + index,
                "link": str(next(links)),
                "delay": "2ms",
                "bandwidth": "100M",
                "carries": [f"quotes.{'AB'[router % 2]}"],
            }
        routers[f"{name}-r{router}"] = {
            "platform": "frr",
            "circuits": own,
            "uplinks": [f"{name}-up"] if router == 1 else [],
        }
    uplink = {
        "to": "r.v",
        "vlan": 200,
        "link": str(next(links)),
        "delay": "1ms",
        "bandwidth": "1G",
        "routing": "bgp",
        "role": "primary",
    }
    return {
        "region": "r",
        "circuits": circuits,
        "routers": routers,
        "relays": {f"{name}-relay": {"feeds": ["quotes"], "uplink": f"{name}-up"}},
        "uplinks": {f"{name}-up": uplink},
    }


def measure(routers: int) -> ScaleRun:
    """Load, check, compile and render a plan of that many routers in a process of its own."""
    content = plan(routers)
    circuits = sum(len(site["circuits"]) for site in content["sites"].values())
    started_at, here = datetime.now(UTC), machine.describe()
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lanecast-scale-", dir=ROOT / "build") as directory:
        path = Path(directory) / "plan.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the plan cannot be rendered: {done.stderr.strip()[-2000:]}")
    return ScaleRun(started_at=started_at, machine=here, routers=routers, circuits=circuits, **json.loads(done.stdout))
