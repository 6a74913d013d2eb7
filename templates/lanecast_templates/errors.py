"""What stops a rendering before anything is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RenderProblem:
    """One problem. ``place``: the keys that lead to what asks for it in the plan."""

    message: str
    place: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{'.'.join(self.place)}: {self.message}" if self.place else self.message


class RenderError(Exception):
    """The Fabric asks for something that a platform has no words for, a secret is missing, or a template is wrong."""

    def __init__(self, *problems: RenderProblem | str) -> None:
        self.problems = tuple(each if isinstance(each, RenderProblem) else RenderProblem(each) for each in problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def at(self, place: tuple[str, ...]) -> RenderError:
        """The same, where problems that have no place of their own get ``place``."""
        return RenderError(*(RenderProblem(each.message, each.place or place) for each in self.problems))
