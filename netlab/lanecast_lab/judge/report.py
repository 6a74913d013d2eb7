"""Writes a verdict for machines (verdict.json, junit.xml) and for people (a table)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lanecast_lab.judge.model import (
    MILLISECOND_NS,
    RANGES_SHOWN,
    Check,
    Number,
    Range,
    SubscriberResult,
    Verdict,
    percentile,
)

MARKS = {True: ("✔", "green"), False: ("✘", "bold red"), None: ("—", "yellow")}

MICROSECOND_NS = 1000


def exit_code(verdict: Verdict, strict: bool = False) -> int:
    """0 when no check is false; with ``strict``, only when there are checks and every one is true."""
    if strict:
        return 0 if verdict.checks and all(check.passed is True for check in verdict.checks) else 1
    return 0 if verdict.passed else 1


def document(verdict: Verdict) -> dict[str, Any]:
    """The content of verdict.json (design, "The lab"): fields are added, none is renamed."""
    return {
        "plan": verdict.plan,
        "passed": verdict.passed,
        "seed": verdict.seed,
        "checks": [_check(check) for check in verdict.checks],
        "subscribers": [_subscriber(result) for result in verdict.subscribers],
        "faults": [
            {"name": one.name, "at_ms": one.at_ms, "failover_ms": one.failover_ms, "lost": one.lost}
            for one in verdict.faults
        ],
        "recovery": [asdict(one) for one in verdict.recovery],
        "timings": {
            "build_s": verdict.timings.build_s,
            "converge_s": verdict.timings.converge_s,
            "traffic_s": verdict.timings.traffic_s,
            "teardown_s": verdict.timings.teardown_s,
        },
        "unexpected": [
            {"instance": one.instance, "port": one.port, "what": one.what, "count": one.count}
            for one in verdict.unexpected
        ],
        "notes": verdict.notes,
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "passed": check.passed,
        "wanted": check.wanted,
        "measured": check.measured,
        "unit": check.unit,
        "detail": check.detail,
    }


def _subscriber(result: SubscriberResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "feed": result.feed,
        "stream": result.stream,
        "expected": result.expected,
        "received": result.received,
        "missing": result.missing,
        "duplicated": result.duplicated,
        "out_of_order": result.out_of_order,
        "corrupted": result.corrupted,
        "only_on": result.only_on,
        "recovered": result.recovered,
        "latency_us": latency_us(result.latencies_ns),
        "unexpected": result.unexpected,
        "never_sent": _ranges(result.never_sent),
        "lost_on_the_way": _ranges(result.lost_on_the_way),
    }


def latency_us(sorted_ns: tuple[int, ...]) -> dict[str, int | None]:
    """Median, p99 and largest in whole microseconds; null where nothing arrived."""
    shares = {"p50": 50, "p99": 99, "max": 100}
    values = {name: percentile(sorted_ns, share) for name, share in shares.items()}
    return {name: None if value is None else round(value / MICROSECOND_NS) for name, value in values.items()}


def _ranges(ranges: tuple[Range, ...]) -> dict[str, Any]:
    return {
        "count": sum(len(one) for one in ranges),
        "ranges": [{"epoch": one.epoch, "first": one.first, "last": one.last} for one in ranges[:RANGES_SHOWN]],
        "ranges_left_out": max(0, len(ranges) - RANGES_SHOWN),
    }


def write_json(verdict: Verdict, path: Path) -> None:
    """Write verdict.json."""
    path.write_text(json.dumps(document(verdict), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_junit(verdict: Verdict, path: Path) -> None:
    """Write the checks as JUnit test cases: a broken promise fails, one that was not shown is skipped."""
    suite = ElementTree.Element(
        "testsuite",
        name=verdict.plan,
        tests=str(len(verdict.checks)),
        failures=str(sum(check.passed is False for check in verdict.checks)),
        errors="0",
        skipped=str(sum(check.passed is None for check in verdict.checks)),
        time=f"{verdict.timings.traffic_s:.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(properties, "property", name="seed", value=str(verdict.seed))
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=f"lanecast.{verdict.plan}", name=check.name)
        message = _wanted_and_measured(check)
        if check.passed is False:
            ElementTree.SubElement(case, "failure", message=_plain(message)).text = _plain(check.detail)
        elif check.passed is None:
            ElementTree.SubElement(case, "skipped", message=_plain(f"not shown: {check.detail}"))
        else:
            ElementTree.SubElement(case, "system-out").text = _plain(f"{message}; {check.detail}")
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def _plain(text: str) -> str:
    """Text without the control characters that XML 1.0 refuses; an epoch may hold any byte."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _wanted_and_measured(check: Check) -> str:
    measured = "not measured" if check.measured is None else f"measured {_value(check.measured)} {check.unit}"
    return f"wanted {_value(check.wanted)}, {measured.rstrip()}"


def _value(value: Number) -> str:
    if value is None:
        return "—"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def render(verdict: Verdict) -> RenderableType:
    """The verdict for a person: who got what, then each check, then what to know of the run."""
    parts: list[RenderableType] = [_subscriber_table(verdict.subscribers), *_check_lines(verdict.checks)]
    parts.extend(Text(f"note: {note}", style="dim") for note in verdict.notes)
    mark, style = MARKS[verdict.passed]
    not_shown = sum(check.passed is None for check in verdict.checks)
    outcome = "no promise was broken" if verdict.passed else "a promise was broken"
    suffix = f"; {not_shown} not shown" if not_shown else ""
    parts.append(Text(f"{mark} {verdict.plan}: {outcome}{suffix} (seed {verdict.seed})", style=style))
    return Group(*parts)


def print_verdict(verdict: Verdict, console: Console | None = None) -> None:
    """Print :func:`render`."""
    (console or Console()).print(render(verdict))


def _subscriber_table(results: Iterable[SubscriberResult]) -> Table:
    table = Table(title="Subscribers", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("instance", "feed"):
        table.add_column(column, overflow="fold")
    for column in ("expected", "received", "recovered", "missing", "twice", "order", "changed", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right", no_wrap=True)
    together: dict[tuple[str, str], list[SubscriberResult]] = {}
    for result in results:
        together.setdefault((result.name, result.feed), []).append(result)
    for (name, feed), streams in together.items():
        faults = [
            sum(one.missing for one in streams),
            sum(one.duplicated for one in streams),
            sum(one.out_of_order for one in streams),
            sum(one.corrupted for one in streams),
        ]
        latencies = tuple(sorted(value for one in streams for value in one.latencies_ns))
        table.add_row(
            name,
            feed,
            str(sum(one.expected for one in streams)),
            str(sum(one.received for one in streams)),
            str(sum(one.recovered for one in streams)),
            *(Text(str(count), style="bold red" if count else "") for count in faults),
            *(_milliseconds(percentile(latencies, share)) for share in (50, 99)),
        )
    return table


def _milliseconds(value_ns: int | None) -> str:
    return "—" if value_ns is None else f"{value_ns / MILLISECOND_NS:.3f}"


def _check_lines(checks: Iterable[Check]) -> Iterable[RenderableType]:
    for check in checks:
        mark, style = MARKS[check.passed]
        line = Text(f"{mark} {check.name}", style=style)
        yield line.append(f"  {_wanted_and_measured(check)}", style="default")
        if check.detail:
            yield Padding(Text(_plain(check.detail), style="dim"), (0, 0, 0, 4))
