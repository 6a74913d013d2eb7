"""What a running FRR is told when a gateway's configuration changes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network

from lanecast.router import Bfd
from lanecast_lab.cloud.data_plane.frr_changes import changes
from lanecast_lab.cloud.data_plane.gateways import Gateway, frr_files, gateway_router

GATEWAY = Gateway(
    key="dcgw-1",
    vpc="vpc-1",
    channel="dedicatedconn-1",
    cloud_address=IPv4Interface("192.0.2.1/30"),
    site_address=IPv4Interface("192.0.2.2/30"),
    vlan=201,
    local_cidrs=(IPv4Network("10.8.0.0/16"), IPv4Network("10.9.0.0/16")),
    site_networks=(),
    site_asn=65101,
    bfd=Bfd(300, 3),
    most_routes=100,
)


def text(gateway: Gateway, key: str = "secret") -> str:
    return frr_files(gateway_router(gateway, bool(key)), key)[0]


def told(after: Gateway, before: Gateway = GATEWAY) -> list[str] | None:
    lines = changes(text(before), text(after))
    return None if lines is None else lines.splitlines()


def test_nothing_is_said_when_nothing_changes() -> None:
    assert told(GATEWAY) == []


def test_other_timers_of_bfd() -> None:
    assert told(replace(GATEWAY, bfd=Bfd(400, 5))) == [
        "bfd",
        "profile neighbor-line",
        "detect-multiplier 5",
        "bfd",
        "profile neighbor-line",
        "transmit-interval 400",
        "bfd",
        "profile neighbor-line",
        "receive-interval 400",
    ]


def test_bfd_goes_before_its_profile() -> None:
    assert told(replace(GATEWAY, bfd=None)) == [
        "router bgp 45085",
        "no neighbor 192.0.2.2 bfd",
        "bfd",
        "no profile neighbor-line",
    ]


def test_bfd_comes_after_its_profile() -> None:
    lines = told(GATEWAY, replace(GATEWAY, bfd=None))
    assert lines is not None
    assert lines.index("profile neighbor-line") < lines.index("neighbor 192.0.2.2 bfd profile neighbor-line")


def test_other_networks() -> None:
    one = "router bgp 45085", "address-family ipv4 unicast"
    assert told(replace(GATEWAY, local_cidrs=GATEWAY.local_cidrs[1:])) == [
        "ip prefix-list to-site seq 5 permit 10.9.0.0/16",
        *(*one, "no network 10.8.0.0/16"),
        "no ip prefix-list to-site seq 10 permit 10.9.0.0/16",
    ]
    assert told(replace(GATEWAY, most_routes=7)) == [*one, "neighbor 192.0.2.2 maximum-prefix 7"]


def test_what_needs_a_restart() -> None:
    assert changes(text(GATEWAY), text(GATEWAY, key="other")) is None
    assert changes(text(GATEWAY), text(GATEWAY, key="")) is None
    assert told(replace(GATEWAY, site_asn=65102)) is None
    assert told(replace(GATEWAY, cloud_address=IPv4Interface("192.0.2.5/30"))) is None
    assert told(replace(GATEWAY, site_address=IPv4Interface("192.0.2.3/30"))) is None


def test_a_key_is_in_the_configuration_alone() -> None:
    configuration, daemons = frr_files(gateway_router(GATEWAY, has_key=True), "s3cr3t")
    assert configuration.count("s3cr3t") == 1
    assert "holds a secret" in configuration.splitlines()[0]
    assert "s3cr3t" not in daemons
