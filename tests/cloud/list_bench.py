"""How long a page takes of a list of 10,000, over HTTP, signed: ``python tests/cloud/list_bench.py``. Not a test."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cloud_under_test import Emulator

from lanecast_lab.cloud.api.regions import GLOBAL
from lanecast_lab.cloud.api.states import settled
from lanecast_lab.cloud.api.store import Resource, Scope, Store
from lanecast_lab.cloud.command import DEFAULT_ACCOUNT

COUNT = 10_000
PAGE = 1000
HERE = Scope(DEFAULT_ACCOUNT, "bj")
VPC, TABLE, SUBNET, ZONE = "vpc-bench", "rt-bench", "sbn-bench", "zone-bench"


def _vpc(number: int) -> tuple[str, str | None, dict[str, Any]]:
    name = f"vpc-{number:012}"
    body = {"vpcId": name, "name": name, "cidr": "10.0.0.0/16", "description": "", "isDefault": False}
    return name, None, {**body, "relay": False, "enableIpv6": False, "secondaryCidr": [], "tags": []}


def _subnet(number: int) -> tuple[str, str | None, dict[str, Any]]:
    name = f"sbn-{number:012}"
    body = {"subnetId": name, "name": name, "zoneName": "cn-bj-a", "subnetType": "BCC", "description": "", "tags": []}
    return name, VPC, {**body, "cidr": f"10.{number >> 8}.{number & 255}.0/24", "enableIpv6": False}


def _route(number: int) -> tuple[str, str | None, dict[str, Any]]:
    name = f"rr-{number:012}"
    body = {"routeRuleId": name, "sourceAddress": "0.0.0.0/0", "description": "", "ipVersion": "4", "_group": name}
    target = f"172.{number >> 8}.{number & 255}.0/24"
    return name, TABLE, {**body, "destinationAddress": target, "nexthopId": "nat-1", "nexthopType": "nat", "_vpc": VPC}


def _eip(number: int) -> tuple[str, str | None, dict[str, Any]]:
    name = f"198.18.{number >> 8}.{number & 255}"
    body = {"eip": name, "name": "", "status": settled("binded"), "instanceType": "BCC", "bandwidthInMbps": 1}
    return name, None, {**body, "instanceId": f"i-{number:012}", "tags": []}


def _instance(number: int) -> tuple[str, str | None, dict[str, Any]]:
    name, address = f"i-{number:012}", f"10.0.{number >> 8}.{number & 255}"
    body = {"id": name, "name": name, "status": settled("Running"), "zoneName": "cn-bj-a", "internalIp": address}
    more = {"vpcId": VPC, "subnetId": SUBNET, "_address": address, "_groups": ["g-1"], "_userData": "x" * 1000}
    return name, SUBNET, {**body, **more}


def _record(number: int) -> tuple[str, str | None, dict[str, Any]]:
    name = f"record-{number:012}"
    return name, ZONE, {"recordId": name, "rr": name, "value": "10.0.0.1", "type": "A", "ttl": 60, "status": "enable"}


KINDS: dict[str, tuple[Callable[[int], tuple[str, str | None, dict[str, Any]]], str, dict[str, str]]] = {
    "vpc": (_vpc, "/v1/vpc", {}),
    "subnet": (_subnet, "/v1/subnet", {}),
    "route-rule": (_route, "/v1/route/rule", {"routeTableId": TABLE}),
    "eip": (_eip, "/v1/eip", {}),
    "instance": (_instance, "/v2/instance", {}),
    "private-record": (_record, f"/v1/privatezone/{ZONE}/record", {}),
}
"""By kind: how one looks in the store, and how they are listed."""


def fill(state: Path) -> None:
    """Put everything into the store, without asking the API ten thousand times."""
    store = Store(state)
    with store.transaction(time.time()):
        store.add(Resource(TABLE, "route-table", HERE.account, HERE.region, VPC, {}))
        store.add(Resource(ZONE, "private-zone", HERE.account, GLOBAL, None, {"zoneId": ZONE}))
        for kind, (make, _, _) in KINDS.items():
            region = GLOBAL if kind == "private-record" else HERE.region
            for number in range(COUNT):
                key, parent, body = make(number)
                store.add(Resource(key, kind, HERE.account, region, parent, body))
    store.close()


def pages(emulator: Emulator, path: str, query: dict[str, str]) -> Iterator[float]:
    """Milliseconds that each page takes."""
    marker, count = "", 0
    while True:
        began = time.perf_counter()
        status, _, content = emulator.send("GET", path, {**query, "maxKeys": str(PAGE), "marker": marker})
        yield (time.perf_counter() - began) * 1e3
        assert status == 200, content
        reply = json.loads(content)
        count += PAGE
        if not reply["isTruncated"]:
            assert count == COUNT, count
            return
        marker = reply["nextMarker"]


def main() -> int:
    """Print a table; 1 when a page took 50 ms or more in the median."""
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory) / "state"
        fill(state)
        emulator = Emulator(state, regions=("bj",))
        slow = False
        for kind, (_, path, query) in KINDS.items():
            before = emulator.cpu_s()
            taken = [one for _ in range(3) for one in pages(emulator, path, query)]
            median = statistics.median(taken)
            slow |= median >= 50
            spread = f"least {min(taken):6.1f} ms, median {median:6.1f} ms, most {max(taken):6.1f} ms"
            spread += f", the server's processor {(emulator.cpu_s() - before) / len(taken) * 1e3:5.1f} ms"
            print(f"{kind:16} {PAGE} of {COUNT} a page: {spread}")
        emulator.stop()
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
