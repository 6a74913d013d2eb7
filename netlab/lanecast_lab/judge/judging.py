"""Compares what every instance received with what the source had due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from lanecast.fabric import Fabric
from lanecast_lab.judge.answers import server_results
from lanecast_lab.judge.checks import feed_checks, nothing_unexpected
from lanecast_lab.judge.expected import Expectation
from lanecast_lab.judge.files import CLOCK_STEP_LIMIT_NS, Received, Summaries, read_evidence
from lanecast_lab.judge.model import RunInvalid, SubscriberResult, Unexpected, Verdict
from lanecast_lab.judge.stalls import Stalls
from lanecast_lab.judge.tally import Tally
from lanecast_lab.traffic.plan import Traffic

LATE_NS = 1_000_000
"""A sender whose p99 lateness exceeds this is worth a note: latencies count from the due time."""


def judge(
    fabric: Fabric,
    traffic: Traffic,
    sent: Mapping[str, Path],
    received: Mapping[str, Path],
    summaries: Summaries,
    stalls: Path,
    answers: Mapping[str, Path] = MappingProxyType({}),
) -> Verdict:
    """Return the verdict of a run.

    It rests on the senders' records (by exchange), the receivers' files (by instance), what re-request servers were
    asked (by exchange), their summaries, and when the machine stood still.

    Raises :class:`RunInvalid` when the judge's own means failed, so that nothing can be said.
    """
    evidence = read_evidence(fabric, traffic, sent, received, summaries, stalls, answers)
    expectation = Expectation(traffic, evidence.started_ns, evidence.answers)
    ports = _ports(fabric)
    verdict = Verdict(plan=fabric.name, seed=traffic.options.seed, notes=list(traffic.notes))
    for instance in sorted(evidence.received):
        tallies = {
            port: Tally(instance, expectation.streams[stream], expectation, evidence.stalls)
            for port, stream in ports.get(instance, {}).items()
        }
        results, strange = _judge_instance(instance, tallies, evidence.received[instance], expectation)
        verdict.subscribers.extend(results)
        verdict.unexpected.extend(strange)
    _refuse_impossible(verdict)
    verdict.checks.extend(feed_checks(fabric, verdict.subscribers))
    verdict.checks.append(nothing_unexpected(verdict.unexpected))
    for exchange, answered in evidence.answers.items():
        verdict.recovery.extend(server_results(exchange, answered))
    verdict.notes.extend(_late_senders(summaries))
    verdict.notes.extend(_busy_servers(summaries))
    verdict.notes.extend(_stood_still(evidence.stalls))
    return verdict


def _ports(fabric: Fabric) -> dict[str, dict[int, tuple[str, str]]]:
    """The (feed, channel) that each port of each instance is for (design, decision 4)."""
    ports: dict[str, dict[int, tuple[str, str]]] = {}
    for application in fabric.applications:
        of_instance = ports.setdefault(application.instance, {})
        for channel, endpoint in application.endpoints.items():
            before = of_instance.setdefault(endpoint.port, (application.feed, channel))
            if before != (application.feed, channel):
                raise ValueError(
                    f"{application.instance}: port {endpoint.port} is for {before} and {(application.feed, channel)}"
                )
    return ports


def _judge_instance(
    instance: str, tallies: dict[int, Tally], received: list[Received], expectation: Expectation
) -> tuple[list[SubscriberResult], list[Unexpected]]:
    strays: Counter[tuple[int, str]] = Counter()
    for datagram in received:
        tally = tallies.get(datagram.port)
        if tally is None:
            strays[
                datagram.port, f"no feed of this instance has the port; {expectation.describe(datagram.payload)}"
            ] += 1
        else:
            tally.receive(datagram)
    results = sorted((tally.result() for tally in tallies.values()), key=lambda one: (one.feed, one.stream))
    for port, tally in tallies.items():
        strays.update({(port, what): count for what, count in tally.unexpected.items()})
    return results, [Unexpected(instance, port, what, count) for (port, what), count in sorted(strays.items())]


def _refuse_impossible(verdict: Verdict) -> None:
    """A message that arrived before it was due shows a wrong clock or the wrong files, never a fast network."""
    early = [
        f"{one.name}, {one.feed} channel {one.stream}: a message arrived {-one.latencies_ns[0] / 1e6:.3f} ms before it"
        " was due"
        for one in verdict.subscribers
        if one.latencies_ns and one.latencies_ns[0] < -CLOCK_STEP_LIMIT_NS
    ]
    if early:
        raise RunInvalid(early)


def _late_senders(summaries: Summaries) -> list[str]:
    notes = []
    for exchange, summary in sorted(summaries.senders.items()):
        late = summary.get("late_p99_ns")
        if isinstance(late, int) and late > LATE_NS:
            notes.append(
                f"the sender of {exchange} sent 1 % of its datagrams {late / 1e6:.1f} ms or more after they were due;"
                " the latencies include that"
            )
    return notes


def _busy_servers(summaries: Summaries) -> list[str]:
    """Requests that no server looked at are asked again; many of them would tell of a relay that asks too much."""
    notes = []
    for exchange, summary in sorted(summaries.servers.items()):
        outcomes = summary.get("outcomes")
        above = outcomes.get("above_rate", 0) if isinstance(outcomes, dict) else 0
        dropped = summary.get("kernel_drops")
        if above or dropped:
            notes.append(
                f"the re-request servers of {exchange} left {above} requests above their rate unanswered, and the"
                f" kernel dropped {dropped} before they were read"
            )
    return notes


def _stood_still(stalls: Stalls) -> list[str]:
    if not stalls.count:
        return []
    return [
        f"this machine's processors were late {stalls.count} times, at most by {stalls.longest_ns / 1e6:.1f} ms; the"
        " latencies include that"
    ]
