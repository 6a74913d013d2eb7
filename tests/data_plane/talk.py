"""What tests run in nodes to see whom they talk to: ``serve PORT NAME``, ``ask PROTOCOL ADDRESS PORT COUNT``, ``flow …``.

A server answers everything with its name and the address that it was asked from. Each says ``ready`` first.
"""

from __future__ import annotations

import selectors
import socket
import sys

NOTHING = "nothing"
ANSWERED_WITHIN_S = 0.7


def serve(port: str, name: str) -> None:
    """Answer on TCP, line by line, and on UDP."""
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("0.0.0.0", int(port)), backlog=256)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", int(port)))
    for each in (listener, datagrams):
        selector.register(each, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            one = key.fileobj
            assert isinstance(one, socket.socket)
            if one is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            try:
                _answer(one, name, one is datagrams)
            except (ConnectionError, EOFError):
                selector.unregister(one)
                one.close()


def _answer(one: socket.socket, name: str, is_datagram: bool) -> None:
    text, sender = one.recvfrom(2048)
    if is_datagram:
        one.sendto(f"{name} {sender[0]}\n".encode(), sender)
        return
    if not text:
        raise EOFError
    one.sendall(f"{name} {one.getpeername()[0]}\n".encode())


def _opened(protocol: str, address: str, port: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    made.settimeout(ANSWERED_WITHIN_S)
    made.connect((address, int(port)))
    return made


def _said(own: socket.socket) -> str:
    own.send(b"hello\n")
    return own.recv(2048).decode().strip() or NOTHING


def ask(protocol: str, address: str, port: str, count: str = "1") -> None:
    """Ask so often, each time by a flow of its own, and print what was answered."""
    print("ready", flush=True)
    for _ in range(int(count)):
        try:
            with _opened(protocol, address, port) as own:
                print(_said(own), flush=True)
        except OSError:
            print(NOTHING, flush=True)


def flow(protocol: str, address: str, port: str) -> None:
    """Ask once for each line of standard input, always by the same flow, and print what was answered."""
    own = _opened(protocol, address, port)
    print("ready", flush=True)
    for _ in sys.stdin:
        try:
            print(_said(own), flush=True)
        except OSError:
            print(NOTHING, flush=True)


if __name__ == "__main__":
    {"serve": serve, "ask": ask, "flow": flow}[sys.argv[1]](*sys.argv[2:])  # type: ignore[operator]
