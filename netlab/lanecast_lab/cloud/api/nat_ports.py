"""Ports of DNAT rules: one, a range written ``80-90``, or all of them."""

from __future__ import annotations

from dataclasses import dataclass

from lanecast_lab.cloud.api.calls import JsonObject, between, whole_number
from lanecast_lab.cloud.api.errors import inappropriate

LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PortSpan:
    """What of a public address a rule takes."""

    protocol: str
    first: int
    last: int

    @staticmethod
    def of(rule: JsonObject) -> PortSpan:
        """That of a rule whose ports are right."""
        if rule["protocol"] == "all":
            return PortSpan("all", 0, LAST_PORT)
        return PortSpan(rule["protocol"], *ports_of(rule, "public"))

    def meets(self, other: PortSpan) -> bool:
        """Whether one packet could be for both."""
        one_protocol = "all" in (self.protocol, other.protocol) or self.protocol == other.protocol
        return one_protocol and self.first <= other.last and other.first <= self.last


def ports_of(rule: JsonObject, side: str) -> tuple[int, int]:
    """First and last port of one side of a rule."""
    if text := rule.get(f"{side}PortRange"):
        first, last = (whole_number(part) for part in str(text).partition("-")[::2])
        if first is None or last is None or first > last:
            raise inappropriate(f"{side}PortRange: {text!r} is no range of ports, as 80-90 is")
        span = first, last
    elif f"{side}Port" in rule:
        span = rule[f"{side}Port"], rule[f"{side}Port"]
    else:
        raise inappropriate(f"{side}Port: is missing, and so is {side}PortRange")
    for port in span:
        between(f"{side}Port", port, 1, LAST_PORT)
    return span


def check_ports(rule: JsonObject) -> PortSpan:
    """A rule's public ports, after both sides were found to be alike."""
    if rule["protocol"] == "all":
        return PortSpan.of(rule)
    public, private = ports_of(rule, "public"), ports_of(rule, "private")
    if public[1] - public[0] != private[1] - private[0]:
        raise inappropriate("privatePortRange: is not as long as publicPortRange")
    return PortSpan(rule["protocol"], *public)
