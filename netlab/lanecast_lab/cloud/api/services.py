"""Every service that the emulated cloud speaks."""

from __future__ import annotations

from lanecast_lab.cloud.api import (
    acl,
    app_blb,
    bcc,
    blb,
    csn,
    dns,
    eip,
    enterprise_security_group,
    et,
    et_gateway,
    havip,
    nat,
    peering,
    route,
    security_group,
    subnet,
    vpc,
)

SERVICES = (
    vpc.SERVICE,
    subnet.SERVICE,
    route.SERVICE,
    peering.SERVICE,
    eip.SERVICE,
    nat.SERVICE,
    et.SERVICE,
    et_gateway.SERVICE,
    security_group.SERVICE,
    enterprise_security_group.SERVICE,
    acl.SERVICE,
    bcc.SERVICE,
    havip.SERVICE,
    blb.SERVICE,
    app_blb.SERVICE,
    dns.SERVICE,
    csn.SERVICE,
)
