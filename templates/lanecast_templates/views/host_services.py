"""What a Linux node's services are told of the clock (chrony, linuxptp) and of syslog servers (rsyslog)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from lanecast.fabric import Host
from lanecast.router import Ptp, Router

SHARED_MEMORY = 0
"""The segment by which phc2sys tells chronyd of PTP's time (ntpd's SHM protocol); of these root alone has 0 and 1."""

SYSLOG_PORT = 514
"""RFC 5426, section 3.3: syslog over UDP."""

KEYS_FILE = "/etc/chrony/lanecast.keys"


@dataclass(frozen=True, slots=True)
class NtpKey:
    """The key that servers' answers must be signed with."""

    id: int
    secret: str


@dataclass(frozen=True, slots=True)
class HostServices:
    """Everything that these files are spelled from."""

    name: str
    source: IPv4Address | None
    """Whose address own requests come from; None: the kernel chooses."""
    ntp_servers: tuple[IPv4Address, ...]
    ntp_key: NtpKey | None
    keys_file: str
    ptp: Ptp | None
    ptp_interface: str | None
    """The port that hears PTP; one that has a clock of its own in hardware."""
    shared_memory: int
    syslog_servers: tuple[IPv4Address, ...]
    syslog_port: int

    @property
    def keeps_time(self) -> bool:
        """Whether the plan says by what."""
        return bool(self.ntp_servers) or self.ptp is not None


def host_services(node: Router | Host, ntp_secret: str | None) -> HostServices:
    """Return ``node``'s services; ``ntp_secret`` is what the plan's reference led to."""
    managed = node.management
    ntp = managed.ntp
    addresses = {interface.name: interface.address.ip for interface in node.interfaces}
    key = None if ntp is None or ntp.key_id is None or ntp_secret is None else NtpKey(ntp.key_id, ntp_secret)
    return HostServices(
        name=node.name,
        source=None if managed.source_interface is None else addresses[managed.source_interface],
        ntp_servers=() if ntp is None else ntp.servers,
        ntp_key=key,
        keys_file=KEYS_FILE,
        ptp=managed.ptp,
        ptp_interface=managed.source_interface,
        shared_memory=SHARED_MEMORY,
        syslog_servers=managed.syslog,
        syslog_port=SYSLOG_PORT,
    )
