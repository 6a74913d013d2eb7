"""Numbered datagrams from one node to another: run inside nodes by the tests of bridges.

    udp_probe.py send SOURCE_PORT ADDRESS:PORT FIRST COUNT INTERVAL_MS
    udp_probe.py receive ADDRESS:PORT LAST WITHIN_S

The receiver says ``ready``, then a line a datagram (number, nanoseconds of its arrival, sender), and ends with number LAST.
"""

from __future__ import annotations

import socket
import sys
import time


def _endpoint(text: str) -> tuple[str, int]:
    address, _, port = text.partition(":")
    return address, int(port)


def send(source_port: str, to: str, first: str, count: str, interval_ms: str) -> None:
    """Send at a constant pace."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(("", int(source_port)))
    start = time.monotonic()
    for index in range(int(count)):
        wait = start + index * float(interval_ms) / 1000 - time.monotonic()
        if wait > 0:
            time.sleep(wait)  # the pace that was asked for
        sender.sendto(str(int(first) + index).encode(), _endpoint(to))


def receive(at: str, last: str, within_s: str) -> None:
    """Print what arrives."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(_endpoint(at))
    receiver.settimeout(float(within_s))
    print("ready", flush=True)
    number = None
    while number != int(last):
        data, (address, port) = receiver.recvfrom(64)
        number = int(data)
        print(number, time.time_ns(), f"{address}:{port}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(*sys.argv[2:])
    else:
        receive(*sys.argv[2:])
