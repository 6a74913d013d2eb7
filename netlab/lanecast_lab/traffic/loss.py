"""What an exchange's own network loses, drawn from the seed before anything is sent (design, decision 11)."""

from __future__ import annotations

from random import Random


class EgressLoss:
    """Draws for one line of one feed whether each datagram, in due order, is lost.

    The draws are independent of every other feed and line, so that asking for loss on one moves nothing on another.
    """

    def __init__(self, seed: int, feed: str, line: str, percent: float) -> None:
        self._share = percent / 100
        self._random = Random(f"{seed}/{feed}/{line}")

    def loses(self) -> bool:
        """Draw once."""
        return self._random.random() < self._share
