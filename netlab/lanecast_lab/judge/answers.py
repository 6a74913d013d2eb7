"""What the exchanges' re-request servers were asked and answered (docs/wire-tool-formats.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address
from struct import Struct
from typing import NamedTuple

from lanecast_lab.judge.model import RecoveryServer
from lanecast_relay.config.model import Endpoint

ANSWERS_MAGIC = b"LCANSW01"
ANSWER = Struct("<Q4sH4sH10sQHHB")

OUTCOMES = ("answered", "malformed", "unknown_session", "not_sent", "refused")
"""What became of a request, by its number in the record."""


class Answer(NamedTuple):
    """One request to a server and how many messages it was answered with."""

    server: Endpoint
    session: str
    first: int
    answered: int
    outcome: str


def read_answers(body: memoryview) -> list[Answer]:
    """Read a record behind its magic; raise ``ValueError`` when it is cut or holds an outcome that is none."""
    if len(body) % ANSWER.size:
        raise ValueError("is cut in the middle of a request")
    found = []
    for _, address, port, _, _, session, first, _, answered, outcome in ANSWER.iter_unpack(body):
        if outcome >= len(OUTCOMES):
            raise ValueError(f"holds a request with outcome {outcome}")
        server = Endpoint(IPv4Address(address), port)
        found.append(Answer(server, session.decode("latin-1"), first, answered, OUTCOMES[outcome]))
    return found


def answered_numbers(answers: Iterable[Answer], servers: Iterable[Endpoint]) -> set[tuple[str, int]]:
    """(session, number) of everything that one of these servers said again."""
    of_channel = set(servers)
    return {
        (answer.session, number)
        for answer in answers
        if answer.server in of_channel
        for number in range(answer.first, answer.first + answer.answered)
    }


def server_results(exchange: str, answers: Iterable[Answer]) -> list[RecoveryServer]:
    """What each server did; one that nobody asked is not among them."""
    by_server: dict[Endpoint, list[Answer]] = {}
    for answer in answers:
        by_server.setdefault(answer.server, []).append(answer)
    return [
        RecoveryServer(
            exchange=exchange,
            server=str(server),
            requests=len(asked),
            answered=sum(one.outcome == "answered" for one in asked),
            messages=sum(one.answered for one in asked),
            unanswered=dict(sorted(Counter(one.outcome for one in asked if one.outcome != "answered").items())),
        )
        for server, asked in sorted(by_server.items())
    ]
