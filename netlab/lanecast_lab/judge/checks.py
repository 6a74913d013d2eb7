"""Holds what was measured against what the plan promises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from math import ceil, exp, log, log1p

from lanecast.fabric import (
    Fabric,
    Feed,
)
from lanecast_lab.judge.model import MILLISECOND_NS, Check, SubscriberResult, Unexpected, percentile
from lanecast_lab.judge.ways import no_shortcuts

CONFIDENCE_LEFT = 0.05
"""A promise is shown when a network that only just broke it would look this good in at most 5 % of runs."""

NAMES_SHOWN = 5
"""How many instances, ranges or kinds a detail names; the count is always whole."""


def feed_checks(fabric: Fabric, results: Sequence[SubscriberResult]) -> Iterator[Check]:
    """The checks of every feed of the plan."""
    for feed in fabric.feeds:
        of_feed = [result for result in results if result.feed == feed.name]
        yield delivered(feed, of_feed)
        yield from no_shortcuts(fabric, feed, of_feed)
        if feed.recovery is not None:
            yield from recovered(feed, of_feed)
        promise = feed.promise
        if promise is None:
            continue
        if promise.p99_ns is not None:
            yield latency(feed, promise.p99_ns, of_feed)
        if promise.availability is not None:
            yield availability(feed, promise.availability, of_feed)
        if promise.survives is not None:
            name = f"{feed.name} survives {promise.survives.value}"
            yield Check(name, None, promise.survives.value, None, "", "no fault was injected")


def delivered(feed: Feed, results: Sequence[SubscriberResult]) -> Check:
    """Every message once, in order, unchanged, at every instance."""
    name = f"{feed.name} delivered"
    if not results:
        return Check(name, None, 0, None, "messages", "no instance receives it")
    expected = sum(result.expected for result in results)
    if not expected:
        return Check(name, None, 0, None, "messages", "it had no message due")
    wrong = sum(result.missing + result.duplicated + result.out_of_order + result.corrupted for result in results)
    detail = "; ".join(_faults(results)) if wrong else f"{expected} of {expected} messages, once and in order"
    return Check(name, wrong == 0, 0, wrong, "messages", detail)


def recovered(feed: Feed, results: Sequence[SubscriberResult]) -> Iterator[Check]:
    """What the exchange sent on no line came from a re-request server; no check where every message was on a line."""
    came = sum(result.recovered for result in results)
    stayed = sum(len(one) for result in results for one in result.never_sent)
    if came + stayed:
        detail = f"{came} of {came + stayed} messages that no line had came from a re-request server"
        yield Check(f"{feed.name} recovered", not stayed, came + stayed, came, "messages", detail)


def _faults(results: Sequence[SubscriberResult]) -> Iterator[str]:
    """What is wrong, once for all instances that saw the same."""
    alike: dict[str, list[str]] = {}
    for result in results:
        if not result.faultless:
            alike.setdefault(_fault(result), []).append(result.name)
    for text, instances in list(alike.items())[:NAMES_SHOWN]:
        yield f"{text}, at {_bounded(instances)}"
    if len(alike) > NAMES_SHOWN:
        yield f"and {len(alike) - NAMES_SHOWN} more"


def _fault(result: SubscriberResult) -> str:
    counts = {
        "missing": result.missing,
        "duplicated": result.duplicated,
        "out of order": result.out_of_order,
        "corrupted": result.corrupted,
    }
    text = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    for what, ranges in (("sent on no line", result.never_sent), ("lost on the way", result.lost_on_the_way)):
        if ranges:
            text += f", {what}: {_bounded([str(one) for one in ranges])}"
    return f"channel {result.stream}: {text}"


def _bounded(texts: list[str]) -> str:
    more = len(texts) - NAMES_SHOWN
    return " ".join(texts[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _by_instance(results: Sequence[SubscriberResult]) -> dict[str, list[SubscriberResult]]:
    instances: dict[str, list[SubscriberResult]] = defaultdict(list)
    for result in results:
        if result.expected:
            instances[result.name].append(result)
    return instances


def latency(feed: Feed, wanted_ns: int, results: Sequence[SubscriberResult]) -> Check:
    """The worst instance's p99. A message that never arrived intact ranks behind all that did.

    A p99 above the promise that only the machine under the lab made, by standing still, shows nothing of the network.
    """
    name, wanted = f"{feed.name} p99", wanted_ns / MILLISECOND_NS
    worst: tuple[float, str] = (-1, "")
    undisturbed_ns = -1
    for instance, streams in _by_instance(results).items():
        count = sum(stream.expected for stream in streams)
        p99_ns = _p99_ns([stream.latencies_ns for stream in streams], count)
        least_ns = _p99_ns([stream.undisturbed_ns for stream in streams], count)
        if p99_ns is None or least_ns is None:
            intact = sum(stream.intact for stream in streams)
            detail = f"{instance}: {intact} of {count} messages arrived intact, fewer than 99 %"
            return Check(name, False, wanted, None, "ms", detail)
        worst = max(worst, (p99_ns, f"{instance} is the slowest, of {count} messages"))
        undisturbed_ns = max(undisturbed_ns, least_ns)
    p99, detail = worst
    if not detail:
        return Check(name, None, wanted, None, "ms", "nothing was due at any instance")
    passed: bool | None = p99 <= wanted_ns
    if not passed and undisturbed_ns <= wanted_ns:
        passed = None
        detail += f"; {undisturbed_ns / MILLISECOND_NS:.3f} ms without the time in which this machine stood still"
    return Check(name, passed, wanted, round(p99 / MILLISECOND_NS, 3), "ms", detail)


def _p99_ns(latencies_ns: Iterable[tuple[int, ...]], count: int) -> int | None:
    return percentile(tuple(sorted(value for stream in latencies_ns for value in stream)), 99, out_of=count)


def availability(feed: Feed, promise: Decimal, results: Sequence[SubscriberResult]) -> Check:
    """The share of messages that the worst instance received intact."""
    name, wanted = f"{feed.name} availability", float(promise * 100)
    worst: tuple[Decimal, int, int, str] | None = None
    for instance, streams in _by_instance(results).items():
        due = sum(stream.expected for stream in streams)
        intact = sum(stream.intact for stream in streams)
        candidate = (Decimal(intact) / due, due, intact, instance)
        worst = candidate if worst is None else min(worst, candidate)
    if worst is None:
        return Check(name, None, wanted, None, "%", "nothing was due at any instance")
    share, due, intact, instance = worst
    measured = float(share * 100)
    if share < promise:
        return Check(name, False, wanted, measured, "%", f"{instance}: {intact} of {due} messages")
    needed = messages_needed(float(promise), due - intact)
    if needed is None:
        return Check(name, None, wanted, measured, "%", f"{intact} of {due} messages; no number of them shows 100 %")
    if due < needed:
        detail = f"{instance}: {intact} of {due} messages; {needed} would be needed to show it with 95 % confidence"
        return Check(name, None, wanted, measured, "%", detail)
    return Check(name, True, wanted, measured, "%", f"{instance}: {intact} of {due} messages")


def messages_needed(promise: float, lost: int) -> int | None:
    """How many messages show ``promise`` with 95 % confidence when ``lost`` of them are missing; None: no number does.

    With none lost it is the n for which ``promise ** n`` is 5 %, else the n for which that is the probability of at
    most ``lost`` losses (Clopper and Pearson, 1934).
    """
    if promise >= 1:
        return None
    if promise <= 0:
        return lost + 1
    if not lost:
        return ceil(log(CONFIDENCE_LEFT) / log(promise))
    low, high = lost, lost + 1
    while _at_most(lost, high, promise) > CONFIDENCE_LEFT:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if _at_most(lost, middle, promise) > CONFIDENCE_LEFT:
            low = middle
        else:
            high = middle
    return high


def _at_most(lost: int, messages: int, promise: float) -> float:
    """The probability that at most ``lost`` of so many are lost, each arriving with probability ``promise``."""
    log_odds = log1p(-promise) - log(promise)
    log_term = messages * log(promise)
    total = exp(log_term)
    for index in range(1, lost + 1):
        log_term += log_odds + log((messages - index + 1) / index)
        total += exp(log_term)
    return total


def nothing_unexpected(unexpected: Sequence[Unexpected]) -> Check:
    """No instance received what is not its own."""
    kinds = [f"{one.count} at {one.instance} port {one.port}: {one.what}" for one in unexpected]
    detail = "; ".join(kinds[:NAMES_SHOWN]) + (
        f"; and {len(kinds) - NAMES_SHOWN} more" if len(kinds) > NAMES_SHOWN else ""
    )
    count = sum(one.count for one in unexpected)
    return Check("nothing unexpected", count == 0, 0, count, "datagrams", detail)
