"""Every service that the emulated cloud speaks."""

from __future__ import annotations

from lanecast_lab.cloud.api import eip, nat, peering, route, subnet, vpc

SERVICES = (vpc.SERVICE, subnet.SERVICE, route.SERVICE, peering.SERVICE, eip.SERVICE, nat.SERVICE)
