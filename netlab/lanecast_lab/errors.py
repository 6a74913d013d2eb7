"""What keeps a run from being done: exit status 2, never a broken promise."""

from __future__ import annotations


class LabError(Exception):
    """The run could not be done; the message says why and what to do next."""


class NotConvergedError(LabError):
    """A named state was not reached within its budget."""
