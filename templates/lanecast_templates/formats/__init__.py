"""What else than plain files a rendering can be handed over as: each format is a module of its own.

A format takes the network and its rendered files, and returns the files of its folder. What it cannot carry over it
says in notes, which the person is told and which stand in the folder too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from lanecast.fabric import Fabric
from lanecast_templates.formats.ansible_project import ansible_project
from lanecast_templates.formats.containerlab_topology import containerlab_topology
from lanecast_templates.formats.handed_over import HandedOver
from lanecast_templates.renderer import RenderedFile

__all__ = ["Format", "HandedOver", "hand_over_as"]


class Format(StrEnum):
    """In which form ``lanecast render`` writes a network."""

    FILES = "files"
    """A folder a node, as on the box."""
    ANSIBLE = "ansible"
    """A project for ansible-playbook."""
    CONTAINERLAB = "containerlab"
    """The same folders, and a topology for containerlab."""


FORMATS: Mapping[Format, Callable[[Fabric, Sequence[RenderedFile]], HandedOver]] = {
    Format.FILES: lambda fabric, files: HandedOver(tuple(files)),
    Format.ANSIBLE: ansible_project,
    Format.CONTAINERLAB: containerlab_topology,
}


def hand_over_as(wanted: Format, fabric: Fabric, files: Sequence[RenderedFile]) -> HandedOver:
    """The files of ``wanted``'s folder, sorted by path, and notes."""
    made = FORMATS[wanted](fabric, files)
    return HandedOver(tuple(sorted(made.files, key=lambda file: file.path)), made.notes)
