"""Telling the service manager how far the relay is (sd_notify(3)), without a library."""

from __future__ import annotations

import os
import socket
import time


def watchdog_s() -> float | None:
    """How often the service manager wants to hear from this process, in seconds; None: never (sd_notify(3))."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdigit() or int(microseconds) == 0 or pid != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000


def notify(state: str) -> None:
    """Send ``state``, such as ``READY=1``, to the service manager; do nothing where there is none."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    # sd_notify(3): a leading @ stands for the zero byte of an abstract socket.
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto(state.encode(), address)


def reloading() -> None:
    """Tell the service manager that a reload begins; ``READY=1`` says that it is over (sd_notify(3))."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
