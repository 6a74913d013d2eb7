"""An address and a port, as a person writes them."""

from __future__ import annotations

from ipaddress import IPv4Address


def split_endpoint(text: str) -> tuple[IPv4Address, int]:
    """Return the parts of ``address:port``; raise ``ValueError`` with what was expected."""
    address, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError("expected address:port with a port from 1 to 65535, such as 224.0.31.1:14310")
    try:
        return IPv4Address(address), int(port)
    except ValueError:
        raise ValueError(f"expected an IPv4 address before the port, such as 224.0.31.1:{port}") from None
