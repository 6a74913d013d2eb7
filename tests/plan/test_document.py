"""Documents that are hostile, broken or merely large get a clear answer, soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lanecast.plan.loader import load_plan
from lanecast_relay.config.document import DocumentError, UnreadableDocument, load_document

CASES = {
    "empty": (b"", "the file is empty"),
    "list": (b"- 1\n", "expected keys and values at the top level"),
    "two documents": (b"a: 1\n---\nb: 2\n", "expected one"),
    "not UTF-8": (b"a: 1\nb: \xff\n", "byte 0xff in column 4 is not UTF-8"),
    "tab": (b"a:\n\tb: 1\n", "a tab in the indentation"),
    "duplicate": (b"a: 1\nb: 2\na: 3\n", "stands twice; the first one is on (line 1)"),
    "brackets": (b"a: " + b"[" * 10_000, "nested deeper than"),
    "unclosed": (b"a: {b: 1\n", "not YAML"),
    "recursive alias": (b"a: &x [*x]\n", "an alias inside what it names"),
    "unknown alias": (b"a: *x\n", "alias"),
    "merge key": (b"a: &x {b: 1}\nc:\n  <<: *x\n", "merge keys"),
    "complex key": (b"? [a]\n: 1\n", "a key has to be plain text"),
    "long number": (b"a: " + b"9" * 5000 + b"\n", "a number of 5000 digits"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said(name: str, tmp_path: Path) -> None:
    content, words = CASES[name]
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        load_document(path)
    assert words in str(caught.value)


def test_a_billion_laughs_are_refused(tmp_path: Path) -> None:
    levels = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    path = tmp_path / "plan.yaml"
    path.write_text("\n".join(levels))
    with pytest.raises(DocumentError, match="values once aliases are expanded"):
        load_document(path)


def test_a_hundred_thousand_lines_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("lanecast: 1\nfeeds:\n" + "".join(f"  feed-{n}: {{exchange: x}}\n" for n in range(100_000)))
    started = time.monotonic()
    with pytest.raises(DocumentError) as caught:
        load_plan(path)
    assert len(caught.value.problems) > 100_000
    assert "is checked once they are mended" in str(caught.value)
    assert time.monotonic() - started < 120, "minutes instead of seconds"


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match="No such file"):
        load_document(tmp_path / "plan.yaml")


def test_values_follow_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text('a: NO\nb: 12:30\nc: "1"\nd: 010\ne: true\nf: ~\n310: x\n')
    assert load_document(path).data == {"a": "NO", "b": "12:30", "c": "1", "d": 10, "e": True, "f": None, "310": "x"}


def test_anchors_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("a: &x {b: 1}\nc: *x\n")
    assert load_document(path).data["c"] == {"b": 1}
