"""``set`` lines as one tree of words, of which a reader takes what it knows; what it leaves is a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_WORD = re.compile(r" (?:'([^']*)'|([^\s']+))")


@dataclass(slots=True)
class Branch:
    """A word of one or more lines, with what follows it."""

    path: str = "set"
    above: str = ""
    line: int = 0
    children: dict[str, Branch] = field(default_factory=dict)
    ends: bool = False
    """A line ends here."""
    taken: bool = False

    def at(self, *words: str) -> Branch | None:
        """The branch below, which is not taken thereby."""
        found: Branch | None = self
        for word in words:
            found = found.children.get(word) if found is not None else None
        return found

    def flag(self, *words: str) -> bool:
        """Whether a line ends with these words."""
        found = self.at(*words)
        if found is None or not found.ends:
            return False
        found.taken = True
        return True

    def values(self, *words: str) -> list[str]:
        """What follows these words, a line each."""
        found = self.at(*words)
        values = [] if found is None else [word for word, child in found.children.items() if child.ends]
        return [value for value in values if self.flag(*words, value)]

    def value(self, *words: str) -> str | None:
        """The one word that follows."""
        values = self.values(*words)
        if len(values) > 1:
            raise ValueError(f"line {self.line}: {self.path} {' '.join(words)} has several values")
        return values[0] if values else None

    def needed(self, *words: str) -> str:
        """The one word that follows, which has to be there."""
        value = self.value(*words)
        if value is None:
            raise ValueError(f"line {self.line}: {self.path} has no {' '.join(words)}")
        return value

    def tags(self, *words: str) -> Iterator[tuple[str, Branch]]:
        """Each word that follows, with what follows it in turn."""
        found = self.at(*words)
        yield from () if found is None else found.children.items()

    def skip(self, *words: str) -> None:
        """Take everything below: no fact depends on it."""
        found = self.at(*words)
        for each in () if found is None else found._ends():
            each.taken = True

    def refuse_rest(self) -> None:
        """Raise :class:`ValueError` with the first line that nothing took, without its last word: it may be secret."""
        left = [each for each in self._ends() if not each.taken]
        if left:
            first = min(left, key=lambda each: each.line)
            raise ValueError(f"line {first.line}: {first.above} …: is not known")

    def _ends(self) -> Iterator[Branch]:
        if self.ends:
            yield self
        for child in self.children.values():
            yield from child._ends()


def tree(text: str) -> Branch:
    """The tree of a text; lines that begin with ``#`` say nothing."""
    root = Branch()
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        words = _WORD.findall(line.removeprefix("set"))
        if not line.startswith("set ") or "".join(match[0] for match in _WORD.finditer(line)) != line[3:]:
            raise ValueError(f"line {number} is no path of words")
        branch = root
        for quoted, plain in words:
            word = quoted or plain
            branch = branch.children.setdefault(word, Branch(f"{branch.path} {word}", branch.path, number))
        if branch.ends:
            raise ValueError(f"line {number} is said twice")
        branch.ends = True
    return root
