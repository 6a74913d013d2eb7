"""Routers of other platforms run as FRR in the lab, rendered from the same model; what that leaves out is said.

The plan itself is changed, before it is compiled, so that every address, filter and timer is decided as for the routers
themselves; only what FRR cannot do, and how ports are called, is left out.
"""

from __future__ import annotations

from lanecast.plan.model import Circuit, Exchange, Plan, Platform, Router, Site, Uplink
from lanecast.platforms import FACTS
from lanecast_lab.errors import LabError


def as_frr(plan: Plan) -> tuple[Plan, list[str]]:
    """Return the plan with every router an FRR one, and what the verdict should say of it.

    Raises :class:`LabError` for what no FRR router can stand in for: a rendezvous point that learns by MSDP.
    """
    others = {
        name: router
        for site in plan.sites.values()
        for name, router in site.routers.items()
        if router.platform is not Platform.FRR
    }
    if not others:
        return plan, []
    telling = [name for name, exchange in plan.exchanges.items() if _tells_by_msdp(exchange)]
    if telling:
        reason = "its routers run as FRR 8.4, which cannot bound what MSDP tells"
        raise LabError(f"the lab cannot run exchanges.{telling[0]}.rendezvous.msdp: {reason}")
    notes = [_said_of(name, router) for name, router in sorted(others.items())]
    sites = {name: _site(site) for name, site in plan.sites.items()}
    left_out = _left_out(plan)
    notes += [f"not exercised, because FRR stands in: {', '.join(left_out)}"] if left_out else []
    managed = plan.management.model_copy(update={"aaa": None, "users": {}})
    return plan.model_copy(update={"sites": sites, "management": managed}), notes


def _tells_by_msdp(exchange: Exchange) -> bool:
    return exchange.rendezvous is not None and exchange.rendezvous.msdp is not None


def _said_of(name: str, router: Router) -> str:
    place = "" if router.vrf is None else f", and VRF {router.vrf} is its only table"
    return f"{name} ({FACTS[router.platform].title}) runs as FRR, rendered from the same model{place}"


def _site(site: Site) -> Site:
    """A site of FRR routers; keys that only other platforms take are left out of BGP sessions."""
    unmade: dict[str, object] = {"ports": {}, "switch": None, "vrf": None, "unused_ports": []}
    routers = {
        name: router.model_copy(update={"platform": Platform.FRR, **unmade})
        if router.platform is not Platform.FRR
        else router
        for name, router in site.routers.items()
    }
    without = {"tcp_ao": None}
    return site.model_copy(
        update={
            "routers": routers,
            "circuits": {name: line.model_copy(update=without) for name, line in site.circuits.items()},
            "uplinks": {name: line.model_copy(update=without) for name, line in site.uplinks.items()},
        }
    )


def _left_out(plan: Plan) -> list[str]:
    lines: list[Circuit | Uplink] = [line for site in plan.sites.values() for line in site.circuits.values()]
    lines += [line for site in plan.sites.values() for line in site.uplinks.values()]
    routers = [router for site in plan.sites.values() for router in site.routers.values()]
    asked = {
        "TCP-AO": any(line.tcp_ao is not None for line in lines),
        "VLANs that a router switches": any(router.switch is not None for router in routers),
        "AAA": plan.management.aaa is not None,
        "local users": bool(plan.management.users),
        "shut ports": any(router.unused_ports for router in routers),
    }
    return [what for what, is_asked in asked.items() if is_asked]
