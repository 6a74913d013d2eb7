"""FRR's configuration text as (context, line) pairs, and what a running one lacks of what was asked.

``vtysh -f`` returns 0 for "Configuration failed" and drops what a daemon refuses, so that only ``show running-config``
tells whether a line took effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

Path = tuple[str, ...]
"""The lines that lead into a context: ``("router bgp 65101", "address-family ipv4 unicast")``."""

TOP: Path = ()

TOP_CONTEXTS = ("interface ", "router ", "route-map ", "vrf ", "line ", "key chain ", "bfd")
"""Lines that open a context at the top (vtysh.c of FRR 8.4: the commands that change node)."""

INNER_CONTEXTS = {"router ": ("address-family ",), "key chain ": ("key ",), "bfd": ("peer ", "profile ")}
"""Lines that open a context inside one of those."""

LEAVES_ONE = ("exit", "exit-address-family", "exit-vrf")

NOISE = ("Building configuration...", "Current configuration:")


@dataclass(frozen=True, slots=True)
class Hidden:
    """A line that a running configuration does not show although it holds.

    It holds unless a line that begins with ``contradicted_by`` stands in the same context.
    """

    context: str
    """What the innermost context begins with; empty: at the top."""
    line: str
    contradicted_by: str | None
    reason: str


HIDDEN = (
    Hidden("", "hostname *", None, "vtysh shows the name of the machine that it runs on (vtysh_config_write)"),
    Hidden("interface ", "ip igmp version 3", "ip igmp version", "the default (RFC 3376)"),
    Hidden("interface ", "ip igmp query-interval 125", "ip igmp query-interval", "the default (RFC 3376, 8.2)"),
    Hidden(
        "interface ",
        "ip igmp query-max-response-time 100",
        "ip igmp query-max-response-time",
        "the default (RFC 3376, 8.3)",
    ),
    Hidden("interface ", "ip pim hello 30", "ip pim hello", "the default (RFC 7761, 4.11)"),
    Hidden(
        "router bgp", "bgp ebgp-requires-policy", "no bgp ebgp-requires-policy", "the default since FRR 7.4 (RFC 8212)"
    ),
    Hidden("router bgp", "timers bgp 60 180", "timers bgp", "the traditional default"),
    Hidden("profile ", "detect-multiplier 3", "detect-multiplier", "bfdd's default"),
    Hidden("profile ", "transmit-interval 300", "transmit-interval", "bfdd's default, in milliseconds"),
    Hidden("profile ", "receive-interval 300", "receive-interval", "bfdd's default, in milliseconds"),
    Hidden("profile ", "minimum-ttl 254", "minimum-ttl", "bfdd's default"),
)

NOTES = ("No Path to RP address specified: ",)
"""What vtysh says of a line that it takes: before BGP is up there is no way to a rendezvous point yet."""


def complaints(said: str) -> list[str]:
    """What vtysh said to a configuration, without notes on lines that it takes."""
    return [line for line in said.splitlines() if line.strip() and not line.startswith(NOTES)]


def parse(text: str) -> list[tuple[Path, str]]:
    """Return each command with the contexts that it stands in; comments and what only leaves a context are dropped."""
    found: list[tuple[Path, str]] = []
    context: Path = TOP
    for line in _commands(text):
        if line == "end":
            context = TOP
        elif line in LEAVES_ONE:
            context = context[:-1]
        elif line.startswith(TOP_CONTEXTS):
            found.append((TOP, line))
            context = (line,)
        else:
            found.append((context, line))
            if _opens_inner(context, line):
                context = (*context, line)
    return found


def _commands(text: str) -> Iterator[str]:
    for raw in text.splitlines():
        line = " ".join(raw.split())
        if line and not line.startswith(("!", "#")) and line not in NOISE:
            yield line


def _opens_inner(context: Path, line: str) -> bool:
    return len(context) == 1 and any(
        context[0].startswith(outer) and line.startswith(inner) for outer, inner in INNER_CONTEXTS.items()
    )


def missing_lines(asked: str, running: str) -> list[str]:
    """Return what ``asked`` has and ``running`` lacks, as ``context: line``, in the order of ``asked``."""
    there = set(parse(running))
    return [
        _shown(context, line)
        for context, line in parse(asked)
        if (context, _as_shown(line)) not in there and not _holds_unseen(context, line, there)
    ]


def _as_shown(line: str) -> str:
    """A command as FRR prints it: it leaves out a static route's distance when that is 1."""
    return re.sub(r"^(ip route \S+ \S+ \S+) 1$", r"\1", line)


def _holds_unseen(context: Path, line: str, there: set[tuple[Path, str]]) -> bool:
    return any(
        _concerns(hidden, context, line)
        and not (
            hidden.contradicted_by is not None
            and any(other == context and found.startswith(hidden.contradicted_by) for other, found in there)
        )
        for hidden in HIDDEN
    )


def _concerns(hidden: Hidden, context: Path, line: str) -> bool:
    right_context = bool(context) and context[-1].startswith(hidden.context) if hidden.context else not context
    if hidden.line.endswith("*"):
        return right_context and line.startswith(hidden.line[:-1])
    return right_context and line == hidden.line


def _shown(context: Path, line: str) -> str:
    return ": ".join((*context, line))
