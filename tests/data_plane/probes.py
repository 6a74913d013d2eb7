"""What tests run in nodes: ``echo PORT`` answers datagrams; ``send …`` sends some; ``spoof …`` sends with a false address.

Each says ``ready`` first.
"""

from __future__ import annotations

import socket
import struct
import sys
import time


def echo(port: str) -> None:
    """Answer every datagram with what it said and whom it came from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("0.0.0.0", int(port)))
        print("ready", flush=True)
        while True:
            text, sender = own.recvfrom(2048)
            own.sendto(f"{text.decode()} from {sender[0]}".encode(), sender)


def listen(port: str, seconds: str, group: str = "") -> None:
    """Print the senders of datagrams that arrive."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("0.0.0.0", int(port)))
        if group:
            own.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + bytes(4))
        print("ready", flush=True)
        end = time.monotonic() + float(seconds)
        while (left := end - time.monotonic()) > 0:
            own.settimeout(left)
            try:
                print(own.recvfrom(2048)[1][0], flush=True)
            except TimeoutError:
                break


def ask(address: str, port: str, own_port: str, tries: str) -> None:
    """Send datagrams from one port, ten a second, until one is answered; print the answer or nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("0.0.0.0", int(own_port)))
        print("ready", flush=True)
        own.settimeout(0.1)
        for _ in range(int(tries)):
            own.sendto(b"hello", (address, int(port)))
            try:
                print(own.recv(2048).decode(), flush=True)
                return
            except TimeoutError:
                continue


def send(address: str, port: str, count: str = "5", own_port: str = "0") -> None:
    """Send datagrams and do not wait."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("0.0.0.0", int(own_port)))
        own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        print("ready", flush=True)
        for _ in range(int(count)):
            own.sendto(b"hello", (address, int(port)))


def spoof(source: str, address: str, port: str) -> None:
    """Send datagrams that say to come from another address."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as own:
        print("ready", flush=True)
        data = b"hello"
        udp = struct.pack("!HHHH", 4000, int(port), 8 + len(data), 0) + data
        ends = socket.inet_aton(source) + socket.inet_aton(address)
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + ends
        for _ in range(5):
            own.sendto(header + udp, (address, 0))


def announce(interface: str, address: str) -> None:
    """Say by gratuitous ARP that an address is here (RFC 5227, section 3)."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as own:
        own.bind((interface, 0))
        print("ready", flush=True)
        mac, here = own.getsockname()[4], socket.inet_aton(address)
        header = b"\xff" * 6 + mac + struct.pack("!H", 0x0806)
        own.send(header + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + here + bytes(6) + here)


def raw_listen(protocol: str, seconds: str) -> None:
    """Print the senders of packets of an IP protocol."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, int(protocol)) as own:
        print("ready", flush=True)
        end = time.monotonic() + float(seconds)
        while (left := end - time.monotonic()) > 0:
            own.settimeout(left)
            try:
                print(own.recvfrom(2048)[1][0], flush=True)
            except TimeoutError:
                break


def raw_send(protocol: str, address: str) -> None:
    """Send packets of an IP protocol."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, int(protocol)) as own:
        print("ready", flush=True)
        for _ in range(5):
            own.sendto(b"hello", (address, 0))


DEEDS = {
    "announce": announce,
    "ask": ask,
    "echo": echo,
    "listen": listen,
    "raw-listen": raw_listen,
    "raw-send": raw_send,
    "send": send,
    "spoof": spoof,
}

if __name__ == "__main__":
    DEEDS[sys.argv[1]](*sys.argv[2:])  # type: ignore[operator]
