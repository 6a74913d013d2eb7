"""How long the emulated cloud takes for a page of a list of 10,000, over HTTP, signed."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanecast_bench.cloud_server import REGION, CloudServer
from lanecast_bench.processes import BenchError
from lanecast_lab.cloud.api.regions import GLOBAL
from lanecast_lab.cloud.api.states import settled
from lanecast_lab.cloud.api.store import Resource, Scope, Store
from lanecast_lab.cloud.command import DEFAULT_ACCOUNT

COUNT = 10_000
PAGE = 1000
ROUNDS = 3
HERE = Scope(DEFAULT_ACCOUNT, REGION)
VPC, TABLE, SUBNET, ZONE = "vpc-bench", "rt-bench", "sbn-bench", "zone-bench"


def _vpc(number: int) -> tuple[str, str | None, dict[str, Any]]:
    name = f"vpc-{number:012}"
    body = {"vpcId": name, "name": name, "cidr": "10.0.0.0/16", "description": "", "isDefault": False}
    return name, None, {**body, "relay": False, "enableIpv6": False, "secondaryCidr": [], "tags": []}


def _subnet(number: int) -> tuple[str, str | None, dict[str, Any]]:
    name = f"sbn-{number:012}"
    body = {"subnetId": name, "name": name, "zoneName": "cn-hkg-a", "subnetType": "BCC", "description": "", "tags": []}
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
    body = {"id": name, "name": name, "status": settled("Running"), "zoneName": "cn-hkg-a", "internalIp": address}
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
    """Put ten thousand of each kind into the store, without asking the API so often."""
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


@dataclass(frozen=True, slots=True)
class PageTimes:
    """Milliseconds that the pages of one list took, over HTTP, and of the server's processor for each."""

    kind: str
    least_ms: float
    median_ms: float
    most_ms: float
    processor_ms: float


def measure(cloud: CloudServer) -> list[PageTimes]:
    """List every kind as often as ROUNDS says."""
    found = []
    for kind, (_, path, query) in KINDS.items():
        before = cloud.processor_s()
        taken = [one for _ in range(ROUNDS) for one in _pages(cloud, path, query)]
        processor_ms = (cloud.processor_s() - before) / len(taken) * 1e3
        found.append(PageTimes(kind, min(taken), statistics.median(taken), max(taken), processor_ms))
    return found


def _pages(cloud: CloudServer, path: str, query: dict[str, str]) -> Iterator[float]:
    """Milliseconds that each page takes."""
    marker, count = "", 0
    while True:
        began = time.perf_counter()
        content = cloud.get(path, {**query, "maxKeys": str(PAGE), "marker": marker})
        yield (time.perf_counter() - began) * 1e3
        reply = json.loads(content)
        count += sum(len(part) for part in reply.values() if isinstance(part, list))
        if not reply["isTruncated"]:
            break
        marker = reply["nextMarker"]
    if count != COUNT:
        raise BenchError(f"{path} lists {count} of {COUNT}")
