"""The Pulumi program: compiles the plan and makes what the stack's region must hold."""

from __future__ import annotations

from pathlib import Path

import pulumi
from pulumi.runtime import get_root_directory

from lanecast.compiler import compile_plan
from lanecast.compiler.invention import PoolExhaustedError
from lanecast.plan.loader import load_plan
from lanecast_infra import baiducloud
from lanecast_infra.components.peering import Peering
from lanecast_infra.components.region import Region
from lanecast_infra.neighbours import (
    LEFT_OUT,
    PLAN,
    WAITING,
    ForeignStackError,
    Neighbours,
    StackNameError,
    outputs_of,
    stack_of,
)
from lanecast_infra.policy import violations
from lanecast_infra.regional import (
    PEERINGS,
    VPCS,
    Elsewhere,
    OtherProviderError,
    Regional,
    UnknownRegionError,
    regional,
)
from lanecast_relay.config.document import DocumentError, UnreadableDocument

STOPS = (
    UnreadableDocument,
    DocumentError,
    PoolExhaustedError,
    UnknownRegionError,
    OtherProviderError,
    ForeignStackError,
    StackNameError,
)
"""What ends the program with its text alone."""


def run() -> None:
    """Make one region of the plan that the stack's configuration names (lanecast:plan).

    A relative plan is looked for beside Pulumi.yaml. The region is the stack's name, unless lanecast:region says
    another. ``lanecast:protect`` (true unless set) keeps what carries traffic from being removed.
    """
    configuration = pulumi.Config("lanecast")
    path = project_folder() / configuration.require("plan")
    stack = pulumi.get_stack()
    region = configuration.get("region") or stack
    protect = configuration.get_bool("protect")
    try:
        fabric = compile_plan(load_plan(path))
        part = regional(fabric.cloud, fabric.name, region)
        if found := violations(part):
            raise pulumi.RunError("\n".join(["nothing is made: what the plan asks for breaks a policy", *found]))
        names = {one.region: stack_of(stack, region, one.region) for one in part.needed}
        neighbours = Neighbours(fabric.name, lambda other: outputs_of(names[other]))
        # Read before anything is made: the program makes only what it knows everything for.
        known = {one: neighbours.find(one) for one in part.needed}
    except STOPS as error:
        raise pulumi.RunError(str(error)) from None
    _make(part, {one: found for one, found in known.items() if found is not None}, protect is not False)
    for text in (*neighbours.waiting, *part.left_out):
        pulumi.log.info(text)
    pulumi.export(PLAN, part.plan)
    pulumi.export(WAITING, neighbours.waiting)
    pulumi.export(LEFT_OUT, list(part.left_out))


def project_folder() -> Path:
    """Where Pulumi.yaml is. An older language host does not tell; it starts the program in that folder or below."""
    if told := get_root_directory():
        return Path(told)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").exists()), here)


def _make(part: Regional, known: dict[Elsewhere, str], protect: bool) -> None:
    region = Region(part, protect)
    peerings = {}
    for one in part.peerings:
        local = region.networks[one.local_vpc].vpc.id
        peer: pulumi.Input[str] | None
        peer = known.get(one.elsewhere) if one.elsewhere else region.networks[one.peer_vpc].vpc.id
        if peer is not None:
            peerings[one.name] = Peering(one, local, peer, region, region.provider, protect).connection
    _make_rules(part, region, {name: one.id for name, one in peerings.items()}, known, protect)
    pulumi.export(VPCS, {name: network.vpc.id for name, network in region.networks.items()})
    pulumi.export(PEERINGS, {name: one.id for name, one in peerings.items()})


def _make_rules(
    part: Regional,
    region: Region,
    targets: dict[str, pulumi.Output[str]],
    known: dict[Elsewhere, str],
    protect: bool,
) -> None:
    """The routes of every VPC whose target is there, whoever makes it."""
    for vpc in part.vpcs:
        network = region.networks[vpc.name]
        for rule in vpc.rules:
            target: pulumi.Input[str] | None
            target = known.get(rule.elsewhere) if rule.elsewhere else targets.get(rule.target)
            if target is None:
                continue
            baiducloud.RouteRule(
                rule.name,
                route_table_id=network.vpc.route_table_id,
                destination_address=rule.destination,
                nexthop_type=NEXT_HOPS[rule.kind],
                nexthop_id=target,
                description=rule.target,
                opts=pulumi.ResourceOptions(parent=network, provider=region.provider, protect=protect),
            )


NEXT_HOPS = {PEERINGS: "peerConn"}
"""The provider's word for each kind of target."""
