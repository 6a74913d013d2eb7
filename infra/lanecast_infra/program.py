"""The Pulumi program: compiles the plan and makes what the stack's region must hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi.runtime import get_root_directory

from lanecast.compiler import compile_plan
from lanecast.compiler.invention import PoolExhaustedError
from lanecast.plan.loader import load_plan
from lanecast_infra import baiducloud
from lanecast_infra.components.dedicated_line import DedicatedLineGateway
from lanecast_infra.components.machines import GuardedMachines, MachineSettings
from lanecast_infra.components.nat_bridge import NatBridge
from lanecast_infra.components.peering import Peering
from lanecast_infra.components.region import Region
from lanecast_infra.components.subscribers import SubscriberPool
from lanecast_infra.neighbours import ForeignStackError, Neighbours, StackNameError, outputs_of, stack_of
from lanecast_infra.outputs import LEFT_OUT, OUTDATED, PLAN, RENEWED_VARIABLE, TAKEN, WAITING
from lanecast_infra.policy import violations
from lanecast_infra.regional import (
    FIRST_ENDS,
    GATEWAYS,
    PEERINGS,
    SECOND_ENDS,
    VPCS,
    Elsewhere,
    Gateway,
    OtherProviderError,
    Regional,
    RouteRule,
    UnknownRegionError,
    Vpc,
    regional,
)
from lanecast_infra.regional import Peering as DeclaredPeering
from lanecast_infra.secrets import MissingSecretError, secret
from lanecast_relay.config.document import DocumentError, UnreadableDocument
from lanecast_templates.box_files import SECRET_MODE, RenderedFile, render_user_data
from lanecast_templates.errors import RenderError
from lanecast_templates.secrets import SecretResolver

STOPS = (
    UnreadableDocument,
    DocumentError,
    PoolExhaustedError,
    UnknownRegionError,
    OtherProviderError,
    ForeignStackError,
    StackNameError,
    MissingSecretError,
    RenderError,
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
    try:
        fabric = compile_plan(load_plan(path))
        part = regional(fabric, configuration.get("region") or stack)
        if found := violations(part):
            raise pulumi.RunError("\n".join(["nothing is made: what the plan asks for breaks a policy", *found]))
        names = {one.region: stack_of(stack, part.region, one.region) for one in part.needed}
        neighbours = Neighbours(part.plan, lambda other: outputs_of(names[other]))
        # All is read before anything is made: the program makes only what it knows everything for.
        known = {one: there for one in part.needed if (there := neighbours.find(one)) is not None}
        resolver = SecretResolver(directory=path.parent)
        user_data = {
            one.name: render_user_data(fabric, one.host, resolver)
            for pool in (*part.pools, *part.bridges)
            for one in pool.machines
        }
        passwords = {one.name: secret(one.password, path, stack) for one in part.gateways if one.password}
    except STOPS as error:
        raise pulumi.RunError(str(error)) from None
    protect = configuration.get_bool("protect") is not False
    _Making(part, Region(part, protect), known, passwords, user_data, protect).make()
    for text in (*neighbours.waiting, *part.left_out):
        pulumi.log.info(text)
    pulumi.export(PLAN, part.plan)
    pulumi.export(WAITING, neighbours.waiting)
    pulumi.export(LEFT_OUT, list(part.left_out))
    pulumi.export(TAKEN, {names[region]: kinds for region, kinds in neighbours.taken.items()})


def project_folder() -> Path:
    """Where Pulumi.yaml is. An older language host does not tell; it starts the program in that folder or below."""
    if told := get_root_directory():
        return Path(told)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").exists()), here)


@dataclass(frozen=True, slots=True)
class _Making:
    """What leads out of the region's networks, made beside them."""

    part: Regional
    region: Region
    known: dict[Elsewhere, str]
    passwords: dict[str, pulumi.Output[str]]
    user_data: dict[str, RenderedFile]
    """By machine."""
    protect: bool

    def make(self) -> None:
        peerings = {one.name: peering.connection for one in self.part.peerings if (peering := self._peering(one))}
        made: dict[str, dict[str, pulumi.Output[str]]] = {
            VPCS: {name: network.vpc.id for name, network in self.region.networks.items()},
            PEERINGS: {name: connection.id for name, connection in peerings.items()},
            FIRST_ENDS: {name: connection.local_if_id for name, connection in peerings.items()},
            SECOND_ENDS: {name: connection.peer_if_id for name, connection in peerings.items()},
            GATEWAYS: {one.name: self._gateway(one).gateway.id for one in self.part.gateways},
        }
        pulumi.export(OUTDATED, self._outdated(self._machines()))
        for vpc in self.part.vpcs:
            for rule in vpc.rules:
                own = made[rule.kind].get(rule.target)
                target = self.known.get(rule.elsewhere) if rule.elsewhere else own
                if target is not None:
                    self._rule(vpc, rule, target)
        for kind, ids in made.items():
            pulumi.export(kind, ids)

    def _peering(self, one: DeclaredPeering) -> Peering | None:
        """None while the other region's VPC is waited for."""
        local = self.region.networks[one.local_vpc].vpc.id
        peer: pulumi.Input[str] | None
        peer = self.known.get(one.elsewhere) if one.elsewhere else self.region.networks[one.peer_vpc].vpc.id
        return None if peer is None else Peering(one, local, peer, self.region, self.region.provider, self.protect)

    def _gateway(self, one: Gateway) -> DedicatedLineGateway:
        vpc = self.region.networks[one.vpc].vpc.id
        key = self.passwords.get(one.name)
        return DedicatedLineGateway(one, vpc, key, self.region, self.region.provider, self.protect)

    def _machines(self) -> dict[str, baiducloud.Instance]:
        """Every machine of the region, by name."""
        if not self.user_data:
            return {}
        settings = pulumi.Config("lanecast")
        spec = settings.require("machine")
        image = _image(settings.require("image"), self.region.provider)
        given = {name: _given(file) for name, file in self.user_data.items()}
        renewed = frozenset(os.environ.get(RENEWED_VARIABLE, "").split(","))
        made = MachineSettings(spec, image, given, renewed)
        groups: list[GuardedMachines] = []
        for one in self.part.pools:
            at = (self.region.networks[one.vpc], made, self.region, self.region.provider, self.protect)
            groups.append(SubscriberPool(one, *at).machines)
        for one in self.part.bridges:
            at = (self.region.networks[one.vpc], made, self.region, self.region.provider, self.protect)
            groups.append(NatBridge(one, *at).machines)
        return {name: instance for group in groups for name, instance in group.instances.items()}

    def _outdated(self, machines: dict[str, baiducloud.Instance]) -> pulumi.Output[list[str]]:
        """The machines whose files are those of an earlier plan."""
        names = sorted(machines)
        held = pulumi.Output.all(*(machines[name].user_data for name in names))
        return pulumi.Output.unsecret(
            held.apply(
                lambda texts: [
                    name for name, text in zip(names, texts, strict=True) if text != self.user_data[name].text
                ]
            )
        )

    def _rule(self, vpc: Vpc, rule: RouteRule, target: pulumi.Input[str]) -> None:
        network = self.region.networks[vpc.name]
        baiducloud.RouteRule(
            rule.name,
            route_table_id=network.vpc.route_table_id,
            destination_address=rule.destination,
            nexthop_type=NEXT_HOPS[rule.kind],
            nexthop_id=target,
            description=rule.target,
            opts=pulumi.ResourceOptions(parent=network, provider=self.region.provider, protect=self.protect),
        )


NEXT_HOPS = {FIRST_ENDS: "peerConn", SECOND_ENDS: "peerConn", GATEWAYS: "dcGateway"}
"""The provider's word for each kind of target."""


def _image(name: str, provider: baiducloud.Provider) -> str:
    """The id of the newest image of that name."""
    try:
        return baiducloud.get_image(name=name, opts=pulumi.InvokeOptions(provider=provider)).id
    except Exception as error:  # the SDK raises nothing more special
        reason = str(error).rpartition("returned an error: ")[2]
        raise pulumi.RunError(f"no image is found for lanecast:image {name}: {reason}") from None


def _given(file: RenderedFile) -> pulumi.Input[str]:
    return pulumi.Output.secret(file.text) if file.mode == SECRET_MODE else file.text
