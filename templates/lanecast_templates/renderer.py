"""Every file of every node, from a Fabric. What is decided stands in the Fabric; a template only spells it.

A site's boxes and the cloud's instances are rendered under their names. The exchange's and the cloud's own routers, and
the exchange's senders, are rendered under ``counterparts/``: the lab runs them, production never gets them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lanecast.fabric import BgpNeighbor, Fabric, Host, HostRole, LinkKind, Router, RouterRole
from lanecast.plan.model import Platform
from lanecast_relay.config.model import RelayFile
from lanecast_templates.errors import RenderError
from lanecast_templates.frr_view import DEFAULT_VERSION, frr_router
from lanecast_templates.linux_view import LinuxNode, linux_node
from lanecast_templates.secrets import SecretError, SecretResolver

__all__ = ["RenderError", "RenderedFile", "SecretResolver", "render_fabric"]

FILE_MODE = 0o644
SECRET_MODE = 0o600
"""Hardening: a file that must hold a secret is readable by its owner alone."""

COUNTERPARTS = PurePosixPath("counterparts")
RELAY_PROGRAM = "/usr/local/bin/lanecast-relay"


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """One file: where it goes below the output folder (``node/etc/…``), its text and its mode."""

    path: PurePosixPath
    text: str
    mode: int = FILE_MODE


def _refuse_control_characters(value: object) -> object:
    """A value is one word or phrase of one line: a line break in it would be a command of its own."""
    text = str(value)
    if not text.isprintable():
        raise RenderError(f"a configuration line cannot hold {text!r}")
    return value


def _quoted(value: object) -> str:
    """A string in double quotes; nft knows no way to write a quote inside one."""
    if '"' in str(value):
        raise RenderError(f"a quoted string cannot hold {value!r}")
    return f'"{value}"'


def environment() -> Environment:
    """The templates, with nothing undefined allowed and nothing that breaks out of its line."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        finalize=_refuse_control_characters,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["quoted"] = _quoted
    return made


def render_fabric(
    fabric: Fabric, secrets: SecretResolver, frr_version: str = DEFAULT_VERSION
) -> tuple[RenderedFile, ...]:
    """Render every file of ``fabric``, sorted by path.

    Raises :class:`RenderError` with all problems: secrets that are missing, and what a platform cannot say.
    """
    rendering = _Rendering(fabric, secrets, frr_version, environment())
    files: list[RenderedFile] = []
    problems: list[str] = []
    for node in fabric.nodes():
        try:
            files += rendering.router(node) if isinstance(node, Router) else rendering.host(node)
        except RenderError as error:
            problems += error.problems
    if problems:
        raise RenderError(*dict.fromkeys(problems))
    return tuple(sorted(files, key=lambda file: file.path))


@dataclass(frozen=True, slots=True)
class _Rendering:
    """One run of the renderer."""

    fabric: Fabric
    secrets: SecretResolver
    frr_version: str
    templates: Environment

    @property
    def header(self) -> str:
        return f"Rendered by lanecast from the plan {self.fabric.name}: change the plan, not this file."

    def router(self, router: Router) -> Iterator[RenderedFile]:
        folder = PurePosixPath(router.name)
        if router.role is not RouterRole.SITE:
            folder = COUNTERPARTS / folder
        yield from self._platforms()[router.platform](router, folder)
        yield from self._linux(linux_node(router), folder)

    def _platforms(self) -> dict[Platform, Callable[[Router, PurePosixPath], Iterator[RenderedFile]]]:
        return {Platform.FRR: self._frr}

    def _frr(self, router: Router, folder: PurePosixPath) -> Iterator[RenderedFile]:
        problems: list[str] = []
        frr = frr_router(router, self.frr_version, lambda neighbor: self._password(router, neighbor, problems))
        if problems:
            raise RenderError(*problems)
        etc = folder / "etc/frr"
        mode = SECRET_MODE if frr.holds_secret else FILE_MODE
        yield self._file(etc / "frr.conf", "frr/frr.conf.j2", mode, frr=frr)
        yield self._file(etc / "daemons", "frr/daemons.j2", frr=frr)
        yield self._file(etc / "vtysh.conf", "frr/vtysh.conf.j2", frr=frr)

    def _password(self, router: Router, neighbor: BgpNeighbor, problems: list[str]) -> str | None:
        if neighbor.password is None:
            return None
        try:
            return self.secrets.resolve(neighbor.password, self._plan_place(router, neighbor))
        except SecretError as error:
            problems.append(str(error))
            return None

    def _plan_place(self, router: Router, neighbor: BgpNeighbor) -> str:
        """Where the plan asks for a neighbour's password: at the circuit or uplink, on the site's side."""
        link_name = next(i.attached_to for i in router.interfaces if i.name == neighbor.interface)
        link = next((link for link in self.fabric.links if link.name == link_name), None)
        if link is None:
            return f"{router.name}: neighbor {neighbor.address}"
        site = router if router.role is RouterRole.SITE else self.fabric.router(neighbor.node)
        section = "circuits" if link.kind is LinkKind.CIRCUIT else "uplinks"
        return f"sites.{site.place}.{section}.{link_name}.password"

    def host(self, host: Host) -> Iterator[RenderedFile]:
        folder = PurePosixPath(host.name)
        if host.role is HostRole.SOURCE:
            folder = COUNTERPARTS / folder
        node = linux_node(host)
        etc = folder / "etc"
        yield from self._linux(node, folder)
        has_network = host.role is not HostRole.SUBSCRIBER
        if has_network:
            # A cloud gives its instances their addresses and routes; everyone else needs them from here.
            unit = "lanecast-network.service"
            yield self._file(etc / "lanecast/network.ip", "linux/network.ip.j2", node=node, routes=host.routes)
            yield self._file(etc / "systemd/system" / unit, f"linux/{unit}.j2", node=node)
        if host.relay is not None:
            yield from self._relay(host.relay, etc, has_network)

    def _linux(self, node: LinuxNode, folder: PurePosixPath) -> Iterator[RenderedFile]:
        etc = folder / "etc"
        if node.firewall.interfaces:
            yield self._file(etc / "nftables.conf", "linux/nftables.conf.j2", node=node)
        if node.settings:
            yield self._file(etc / "sysctl.d/60-lanecast.conf", "linux/60-lanecast.conf.j2", node=node)
        if node.machine_settings:
            yield self._file(etc / "sysctl.d/61-lanecast-machine.conf", "linux/61-lanecast-machine.conf.j2", node=node)
        if node.vlans:
            unit = "lanecast-links.service"
            yield self._file(etc / "lanecast/links.ip", "linux/links.ip.j2", node=node)
            yield self._file(etc / "systemd/system" / unit, f"linux/{unit}.j2", node=node)

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

    def _file(self, path: PurePosixPath, template: str, mode: int = FILE_MODE, **values: Any) -> RenderedFile:
        text = self.templates.get_template(template).render(header=self.header, **values)
        return RenderedFile(path, text, mode)
