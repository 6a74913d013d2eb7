"""Phrases of nftables that several parts of the data plane use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, collapse_addresses

EVERYWHERE = ("", "all", "0.0.0.0/0")
EVERY_PORT = ("", "all", "1-65535", "0-65535")
EVERY_PROTOCOL = ("", "all")


def one_of(values: Iterable[str]) -> str:
    """A set of addresses or networks, those within others left out (nftables refuses overlaps)."""
    networks = collapse_addresses(IPv4Network(value) for value in values)
    return "{ " + ", ".join(str(network) for network in networks) + " }"


def dispatch(what: str, verdicts: Mapping[str, str]) -> list[str]:
    """A rule that looks the verdict up; none when there is nothing to look up."""
    return (
        [f"{what} vmap {{ {', '.join(f'{key} : {verdict}' for key, verdict in verdicts.items())} }}"]
        if verdicts
        else []
    )


def protocol(name: str, source_ports: str, destination_ports: str) -> list[str]:
    """What a rule asks of protocol and ports, in the API's words (``80``, ``80-90``, ``all``)."""
    ports = [
        f"th {side} {text}"
        for side, text in (("sport", source_ports), ("dport", destination_ports))
        if text not in EVERY_PORT
    ]
    if name in ("tcp", "udp"):
        return [f"meta l4proto {name}", *ports]
    if name in EVERY_PROTOCOL:
        return ["meta l4proto { tcp, udp }", *ports] if ports else []
    return [f"meta l4proto {name}"]
