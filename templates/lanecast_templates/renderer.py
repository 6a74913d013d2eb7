"""Every file of every node, from a Fabric. What is decided stands in the Fabric; a template only spells it.

A site's boxes and the cloud's instances are rendered under their names. The exchange's and the cloud's own routers, and
the exchange's senders, are rendered under ``counterparts/``: the lab runs them, production never gets them. What the
exchange's engineer has to know stands under ``hand-over/``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import yaml
from markdown_it import MarkdownIt

from lanecast.fabric import (
    IN_THE_CLOUD,
    Fabric,
    Host,
    HostRole,
)
from lanecast.nat_bridge import NatBridge
from lanecast.plan.layout import COUNTERPARTS, HAND_OVER, PROMETHEUS
from lanecast.router import (
    Router,
    RouterRole,
)
from lanecast_relay.config.model import RelayFile
from lanecast_templates.environment import Templates
from lanecast_templates.errors import RenderError, RenderProblem
from lanecast_templates.first_start import user_data
from lanecast_templates.router_secrets import NodeSecrets, RouterSecrets
from lanecast_templates.router_templates import router_templates
from lanecast_templates.secrets import SecretResolver
from lanecast_templates.user_data import USER_DATA, InstanceFile
from lanecast_templates.views.frr import DEFAULT_VERSION
from lanecast_templates.views.hand_over import HandOver, hand_overs
from lanecast_templates.views.host_services import host_services
from lanecast_templates.views.keepalived import TAKE_OVER, keepalived
from lanecast_templates.views.linux import LinuxNode, linux_node
from lanecast_templates.views.networkd import NetworkdNode, networkd_node
from lanecast_templates.views.prometheus import scrape_configuration

__all__ = [
    "RenderError",
    "RenderedFile",
    "SecretResolver",
    "header",
    "node_folder",
    "render_fabric",
    "render_user_data",
]

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


def _plan_place(fabric: Fabric, node: Router | Host) -> tuple[str, ...]:
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


def render_fabric(
    fabric: Fabric, secrets: SecretResolver, frr_version: str = DEFAULT_VERSION
) -> tuple[RenderedFile, ...]:
    """Render every file of ``fabric``, sorted by path.

    Raises :class:`RenderError` with all problems: secrets that are missing, what a platform cannot say, and what is
    wrong with templates of the plan's own.
    """
    rendering = _Rendering(fabric, secrets, frr_version, Templates(fabric.templates))
    files: list[RenderedFile] = []
    problems: list[RenderProblem] = []
    for node in fabric.nodes():
        try:
            files += rendering.router(node) if isinstance(node, Router) else rendering.host(node)
        except RenderError as error:
            problems += error.at(_plan_place(fabric, node)).problems
    for sheet in hand_overs(fabric):
        try:
            files += rendering.hand_over(sheet)
        except RenderError as error:
            problems += error.at(("exchanges", sheet.exchange)).problems
    files += rendering.prometheus()
    if problems:
        # What a template computed, and failed with, may be a secret.
        raise RenderError(*dict.fromkeys(replace(each, message=secrets.hidden(each.message)) for each in problems))
    return tuple(sorted(files, key=lambda file: file.path))


def render_user_data(fabric: Fabric, host: Host, secrets: SecretResolver) -> RenderedFile:
    """What the cloud hands to one instance at its first start; its mode tells whether it holds a secret.

    Raises :class:`RenderError` as :func:`render_fabric` does.
    """
    rendering = _Rendering(fabric, secrets, DEFAULT_VERSION, Templates(fabric.templates))
    try:
        return next(file for file in rendering.host(host) if file.path.name == USER_DATA)
    except RenderError as error:
        raise error.at(_plan_place(fabric, host)) from None


@dataclass(frozen=True, slots=True)
class _Rendering:
    """One run of the renderer."""

    fabric: Fabric
    secrets: SecretResolver
    frr_version: str
    templates: Templates

    @property
    def header(self) -> str:
        return header(self.fabric)

    def router(self, router: Router) -> Iterator[RenderedFile]:
        folder = node_folder(router)
        secrets = RouterSecrets(self.fabric, router, self.secrets)
        spelled = router_templates(router.platform, self.frr_version)
        view = spelled.view(router, secrets)
        if secrets.problems:
            raise RenderError(*secrets.problems)
        for path, template in spelled.files.items():
            values = {spelled.variable: view, "holds_secret": bool(secrets.values)}
            file = self._file(folder / path, template, **values)
            # The configuration itself holds them, however its platform quotes them; a template of the plan's own may
            # have put one anywhere.
            holds_secret = bool(secrets.values) and (
                path == spelled.main or any(secret in file.text for secret in secrets.values)
            )
            yield replace(file, mode=SECRET_MODE) if holds_secret else file
        if spelled.is_linux:
            yield from self._linux(linux_node(router), folder)
            yield from self._services(router, folder)
            if router.role is RouterRole.SITE:
                # A counterpart's VLANs and ports are whoever's who runs it; the lab's are made with their names.
                yield from self._networkd(networkd_node(router), folder)

    def host(self, host: Host) -> Iterator[RenderedFile]:
        files = list(self._host_files(host))
        yield from files
        if host.role in IN_THE_CLOUD:
            yield self._user_data(node_folder(host), files)

    def _host_files(self, host: Host) -> Iterator[RenderedFile]:
        folder = node_folder(host)
        yield from self._linux(linux_node(host), folder)
        if host.nat is not None:
            yield from self._bridge(host.nat, folder)
        has_network = host.role not in IN_THE_CLOUD
        if has_network:
            # A cloud gives its instances their addresses and routes; everyone else needs them from here.
            yield from self._networkd(networkd_node(host), folder)
        yield from self._services(host, folder)
        if host.relay is not None:
            yield from self._relay(host.relay, folder / "etc", has_network)

    def _bridge(self, nat: NatBridge, folder: PurePosixPath) -> Iterator[RenderedFile]:
        """What lets a bridge's instances stand in for each other."""
        bridge = keepalived(nat)
        yield self._file(folder / "etc/keepalived/keepalived.conf", "linux/keepalived.conf.j2", bridge=bridge)
        take_over = self._file(folder / TAKE_OVER.removeprefix("/"), "linux/lanecast-take-over.j2", bridge=bridge)
        yield replace(take_over, mode=PROGRAM_MODE)

    def _user_data(self, folder: PurePosixPath, files: Sequence[RenderedFile]) -> RenderedFile:
        """All of an instance's files in one, as secret as the most secret of them."""
        brought = [
            InstanceFile(PurePosixPath("/") / file.path.relative_to(folder), file.text, file.mode) for file in files
        ]
        mode = SECRET_MODE if any(file.mode == SECRET_MODE for file in files) else FILE_MODE
        return RenderedFile(folder / USER_DATA, user_data(self.header, brought), mode)

    def hand_over(self, sheet: HandOver) -> Iterator[RenderedFile]:
        """The sheet for an exchange's engineer: to read, and to print."""
        path = PurePosixPath(HAND_OVER, sheet.exchange, sheet.site)
        markdown = self._file(path.with_suffix(".md"), "hand_over/sheet.md.j2", sheet=sheet)
        yield markdown
        body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown.text)
        text = self.templates.page("hand_over/page.html.j2", body, title=f"{sheet.exchange} to {sheet.site}")
        yield RenderedFile(path.with_suffix(".html"), text)

    def prometheus(self) -> Iterator[RenderedFile]:
        """Where a Prometheus server finds the relays' counters, where the plan says who may read them."""
        document = scrape_configuration(self.fabric)
        if document is not None:
            text = yaml.safe_dump(document, sort_keys=False)
            yield RenderedFile(PurePosixPath(PROMETHEUS, "lanecast.yaml"), f"# {self.header}\n{text}")

    def _linux(self, node: LinuxNode, folder: PurePosixPath) -> Iterator[RenderedFile]:
        etc = folder / "etc"
        if node.firewall.interfaces:
            yield self._file(etc / "nftables.conf", "linux/nftables.conf.j2", node=node)
        if node.settings:
            yield self._file(etc / "sysctl.d/60-lanecast.conf", "linux/60-lanecast.conf.j2", node=node)
        if node.machine_settings:
            yield self._file(etc / "sysctl.d/61-lanecast-machine.conf", "linux/61-lanecast-machine.conf.j2", node=node)

    def _networkd(self, node: NetworkdNode, folder: PurePosixPath) -> Iterator[RenderedFile]:
        systemd = folder / "etc/systemd"
        for link in node.links:
            yield self._file(systemd / "network" / link.file, "linux/interface.network.j2", link=link)
        for vlan in node.vlans:
            yield self._file(systemd / "network" / vlan.file, "linux/vlan.netdev.j2", vlan=vlan)
        if node.routed_by_frr:
            for file in ("networkd.conf.d/60-lanecast-routes.conf", "system/frr.service.d/60-lanecast-network.conf"):
                yield self._file(systemd / file, f"linux/{PurePosixPath(file).name}.j2")

    def _services(self, node: Router | Host, folder: PurePosixPath) -> Iterator[RenderedFile]:
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
            file = self._file(folder / "etc" / path, f"linux/{name}.j2", services=services)
            holds_secret = any(secret in file.text for secret in secrets.values)
            yield replace(file, mode=SECRET_MODE) if holds_secret else file

    def _relay(self, relay: RelayFile, etc: PurePosixPath, has_network: bool) -> Iterator[RenderedFile]:
        document = yaml.safe_dump(relay.document(), sort_keys=False)
        yield RenderedFile(etc / "lanecast/relay.yaml", f"# {self.header}\n{document}")
        unit = "lanecast-relay.service"
        yield self._file(
            etc / "systemd/system" / unit,
            f"linux/{unit}.j2",
            relay=relay,
            has_network=has_network,
            relay_program=RELAY_PROGRAM,
        )

    def _file(self, path: PurePosixPath, template: str, **values: Any) -> RenderedFile:
        return RenderedFile(path, self.templates.render(template, header=self.header, **values))
