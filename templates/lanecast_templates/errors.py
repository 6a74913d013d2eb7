"""What stops a rendering before anything is written."""

from __future__ import annotations


class RenderError(Exception):
    """The Fabric asks for something that a platform has no words for, or a secret is missing. One problem a line."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
