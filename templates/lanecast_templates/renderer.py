"""Every file of every node, from a Fabric. What is decided stands in the Fabric; a template only spells it.

A site's boxes and the cloud's instances are rendered under their names. The exchange's and the cloud's own routers, and
the exchange's senders, are rendered under ``counterparts/``: the lab runs them, production never gets them. What the
exchange's engineer has to know stands under ``hand-over/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import yaml
from markdown_it import MarkdownIt

from lanecast.fabric import Fabric
from lanecast.plan.layout import HAND_OVER, PROMETHEUS
from lanecast.router import Router, RouterRole
from lanecast_templates.box_files import (
    FILE_MODE,
    SECRET_MODE,
    BoxFiles,
    RenderedFile,
    header,
    node_folder,
    plan_place,
)
from lanecast_templates.environment import Templates
from lanecast_templates.errors import RenderError, RenderProblem
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.router_templates import router_templates
from lanecast_templates.secrets import SecretResolver
from lanecast_templates.views.frr import DEFAULT_VERSION
from lanecast_templates.views.hand_over import HandOver, hand_overs
from lanecast_templates.views.linux import linux_node
from lanecast_templates.views.networkd import networkd_node
from lanecast_templates.views.prometheus import scrape_configuration

__all__ = [
    "FILE_MODE",
    "SECRET_MODE",
    "RenderError",
    "RenderedFile",
    "SecretResolver",
    "header",
    "node_folder",
    "render_fabric",
]


def render_fabric(
    fabric: Fabric, secrets: SecretResolver, frr_version: str = DEFAULT_VERSION
) -> tuple[RenderedFile, ...]:
    """Render every file of ``fabric``, sorted by path.

    Raises :class:`RenderError` with all problems: secrets that are missing, what a platform cannot say, and what is
    wrong with templates of the plan's own.
    """
    rendering = _Rendering(BoxFiles(fabric, secrets, Templates(fabric.templates)), frr_version)
    files: list[RenderedFile] = []
    problems: list[RenderProblem] = []
    for node in fabric.nodes():
        try:
            files += rendering.router(node) if isinstance(node, Router) else rendering.boxes.host(node)
        except RenderError as error:
            problems += error.at(plan_place(fabric, node)).problems
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


@dataclass(frozen=True, slots=True)
class _Rendering:
    """One run of the renderer."""

    boxes: BoxFiles
    frr_version: str

    def router(self, router: Router) -> Iterator[RenderedFile]:
        folder = node_folder(router)
        secrets = RouterSecrets(self.boxes.fabric, router, self.boxes.secrets)
        spelled = router_templates(router.platform, self.frr_version)
        view = spelled.view(router, secrets)
        if secrets.problems:
            raise RenderError(*secrets.problems)
        for path, template in spelled.files.items():
            values = {spelled.variable: view, "holds_secret": bool(secrets.values)}
            file = self.boxes.file(folder / path, template, **values)
            # The configuration itself holds them, however its platform quotes them; a template of the plan's own may
            # have put one anywhere.
            holds_secret = bool(secrets.values) and (
                path == spelled.main or any(secret in file.text for secret in secrets.values)
            )
            yield replace(file, mode=SECRET_MODE) if holds_secret else file
        if spelled.is_linux:
            yield from self.boxes.linux(linux_node(router), folder)
            yield from self.boxes.services(router, folder)
            if router.role is RouterRole.SITE:
                # A counterpart's VLANs and ports are whoever's who runs it; the lab's are made with their names.
                yield from self.boxes.networkd(networkd_node(router), folder)

    def hand_over(self, sheet: HandOver) -> Iterator[RenderedFile]:
        """The sheet for an exchange's engineer: to read, and to print."""
        path = PurePosixPath(HAND_OVER, sheet.exchange, sheet.site)
        markdown = self.boxes.file(path.with_suffix(".md"), "hand_over/sheet.md.j2", sheet=sheet)
        yield markdown
        body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown.text)
        text = self.boxes.templates.page("hand_over/page.html.j2", body, title=f"{sheet.exchange} to {sheet.site}")
        yield RenderedFile(path.with_suffix(".html"), text)

    def prometheus(self) -> Iterator[RenderedFile]:
        """Where a Prometheus server finds the relays' counters, where the plan says who may read them."""
        document = scrape_configuration(self.boxes.fabric)
        if document is not None:
            text = yaml.safe_dump(document, sort_keys=False)
            yield RenderedFile(PurePosixPath(PROMETHEUS, "lanecast.yaml"), f"# {self.boxes.header}\n{text}")
