"""Every file of one host, and what routers that are Linux boxes share with hosts. ``renderer`` renders a whole Fabric.

Instances of a cloud are rendered from here alone, without what knows of routers' platforms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import yaml

from lanecast.fabric import IN_THE_CLOUD, Fabric, Host, HostRole
from lanecast.nat_bridge import NatBridge
from lanecast.plan.layout import COUNTERPARTS
from lanecast.router import Router, RouterRole
from lanecast_relay.config.model import RelayFile
from lanecast_templates.environment import Templates
from lanecast_templates.errors import RenderError
from lanecast_templates.first_start import user_data
from lanecast_templates.router_secrets import NodeSecrets
from lanecast_templates.secrets import SecretResolver
from lanecast_templates.user_data import USER_DATA, InstanceFile
from lanecast_templates.views.host_services import host_services
from lanecast_templates.views.keepalived import TAKE_OVER, keepalived
from lanecast_templates.views.linux import LinuxNode, linux_node
from lanecast_templates.views.networkd import NetworkdNode, networkd_node

FILE_MODE = 0o644
SECRET_MODE = 0o600
"""Hardening: a file that must hold a secret is readable by its owner alone."""

PROGRAM_MODE = 0o755

RELAY_PROGRAM = "/usr/local/bin/lanecast-relay"


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """One file: where it goes below the output folder (``node/etc/…``), its text and its mode."""

    path: PurePosixPath
    text: str
    mode: int = FILE_MODE


def node_folder(node: Router | Host) -> PurePosixPath:
    """Where the files of a node stand below the output folder."""
    name = PurePosixPath(node.name)
    ours = node.role in (RouterRole.SITE, HostRole.RELAY, *IN_THE_CLOUD)
    return name if ours else COUNTERPARTS / name


def header(fabric: Fabric) -> str:
    """What the first line of every file says."""
    return f"Rendered by lanecast from the plan {fabric.name}: change the plan, not this file."


def plan_place(fabric: Fabric, node: Router | Host) -> tuple[str, ...]:
    """What makes the plan have that node."""
    match node.role:
        case RouterRole.SITE:
            return ("sites", node.place, "routers", node.name)
        case HostRole.RELAY:
            return ("sites", node.place, "relays", node.name)
        case HostRole.SUBSCRIBER:
            return ("subscribers", node.name.rpartition("-")[0])
        case HostRole.BRIDGE:
            return ("bridges", node.name.rpartition("-bridge-")[0])
        case RouterRole.EXCHANGE | HostRole.SOURCE:
            return ("exchanges", node.place)
        case RouterRole.GATEWAY:
            [uplink] = [link for link in fabric.links if node.name in (link.ends[0][0], link.ends[1][0])]
            site = next(end for end, _ in uplink.ends if end != node.name)
            return ("sites", fabric.router(site).place, "uplinks", uplink.name)


def render_user_data(fabric: Fabric, host: Host, secrets: SecretResolver) -> RenderedFile:
    """What the cloud hands to one instance at its first start; its mode tells whether it holds a secret.

    Raises :class:`RenderError` for what is missing or wrong.
    """
    rendering = BoxFiles(fabric, secrets, Templates(fabric.templates))
    try:
        return next(file for file in rendering.host(host) if file.path.name == USER_DATA)
    except RenderError as error:
        raise error.at(plan_place(fabric, host)) from None


@dataclass(frozen=True, slots=True)
class BoxFiles:
    """Files of boxes that run Linux."""

    fabric: Fabric
    secrets: SecretResolver
    templates: Templates

    @property
    def header(self) -> str:
        """The first line of each."""
        return header(self.fabric)

    def host(self, host: Host) -> Iterator[RenderedFile]:
        """Everything of a host; an instance's user data as well."""
        files = list(self._host_files(host))
        yield from files
        if host.role in IN_THE_CLOUD:
            yield self._user_data(node_folder(host), files)

    def _host_files(self, host: Host) -> Iterator[RenderedFile]:
        folder = node_folder(host)
        yield from self.linux(linux_node(host), folder)
        if host.nat is not None:
            yield from self._bridge(host.nat, folder)
        has_network = host.role not in IN_THE_CLOUD
        if has_network:
            # A cloud gives its instances their addresses and routes; everyone else needs them from here.
            yield from self.networkd(networkd_node(host), folder)
        yield from self.services(host, folder)
        if host.relay is not None:
            yield from self._relay(host.relay, folder / "etc", has_network)

    def _bridge(self, nat: NatBridge, folder: PurePosixPath) -> Iterator[RenderedFile]:
        """What lets a bridge's instances stand in for each other."""
        bridge = keepalived(nat)
        yield self.file(folder / "etc/keepalived/keepalived.conf", "linux/keepalived.conf.j2", bridge=bridge)
        take_over = self.file(folder / TAKE_OVER.removeprefix("/"), "linux/lanecast-take-over.j2", bridge=bridge)
        yield replace(take_over, mode=PROGRAM_MODE)

    def _user_data(self, folder: PurePosixPath, files: Sequence[RenderedFile]) -> RenderedFile:
        """All of an instance's files in one, as secret as the most secret of them."""
        brought = [
            InstanceFile(PurePosixPath("/") / file.path.relative_to(folder), file.text, file.mode) for file in files
        ]
        mode = SECRET_MODE if any(file.mode == SECRET_MODE for file in files) else FILE_MODE
        return RenderedFile(folder / USER_DATA, user_data(self.header, brought), mode)

    def linux(self, node: LinuxNode, folder: PurePosixPath) -> Iterator[RenderedFile]:
        """Packet filter and kernel settings."""
        etc = folder / "etc"
        if node.firewall.interfaces:
            yield self.file(etc / "nftables.conf", "linux/nftables.conf.j2", node=node)
        if node.settings:
            yield self.file(etc / "sysctl.d/60-lanecast.conf", "linux/60-lanecast.conf.j2", node=node)
        if node.machine_settings:
            yield self.file(etc / "sysctl.d/61-lanecast-machine.conf", "linux/61-lanecast-machine.conf.j2", node=node)

    def networkd(self, node: NetworkdNode, folder: PurePosixPath) -> Iterator[RenderedFile]:
        """Interfaces, VLANs and routes."""
        systemd = folder / "etc/systemd"
        for link in node.links:
            yield self.file(systemd / "network" / link.file, "linux/interface.network.j2", link=link)
        for vlan in node.vlans:
            yield self.file(systemd / "network" / vlan.file, "linux/vlan.netdev.j2", vlan=vlan)
        if node.routed_by_frr:
            for file in ("networkd.conf.d/60-lanecast-routes.conf", "system/frr.service.d/60-lanecast-network.conf"):
                yield self.file(systemd / file, f"linux/{PurePosixPath(file).name}.j2")

    def services(self, node: Router | Host, folder: PurePosixPath) -> Iterator[RenderedFile]:
        """Files of the clock and of syslog, where the plan has a word for them."""
        secrets = NodeSecrets(node.management, self.secrets)
        services = host_services(node, secrets.ntp_key())
        if secrets.problems:
            raise RenderError(*secrets.problems)
        wanted = {
            "chrony/chrony.conf": services.keeps_time,
            "chrony/lanecast.keys": services.ntp_key is not None,
            "linuxptp/ptp4l.conf": services.ptp is not None,
            "rsyslog.d/60-lanecast-syslog.conf": bool(services.syslog_servers),
            "systemd/system/lanecast-phc2sys.service": services.ptp is not None,
            "systemd/system/lanecast-ptp4l.service": services.ptp is not None,
        }
        for path in (path for path, is_wanted in wanted.items() if is_wanted):
            name = PurePosixPath(path).name
            file = self.file(folder / "etc" / path, f"linux/{name}.j2", services=services)
            holds_secret = any(secret in file.text for secret in secrets.values)
            yield replace(file, mode=SECRET_MODE) if holds_secret else file

    def _relay(self, relay: RelayFile, etc: PurePosixPath, has_network: bool) -> Iterator[RenderedFile]:
        document = yaml.safe_dump(relay.document(), sort_keys=False)
        yield RenderedFile(etc / "lanecast/relay.yaml", f"# {self.header}\n{document}")
        unit = "lanecast-relay.service"
        yield self.file(
            etc / "systemd/system" / unit,
            f"linux/{unit}.j2",
            relay=relay,
            has_network=has_network,
            relay_program=RELAY_PROGRAM,
        )

    def file(self, path: PurePosixPath, template: str, **values: Any) -> RenderedFile:
        """One file from one template."""
        return RenderedFile(path, self.templates.render(template, header=self.header, **values))
