"""Junos text as blocks of which every statement has to be asked for: what nobody asked for is a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lanecast_templates.grammars.layouts import Statement, cut
from lanecast_templates.grammars.schema import Layout

SAYS_NOTHING = frozenset(
    {
        "connection-limit",
        "defaults",
        "description",
        "full-name",
        "log-updown",
        "no-multicast-echo",
        "no-ping-record-route",
        "no-ping-time-stamp",
        "protocol-version",
        "rate-limit",
    }
)
"""First words of statements of which no fact depends."""


class Block:
    """What stands between two braces; an empty one where there are none."""

    def __init__(self, statements: Iterable[Statement] = (), line: int = 1) -> None:
        self.line = line
        self._left = list(statements)
        self._taken: list[Block] = []

    def __bool__(self) -> bool:
        """Whether anything in it has not been asked for yet."""
        return bool(self._left)

    def has(self, *words: str) -> bool:
        """Whether these words are a statement."""
        return bool(self._take(words, 0, block=False, most=1))

    def word(self, *words: str) -> str | None:
        """The one word behind these."""
        found = self._take(words, 1, block=False, most=1)
        return found[0].words[-1].text if found else None

    def number(self, *words: str) -> int | None:
        """The number behind these words."""
        found = self.word(*words)
        if found is not None and not found.isdecimal():
            raise self.wrong(f"{' '.join(words)} {found} is no number")
        return None if found is None else int(found)

    def words(self, *words: str) -> tuple[str, ...]:
        """All words behind these, in one statement."""
        return next(iter(self.each(*words, most=1)), ())

    def each(self, *words: str, most: int | None = None) -> list[tuple[str, ...]]:
        """What stands behind these words, by statement."""
        found = self._take(words, None, block=False, most=most)
        return [tuple(word.text for word in each.words[len(words) :]) for each in found]

    def block(self, *words: str) -> Block:
        """The block with this head; only one may have it."""
        found = self._take(words, 0, block=True, most=1)
        return self._handed_out(found[0].children, found[0].line) if found else Block(line=self.line)

    def blocks(self, *words: str) -> Iterator[tuple[str, Block]]:
        """Blocks with these words and one more as their head, by that; without braces they are empty."""
        names = set()
        for each in self._take(words, 1, block=None):
            name = each.words[-1].text
            if name in names:  # Junos would make one of the two
                raise ValueError(f"line {each.line}: {name}: said twice")
            names.add(name)
            yield name, self._handed_out(each.children, each.line)

    def inline(self, word: str) -> Block:
        """A block that may also be written as one statement: ``then accept;``."""
        [*single] = self._take((word,), None, block=False, most=1)
        if single and len(single[0].words) > 1:
            inner = Statement(single[0].line, single[0].words[1:])
            return self._handed_out([inner], inner.line)
        return self.block(word)

    def wrong(self, why: str) -> ValueError:
        """What to raise for this block."""
        return ValueError(f"line {self.line}: {why}")

    def close(self) -> None:
        """Raises :class:`ValueError` for the first statement, however deep, that nobody asked for."""
        left = list(self._unasked())
        if left:
            first = min(left, key=lambda each: each.line)
            shown = first.words[0].text if first.words else "{"  # no more: what follows may be a secret
            raise ValueError(f"line {first.line}: {shown}: not understood, or said twice")

    def _unasked(self) -> Iterator[Statement]:
        yield from (each for each in self._left if not each.words or each.words[0].text not in SAYS_NOTHING)
        for block in self._taken:
            yield from block._unasked()

    def _handed_out(self, statements: list[Statement], line: int) -> Block:
        made = Block(statements, line)
        self._taken.append(made)
        return made

    def _take(
        self, head: tuple[str, ...], more: int | None, *, block: bool | None, most: int | None = None
    ) -> list[Statement]:
        """Statements that begin with ``head`` and have ``more`` further words; None: with braces or not, any number."""
        found = [
            each
            for each in self._left
            if block in (None, each.block)
            and tuple(word.text for word in each.words[: len(head)]) == head
            and more in (None, len(each.words) - len(head))
        ][:most]
        self._left = [each for each in self._left if not any(each is taken for taken in found)]
        return found


def blocks_of(text: str) -> Block:
    """The whole text. Raises :class:`ValueError` where braces, brackets or quotes do not fit."""
    pieces = cut(text, Layout(shape="braces"))
    for finding in pieces.findings:
        raise ValueError(f"line {finding.line}: {finding.message}")
    return Block(pieces.statements)
