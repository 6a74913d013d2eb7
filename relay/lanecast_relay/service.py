"""Telling the service manager how far the relay is (sd_notify(3)), without a library."""

from __future__ import annotations

import os
import socket
import time

import structlog

TOLD_WITHIN_S = 1.0
"""How long a service manager that does not read may take, in seconds."""


def watchdog_s() -> float | None:
    """How often the service manager wants to hear from this process, in seconds; None: never (sd_notify(3))."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdigit() or int(microseconds) == 0 or pid != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000


def notify(state: str) -> None:
    """Send ``state``, such as ``READY=1``, to the service manager; do nothing where there is none.

    One that is gone ends no relay: sd_notify(3), "the return value should generally be ignored".
    """
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    # sd_notify(3): a leading @ stands for the zero byte of an abstract socket.
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(TOLD_WITHIN_S)
            channel.sendto(state.encode(), address)
    except OSError as error:
        log = structlog.get_logger()
        log.warning("the service manager cannot be told", state=state, socket=path, reason=str(error))


def reloading() -> None:
    """Tell the service manager that a reload begins; ``READY=1`` says that it is over (sd_notify(3))."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
