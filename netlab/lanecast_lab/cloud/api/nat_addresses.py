"""The elastic addresses of a NAT gateway, which the calls of gateways and those of addresses both change."""

from __future__ import annotations

from lanecast_lab.cloud.api.calls import Context, JsonObject
from lanecast_lab.cloud.api.errors import denied, in_use, no_such
from lanecast_lab.cloud.api.states import state_at
from lanecast_lab.cloud.api.store import Resource

BINDINGS = ("eips", "dnatEips", "bindEips")
MOST_EIPS = {"small": 5, "medium": 10, "large": 15}
"""[SDK] How many addresses each size can have."""


def require_idle(context: Context, nat: Resource) -> None:
    """Refuse while something else is being done to the gateway."""
    if (state := state_at(nat.body["status"], context.now)) not in ("active", "unconfigured"):
        raise denied(f"NAT gateway {nat.key} is {state}")


def end_state(nat: JsonObject) -> str:
    """What a gateway is when nothing is being done to it: without an address it is not configured."""
    return "active" if any(nat[name] for name in BINDINGS) else "unconfigured"


def check_count(nat: JsonObject) -> None:
    """Refuse more addresses than the gateway's size has room for."""
    if most := MOST_EIPS.get(nat["spec"]):
        for name in BINDINGS:
            if len(nat[name]) > most:
                raise denied(f"{name}: a {nat['spec']} NAT gateway has at most {most} addresses")


def add(context: Context, nat: Resource, name: str, addresses: list[str]) -> None:
    """Addresses more in one of its lists."""
    nat.body[name] += addresses
    check_count(nat.body)
    _configure(context, nat)


def remove(context: Context, nat: Resource, name: str, addresses: list[str]) -> None:
    """Addresses fewer, none of which a rule uses."""
    if missing := [one for one in addresses if one not in nat.body[name]]:
        raise no_such(f"address among the {name} of NAT gateway {nat.key}", missing[0], "EipNotFound")
    for rule in context.store.children(nat.key):
        used = rule.body.get("publicIpsAddress", [rule.body.get("publicIpAddress")])
        if shared := [one for one in used if one in addresses]:
            raise in_use(f"{shared[0]} is used by {rule.kind} {rule.key}")
    nat.body[name] = [one for one in nat.body[name] if one not in addresses]
    _configure(context, nat)


def _configure(context: Context, nat: Resource) -> None:
    nat.body["status"] = context.passing("configuring", end_state(nat.body))
    context.store.save(nat)
