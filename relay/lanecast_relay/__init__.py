"""Lanecast's relay: turns multicast lines of a feed into unicast, each message once and in order.

The package is pure Python; the packet path is the native module ``lanecast_relay._core``, which only
``lanecast_relay.engine`` imports, so that whoever needs the configuration model alone pays for nothing else.
"""

__version__ = "0.1.0"
