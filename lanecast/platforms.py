"""What each router platform is called, how it names interfaces, what it cannot do, and what another part does for it.

A plan that asks for a :class:`Feature` that a platform lacks gets one mistake with line, platform and reason
(``lanecast.plan.checks.platforms``). Of a :class:`Duty`, what every router has to have whether a plan asks or not, a
platform says where another part does it; the hardening table (docs/hardening.md) is made from both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lanecast.plan.model import Platform


class Feature(StrEnum):
    """What a plan can ask of a router."""

    VRF = "a VRF"
    SWITCH = "VLANs that it switches"
    RENDEZVOUS_POINT = "an exchange's rendezvous point"
    MSDP = "a rendezvous point of its own with MSDP"
    MSDP_PASSWORD = "MSDP passwords"
    STATIC_JOINS = "static joins"
    DR_PRIORITY = "a DR priority"
    BFD = "BFD"
    PASSWORD = "BGP passwords"
    TCP_AO = "TCP-AO"
    NTP_KEY = "NTP keys"
    PTP = "PTP"
    SYSLOG = "syslog servers"
    TACACS = "TACACS+"
    RADIUS = "RADIUS"
    USERS = "local users"
    UNUSED_PORTS = "ports to be shut"


class Duty(StrEnum):
    """What every router has to have."""

    PIM_NEIGHBORS = "a list of allowed PIM neighbours"
    PIM_PASSIVE = "PIM without hellos towards hosts"
    IGMP_GROUPS = "a list of groups that may be joined"
    IGMP_LIMIT = "a limit of joined groups"
    BOUNDARY = "multicast boundaries"
    REGISTER_FILTER = "a register filter at a rendezvous point"
    MSDP_FILTER = "MSDP filters and limits"
    MSDP_AUTHENTICATION = "MSDP sessions with a password"
    GTSM = "GTSM"
    MAXIMUM_PREFIXES = "a most of prefixes for each neighbour"
    AS_PATHS = "AS-path filters"
    FIRST_AS = "the neighbour's own AS first in a path"
    CONTROL_PLANE = "control-plane protection"
    ACCESS_LISTS = "access lists at interfaces"
    REVERSE_PATH = "reverse-path checks"
    NO_REDIRECTS = "no redirects, no directed broadcasts"
    MANAGEMENT = "SSH from management alone, time and logs"


ANY_KIND = re.compile(r".+")


@dataclass(frozen=True, slots=True)
class PlatformFacts:
    """One platform."""

    title: str
    """What its text is for, with the release."""
    ports: re.Pattern[str]
    """What a port may be called."""
    port_example: str
    loopback: str
    vrf_loopback: str | None = None
    """The same in a VRF, on platforms on which the VRF has to have one of its own."""
    vlan_interface: str | None = None
    """The router's own interface in VLAN ``{}``; None where it switches nothing."""
    ssh_keys: re.Pattern[str] = ANY_KIND
    """Which kinds of public keys it takes from users."""
    made_up_names: bool = False
    """Whether a port that the plan does not name is called after its purpose: Linux takes any name."""
    runs_frr: bool = False
    """Whether FRR runs its protocols, which takes a BGP neighbour with GTSM for one behind several hops of BFD."""
    filters_with_state: bool = False
    """Whether its own text says what a packet filter with state (``Router.firewall``) lets in and through."""
    lacks: Mapping[Feature, str] = field(default_factory=dict)
    """What it cannot do, and why."""
    elsewhere: Mapping[Duty, str] = field(default_factory=dict)
    """What it has no command for, and which part does it."""


FACTS: Mapping[Platform, PlatformFacts] = {
    Platform.FRR: PlatformFacts(
        title="FRR 8.4 on Linux",
        ports=re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}"),
        port_example="eth1",
        loopback="lo",
        made_up_names=True,
        runs_frr=True,
        lacks={
            Feature.VRF: "its packet filter and kernel settings are written for the global table",
            Feature.SWITCH: "the box routes; give it a switch of its own",
            Feature.MSDP: "8.4 has no MSDP password, no filter of active sources and no limit of them",
            Feature.TCP_AO: "neither it nor Linux's BGP daemons take TCP-AO keys: use a password",
            Feature.TACACS: "logins of a Linux box are its own affair (PAM)",
            Feature.RADIUS: "logins of a Linux box are its own affair (PAM)",
            Feature.USERS: "users of a Linux box are its own affair",
            Feature.UNUSED_PORTS: "interfaces outside the plan are not touched on a Linux box",
        },
        elsewhere={
            Duty.PIM_NEIGHBORS: "nftables takes PIM from the neighbour alone",
            Duty.IGMP_GROUPS: "the multicast boundary of the interface",
            Duty.IGMP_LIMIT: "the boundary bounds groups to the carried ones; nftables limits IGMP's rate",
            Duty.REGISTER_FILTER: "it is never a rendezvous point",
            Duty.MSDP_FILTER: "it has no MSDP",
            Duty.CONTROL_PLANE: "nftables",
            Duty.ACCESS_LISTS: "nftables",
            Duty.REVERSE_PATH: "sysctl rp_filter",
            Duty.NO_REDIRECTS: "sysctl",
            Duty.MANAGEMENT: "nftables, chrony and rsyslog of the box",
        },
    ),
    Platform.EOS: PlatformFacts(
        title="Arista EOS 4.3x",
        ports=re.compile(r"Ethernet\d+(/\d+){0,2}|Port-Channel\d+"),
        port_example="Ethernet1",
        loopback="Loopback0",
        vlan_interface="Vlan{}",
        lacks={
            Feature.MSDP_PASSWORD: "it has none: leave it out",
        },
        elsewhere={
            Duty.PIM_PASSIVE: "hellos go out, and a neighbour filter of nobody and the access list take none",
            Duty.IGMP_GROUPS: "the multicast boundary of the interface",
            Duty.IGMP_LIMIT: "the boundary bounds groups to the carried ones; the control plane bounds IGMP's rate",
            Duty.MSDP_AUTHENTICATION: "its access lists take MSDP from the peer alone",
            Duty.REGISTER_FILTER: "the control plane's access list denies PIM to the rendezvous point's address",
        },
    ),
    Platform.IOS_XE: PlatformFacts(
        title="Cisco IOS XE 17.x on routers",
        ports=re.compile(
            r"(GigabitEthernet|TwoGigabitEthernet|FiveGigabitEthernet|TenGigabitEthernet|TwentyFiveGigE"
            r"|FortyGigabitEthernet|HundredGigE)\d+(/\d+){0,2}|Port-channel([1-9]\d?|[1-4]\d\d|50\d|51[0-2])"
        ),
        port_example="GigabitEthernet0/0/0",
        loopback="Loopback0",
        vlan_interface="Vlan{}",
        lacks={
            Feature.PTP: "of its routers only the ASR 1002-X has a PTP clock, which follows unicast masters that a plan"
            " does not name and sets no system time",
        },
    ),
    Platform.NX_OS: PlatformFacts(
        title="Cisco NX-OS 10.x on Nexus 9000",
        ports=re.compile(
            r"Ethernet[1-9]\d*/[1-9]\d*(/[1-4])?|port-channel([1-9]\d{0,2}|[1-3]\d{3}|40[0-8]\d|409[0-6])"
        ),
        port_example="Ethernet1/1",
        loopback="loopback0",
        vlan_interface="Vlan{}",
        lacks={
            Feature.TCP_AO: "not before 10.4, and no command reference at hand confirms its words: use a password",
        },
    ),
    Platform.JUNOS: PlatformFacts(
        title="Juniper Junos 22.x and 23.x on MX",
        ports=re.compile(r"(ge|xe|et)-\d+/\d+/\d+(:\d+)?|ae\d+"),
        port_example="xe-0/0/0",
        loopback="lo0.0",
        vrf_loopback="lo0.1",
        vlan_interface="irb.{}",
        lacks={
            Feature.PTP: "an MX takes PTP over UDP from named grandmasters alone, and a plan names none",
        },
        elsewhere={
            Duty.PIM_PASSIVE: "hellos go out, and a neighbour policy of nobody and the interface's filter take none",
        },
    ),
    Platform.HUAWEI_VRP: PlatformFacts(
        title="Huawei VRP 8 on NetEngine 40E",
        # No trunks: of which slots their members are, where the CPU's policy has to be, a plan does not say.
        ports=re.compile(r"(GigabitEthernet|10GE|25GE|40GE|50GE|100GE|200GE|400GE)\d+(/\d+){2}"),
        port_example="GigabitEthernet0/1/0",
        loopback="LoopBack0",
        vlan_interface="Vlanif{}",
        ssh_keys=re.compile(r"ssh-rsa|ecdsa-sha2-nistp(256|384|521)"),
        lacks={
            Feature.PTP: "no guide of it has a clock of several ports that is never the grandmaster",
        },
    ),
    Platform.H3C_COMWARE: PlatformFacts(
        title="H3C Comware 7 on MSR and SR routers",
        # No aggregates: in which slots their members are, where the control plane's policy has to be, no plan says.
        ports=re.compile(
            r"(GigabitEthernet|Ten-GigabitEthernet|Twenty-FiveGigE|FortyGigE|HundredGigE)([12]?\d|3[01])(/\d+){1,2}"
        ),
        port_example="GigabitEthernet1/0/1",
        loopback="LoopBack0",
        vlan_interface="Vlan-interface{}",
        ssh_keys=re.compile(r"ssh-rsa|ecdsa-sha2-nistp(256|384)"),
        lacks={
            Feature.TCP_AO: "its keychains are for a TCP option older than RFC 5925: use a password",
            Feature.PTP: "no guide of these routers has PTP",
        },
        elsewhere={
            Duty.IGMP_LIMIT: "its group policy bounds joins to the carried groups; snooping limits access ports",
        },
    ),
    Platform.VYOS: PlatformFacts(
        title="VyOS 1.4 (sagitta)",
        ports=re.compile(r"(eth|lan)\d{1,3}"),
        port_example="eth1",
        loopback="lo",
        vlan_interface="br{}",
        runs_frr=True,
        filters_with_state=True,
        lacks={
            Feature.VRF: "1.4 has no PIM in a VRF (`vrf name … protocols` has BGP, but no `pim`)",
            Feature.MSDP: "1.4 has no commands for MSDP",
            Feature.TCP_AO: "FRR, which runs its BGP, takes no TCP-AO keys: use a password",
            Feature.NTP_KEY: "`service ntp` of 1.4 has no keys",
            Feature.PTP: "1.4 has no PTP",
        },
        elsewhere={
            Duty.PIM_NEIGHBORS: "`firewall ipv4 input` takes PIM from the neighbour alone",
            Duty.IGMP_GROUPS: "`firewall ipv4 forward` lets nothing but the carried channels pass",
            Duty.IGMP_LIMIT: "`firewall ipv4 input` takes IGMP from the segment alone, at a bounded rate; "
            "`forward` bounds what passes to the carried channels, and more joined groups than those are logged",
            Duty.BOUNDARY: "`firewall ipv4 forward` lets nothing but the carried channels pass a circuit",
            Duty.REGISTER_FILTER: "it is never a rendezvous point",
            Duty.MSDP_FILTER: "it has no MSDP",
            Duty.CONTROL_PLANE: "`firewall ipv4 input`: each protocol from its peers alone, at a bounded rate",
            Duty.ACCESS_LISTS: "`firewall ipv4 input` and `forward`, with state",
        },
    ),
}
"""Every platform. The templates' authors fill ``lacks`` and ``elsewhere`` from the vendors' command references."""
