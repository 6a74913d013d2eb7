"""An address and a port, as a person writes them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An IPv4 address and a UDP port, written ``224.0.31.1:14310``."""

    address: IPv4Address
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def read_endpoint(value: object) -> Endpoint:
    """Return ``address:port`` as an :class:`Endpoint`; raise ``ValueError`` with what was expected."""
    if isinstance(value, Endpoint):
        return value
    address, _, port = str(value).rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError("expected address:port with a port from 1 to 65535, such as 224.0.31.1:14310")
    try:
        return Endpoint(IPv4Address(address), int(port))
    except ValueError:
        raise ValueError(f"expected an IPv4 address before the port, such as 224.0.31.1:{port}") from None
