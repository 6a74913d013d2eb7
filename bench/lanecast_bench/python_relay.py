"""The simplest relay that one would write in Python: receive one datagram, send it to each receiver.

python python_relay.py GROUP PORT INTERFACE_ADDRESS RECEIVER_PORT RECEIVER…
"""

from __future__ import annotations

import socket
import sys

MOST_BYTES = 65536


def relay(group: str, port: int, interface: str, receivers: list[tuple[str, int]]) -> None:
    """Forward until killed."""
    incoming = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    incoming.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    incoming.bind((group, port))
    membership = socket.inet_aton(group) + socket.inet_aton(interface)
    incoming.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    outgoing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        datagram = incoming.recv(MOST_BYTES)
        for receiver in receivers:
            outgoing.sendto(datagram, receiver)


if __name__ == "__main__":
    _, GROUP, PORT, INTERFACE, RECEIVER_PORT, *RECEIVERS = sys.argv
    relay(GROUP, int(PORT), INTERFACE, [(address, int(RECEIVER_PORT)) for address in RECEIVERS])
