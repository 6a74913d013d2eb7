"""Runs that are held to fixed bounds, instead of to others in the same run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from lanecast_bench.machine import Machine


class Requirements(BaseModel, ABC):
    """When and where it was measured, and what came of it."""

    model_config = ConfigDict(frozen=True)
    name: ClassVar[str]
    """Of the results' folder and of the document's markers."""

    started_at: datetime
    machine: Machine

    @property
    @abstractmethod
    def rows(self) -> list[list[str]]:
        """What was asked, what was measured, and the verdict; empty where nothing was asked."""


def verdict(passed: bool) -> str:
    """As tables show it."""
    return "pass" if passed else "FAIL"
