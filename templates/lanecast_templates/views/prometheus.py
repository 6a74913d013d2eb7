"""The relays' counters as a Prometheus server is told of them: where each is, and the labels to look for it by."""

from __future__ import annotations

from typing import Any

from lanecast.fabric import Fabric, Host, HostRole

JOB = "lanecast-relay"


def scrape_configuration(fabric: Fabric) -> dict[str, Any] | None:
    """A file for ``scrape_config_files``, or a whole configuration; None where no relay serves its counters."""
    targets = [
        _target(fabric, host) for host in fabric.hosts if host.relay is not None and host.relay.metrics is not None
    ]
    return {"scrape_configs": [{"job_name": JOB, "static_configs": targets}]} if targets else None


def _target(fabric: Fabric, host: Host) -> dict[str, Any]:
    """One relay. Its counters name it ``relay`` themselves; a label of that name here would stand in their way."""
    assert host.relay is not None  # by the caller
    at_site = host.role is HostRole.RELAY
    labels = {"instance": host.name}
    if at_site:
        labels |= {"site": host.place, "region": fabric.site_regions[host.place]}
    else:
        labels |= {"subnet": host.place, "region": host.place.partition(".")[0]}
    return {
        "targets": [str(host.relay.metrics)],
        "labels": labels | {"role": host.role.value, "feeds": ",".join(sorted(host.relay.feeds))},
    }
