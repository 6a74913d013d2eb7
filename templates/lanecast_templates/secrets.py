"""Secrets are found where the plan says they are, when a file is rendered, and nowhere else.

A plan never holds one (hardening: "only through secret stores"). Nothing here logs or shows a value.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lanecast.plan.model import SecretReference

PULUMI = "pulumi"
PULUMI_S = 30
"""A backend that cannot be reached keeps the command waiting for longer than a person would."""

MAXIMUM_BYTES = 80
"""Linux: TCP_MD5SIG_MAXKEYLEN (include/uapi/linux/tcp.h), the longest key of a TCP connection (RFC 2385)."""


HIDDEN = "…"


class SecretError(Exception):
    """A secret is missing, or is not what a configuration line can carry. Names the reference, never the value."""


def _described(reference: SecretReference) -> str:
    if reference.environment is not None:
        return f"environment variable {reference.environment}"
    if reference.file is not None:
        return f"file {reference.file}"
    return f"Pulumi's {reference.pulumi}"


def pulumi_environment() -> dict[str, str]:
    """This process's environment, for a command that asks nothing and nobody."""
    return {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1"}


class SecretResolver:
    """Reads secrets from the environment, and from files relative to the plan's folder."""

    def __init__(self, environment: Mapping[str, str] | None = None, directory: Path | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._directory = directory or Path()
        self._resolved: set[str] = set()

    def resolve(self, reference: SecretReference) -> str:
        """Return the secret. Raises :class:`SecretError`."""
        what = _described(reference)
        value = self._read(reference, what).strip("\r\n")
        if not value:
            raise SecretError(f"{what} is empty: put the secret there")
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise SecretError(f"{what}: the secret must be printable ASCII without blanks")
        if len(value) > MAXIMUM_BYTES:
            raise SecretError(f"{what}: the secret has {len(value)} bytes; TCP MD5 takes at most {MAXIMUM_BYTES}")
        self._resolved.add(value)
        return value

    def hidden(self, text: str) -> str:
        """``text`` with … in place of every secret that was resolved, also where it is quoted as Python does."""
        for secret in sorted(self._resolved, key=len, reverse=True):
            text = text.replace(secret, HIDDEN).replace(repr(secret)[1:-1], HIDDEN)
        return text

    def _read(self, reference: SecretReference, what: str) -> str:
        if reference.environment is not None:
            value = self._environment.get(reference.environment)
            if value is None:
                raise SecretError(f"{what} is not set: set it where this command runs")
            return value
        if reference.pulumi is not None:
            return self._from_pulumi(reference.pulumi, what)
        assert reference.file is not None  # exactly one of the three, by SecretReference
        try:
            return (self._directory / reference.file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SecretError(f"{what} cannot be read: {reason}") from None

    def _from_pulumi(self, place: str, what: str) -> str:
        """A value of a stack's configuration, by the command itself, which knows backends and passphrases."""
        stack, _, key = place.rpartition("/")
        command = [PULUMI, "config", "get", key, "--stack", stack, "--cwd", str(self._directory), "--non-interactive"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=PULUMI_S, env=pulumi_environment()
            )
        except FileNotFoundError:
            raise SecretError(f"{what} cannot be read: there is no command {PULUMI} on PATH") from None
        except subprocess.TimeoutExpired:
            raise SecretError(f"{what} cannot be read: {PULUMI} gave no answer within {PULUMI_S} s") from None
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if line.strip()), f"status {done.returncode}")
            raise SecretError(f"{what} cannot be read: {said.strip()}")
        return done.stdout
