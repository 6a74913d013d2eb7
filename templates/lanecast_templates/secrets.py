"""Secrets are found where the plan says they are, when a file is rendered, and nowhere else.

A plan never holds one (hardening: "only through secret stores"). Nothing here logs or shows a value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lanecast.plan.model import SecretReference

MAXIMUM_BYTES = 80
"""Linux: TCP_MD5SIG_MAXKEYLEN (include/uapi/linux/tcp.h), the longest key of a TCP connection (RFC 2385)."""


HIDDEN = "…"


class SecretError(Exception):
    """A secret is missing, or is not what a configuration line can carry. Names the reference, never the value."""


def _described(reference: SecretReference) -> str:
    if reference.environment is not None:
        return f"environment variable {reference.environment}"
    return f"file {reference.file}"


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
        assert reference.file is not None  # exactly one of the two, by SecretReference
        try:
            return (self._directory / reference.file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SecretError(f"{what} cannot be read: {reason}") from None
