"""Faults on purpose: the API throttles, fails, delays, or loses replies; a zone, a peering or a gateway is down.

Rules are set on the command line or at ``/_lanecast/faults``. Whether a rule strikes is drawn from the seed, request by
request, so the same requests in the same order meet the same faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from random import Random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FaultKind = Literal["throttle", "error", "lost-reply", "lost-request", "delay"]


class FaultError(Exception):
    """A fault was asked for in words that mean nothing."""


class FaultRule(BaseModel):
    """What happens to which share of which requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    share: Annotated[float, Field(ge=0, le=1, description="Of the matching requests, how many it strikes.")] = 1.0
    method: str = "*"
    path: Annotated[str, Field(description="With * for any characters, without the region's prefix.")] = "*"
    count: Annotated[int | None, Field(ge=1, description="Strike so many times at most.")] = None
    skip: Annotated[int, Field(ge=0, description="Let so many matching requests pass first.")] = 0
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False, description="Of a delay.")] = 1.0
    status: Annotated[int, Field(ge=500, le=599, description="Of an error.")] = 500


class FaultSettings(BaseModel):
    """Everything that is made to go wrong, and the seed that it is drawn from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 1
    rules: tuple[FaultRule, ...] = ()
    down: Annotated[
        tuple[str, ...], Field(description="Zones, peerings and gateways that are down, by name or id.")
    ] = ()


def parse_rule(text: str) -> FaultRule:
    """A rule from the command line: ``lost-reply,share=0.1,method=POST,path=/v1/vpc*,count=1``."""
    kind, *pairs = text.split(",")
    values: dict[str, Any] = {"kind": kind}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise FaultError(f"{text}: {pair!r} is not NAME=VALUE")
        values[name] = value
    try:
        return FaultRule.model_validate(values)
    except ValueError as error:
        raise FaultError(f"{text}: {error}") from None


class Faults:
    """Draws which faults a request meets."""

    def __init__(self, settings: FaultSettings) -> None:
        self.set(settings)

    def set(self, settings: FaultSettings) -> None:
        """Take other settings; draws and counts begin anew."""
        self.settings = settings
        self._random = Random(settings.seed)
        self._seen = [0] * len(settings.rules)
        self._struck = [0] * len(settings.rules)

    @property
    def down(self) -> frozenset[str]:
        """What is down."""
        return frozenset(self.settings.down)

    def struck(self) -> list[int]:
        """How often each rule has struck."""
        return list(self._struck)

    def draw(self, method: str, path: str) -> Mapping[str, FaultRule]:
        """The rules that strike this request, by kind."""
        return {rule.kind: rule for rule in self._striking(method, path)}

    def _striking(self, method: str, path: str) -> Iterable[FaultRule]:
        for index, rule in enumerate(self.settings.rules):
            if not (fnmatchcase(method, rule.method) and fnmatchcase(path, rule.path)):
                continue
            self._seen[index] += 1
            drawn = self._random.random() < rule.share
            spent = rule.count is not None and self._struck[index] >= rule.count
            if drawn and not spent and self._seen[index] > rule.skip:
                self._struck[index] += 1
                yield rule
