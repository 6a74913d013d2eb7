"""What to tell a running FRR so that its configuration becomes another one, where that goes without a restart.

It knows the lines that a dedicated line's gateway has; whatever else changes means a restart.
"""

from __future__ import annotations

from collections.abc import Iterator

from lanecast_templates.frr_configuration import TOP, Path, parse

Entry = tuple[Path, str]

ANOTHER_TAKES_ITS_PLACE = (
    ("ip", "prefix-list", "*", "seq", "*"),
    ("detect-multiplier",),
    ("transmit-interval",),
    ("receive-interval",),
    ("timers", "bgp"),
    ("neighbor", "*", "maximum-prefix"),
    ("neighbor", "*", "description"),
    ("description",),
)
"""Words that a line begins with, of which there is only one in its context; ``*`` is any word, the same in both."""

STAYS = ("bfd",)
"""A context that says nothing when it is empty."""

NEEDS_A_RESTART = (
    ("router", "bgp"),
    ("interface",),
    ("neighbor", "*", "remote-as"),
    ("neighbor", "*", "password"),
    ("ip", "address"),
    ("bgp", "router-id"),
)


def changes(old: str, new: str) -> str | None:
    """The lines that turn ``old`` into ``new``; None where FRR has to be started anew. They hold no secret."""
    before, after = parse(old), parse(new)
    added = [entry for entry in after if entry not in set(before)]
    removed = [entry for entry in before if entry not in set(after)]
    if any(_begins(line, head) for _, line in (*added, *removed) for head in NEEDS_A_RESTART):
        return None
    undone = []
    for entry in reversed(removed):  # whoever names something lets go of it first
        line = _undone(entry, added, removed)
        if line is None:
            return None
        undone += [(entry[0], line)] if line else []
    return "".join(f"{line}\n" for line in _spelled([*added, *undone]))


def _undone(entry: Entry, added: list[Entry], removed: list[Entry]) -> str | None:
    """What takes a line back; empty where another one does it; None where that is not known."""
    context, line = entry
    if context and context != STAYS and (context[:-1], context[-1]) in removed:
        return ""  # goes with its context
    if head := next((head for head in ANOTHER_TAKES_ITS_PLACE if _begins(line, head)), None):
        words = line.split()[: len(head)]
        if any(place == context and other.split()[: len(head)] == words for place, other in added):
            return ""
    match line.split():
        case ["ip", "prefix-list", *_] | ["network", _]:
            return f"no {line}"
        case ["neighbor", address, "bfd", "profile", _]:
            return f"no neighbor {address} bfd"
        case ["profile", _] if context == STAYS:
            return f"no {line}"
        case ["bfd"] if context == TOP:
            return ""
        case _:
            return None


def _begins(line: str, head: tuple[str, ...]) -> bool:
    words = line.split()
    return len(words) >= len(head) and all(wanted in ("*", word) for wanted, word in zip(head, words, strict=False))


def _spelled(entries: list[Entry]) -> Iterator[str]:
    """Each command after those that lead to its context."""
    for context, line in entries:
        yield from context
        yield line
