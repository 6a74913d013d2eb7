"""How nodes are reached, kept in time and listened to, from the plan's ``management``."""

from __future__ import annotations

from lanecast.plan import model
from lanecast.router import Aaa, Management, Ntp, Ptp, User


def management(planned: model.Management) -> Management:
    """The plan's section; whose address requests come from is each node's own."""
    ntp, aaa = planned.ntp, planned.aaa
    key = None if ntp is None else ntp.key
    return Management(
        ssh_sources=tuple(sorted(planned.ssh_from)),
        metrics_sources=tuple(sorted(planned.metrics_from)),
        ntp=None
        if ntp is None
        else Ntp(tuple(ntp.servers), None if key is None else key.id, None if key is None else key.secret),
        ptp=None if planned.ptp is None else Ptp(planned.ptp.domain),
        syslog=tuple(planned.syslog),
        aaa=None if aaa is None else Aaa(aaa.protocol, tuple(aaa.servers), aaa.key),
        users=tuple(User(name, user.ssh_key) for name, user in sorted(planned.users.items())),
    )


def cloud_management(planned: model.Management) -> Management:
    """An instance's: who may reach it. Its clock and its logs are its cloud's and its application's."""
    return Management(tuple(sorted(planned.ssh_from)), tuple(sorted(planned.metrics_from)))
