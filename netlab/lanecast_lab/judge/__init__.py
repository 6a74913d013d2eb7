"""The verdict of a lab run: what every subscriber received against what the source had due and the plan promises."""

from lanecast_lab.judge.files import Summaries
from lanecast_lab.judge.judging import judge
from lanecast_lab.judge.model import Check, Fault, RunInvalid, SubscriberResult, Timings, Unexpected, Verdict
from lanecast_lab.judge.report import document, exit_code, print_verdict, render, write_json, write_junit

__all__ = [
    "Check",
    "Fault",
    "RunInvalid",
    "SubscriberResult",
    "Summaries",
    "Timings",
    "Unexpected",
    "Verdict",
    "document",
    "exit_code",
    "judge",
    "print_verdict",
    "render",
    "write_json",
    "write_junit",
]
