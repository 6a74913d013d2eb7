"""The addresses of the benchmark's network.

    sender 10.77.1.1 ──veth── 10.77.1.2 relay 10.77.16.1 ──veth── 10.77.17.1…N sink

The sender multicasts to the groups, the relay sends unicast to the receivers, and one sink counts for all of them.
"""

from __future__ import annotations

GROUP, GROUP_PORT = "239.77.0.1", 5000
"""Line A, and the only line of the plain input."""

SECOND_GROUP, SECOND_GROUP_PORT = "239.77.0.2", 5001
"""Line B."""

SENDER = "10.77.1.1"
RELAY_INPUT = "10.77.1.2"
RELAY_OUTPUT = "10.77.16.1"
SINK_LINK = "10.77.31.254"
RECEIVER_PORT = 6000
RECEIVERS_A_SUBNET = 250
MOST_RECEIVERS = 14 * RECEIVERS_A_SUBNET
"""10.77.17.0 to 10.77.30.0: what lies between the relay's and the sink's own addresses in 10.77.16.0/20."""


def receiver(index: int) -> str:
    """The address of a receiver, counted from 0."""
    if not 0 <= index < MOST_RECEIVERS:
        raise ValueError(f"receiver {index}: expected 0 to {MOST_RECEIVERS - 1}")
    return f"10.77.{17 + index // RECEIVERS_A_SUBNET}.{index % RECEIVERS_A_SUBNET + 1}"


def receivers(fanout: int) -> list[str]:
    """The addresses of the first ``fanout`` receivers."""
    return [receiver(index) for index in range(fanout)]


def multicast_leg(index: int) -> tuple[str, str]:
    """The relay's and the sink's address on a leg of kernel multicast routing, which knows no unicast."""
    return f"10.78.{index}.1", f"10.78.{index}.2"
