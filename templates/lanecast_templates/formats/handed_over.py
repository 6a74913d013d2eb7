"""What a format makes of a rendering."""

from __future__ import annotations

from dataclasses import dataclass

from lanecast_templates.renderer import RenderedFile


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The files of a format's folder; ``notes`` say what could not be carried over, and what to do about it."""

    files: tuple[RenderedFile, ...]
    notes: tuple[str, ...] = ()
