"""Secrets that a plan refers to, as the program takes them; none of them is ever in the state in the clear."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi

from lanecast.plan.model import SecretReference


class MissingSecretError(Exception):
    """A secret is not where the plan says."""


def secret(reference: SecretReference, plan: Path, stack: str) -> pulumi.Output[str]:
    """The secret, marked as one. Raises :class:`MissingSecretError`, whose text has no secret in it."""
    if reference.environment is not None:
        if not (value := os.environ.get(reference.environment)):
            raise MissingSecretError(
                f"the environment has no {reference.environment}, which the plan takes a secret from"
            )
        return pulumi.Output.secret(value)
    if reference.file is not None:
        path = plan.parent / reference.file
        try:
            return pulumi.Output.secret(path.read_text(encoding="utf-8").strip())
        except OSError as error:
            raise MissingSecretError(f"{path}: {error.strerror}; the plan takes a secret from it") from None
    place, _, key = str(reference.pulumi).rpartition("/")
    if place.split("/")[-1] != stack:
        raise MissingSecretError(f"the plan takes a secret from stack {place}; stack {stack} can only read its own")
    space, _, name = key.rpartition(":")
    held = (pulumi.Config(space) if space else pulumi.Config()).get_secret(name)
    if held is None:
        raise MissingSecretError(f"stack {stack} has no {key}: run `pulumi config set --secret {key}`")
    return held
