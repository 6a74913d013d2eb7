"""A platform's text, cut into statements by its shape: indented blocks, curly braces, or flat ``set`` lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lanecast_templates.grammars.parameters import Word
from lanecast_templates.grammars.schema import Layout


class Finding(NamedTuple):
    """What is wrong in a text, and the line it stands on (the first is 1)."""

    line: int
    message: str


@dataclass(slots=True)
class Statement:
    """A command or the head of a block. ``block``: braces followed it, even if they were empty."""

    line: int
    words: tuple[Word, ...]
    children: list[Statement] = field(default_factory=list)
    block: bool = False


@dataclass(slots=True)
class Cut:
    """The statements of a text, and what could not be cut."""

    statements: list[Statement] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def cut(text: str, layout: Layout) -> Cut:
    match layout.shape:
        case "indented":
            return _Indented(layout).cut(text)
        case "braces":
            return _Braces().cut(text)
        case "set":
            return _set_lines(text, layout)


_QUOTED = {
    None: re.compile(r"(?P<plain>\S+)"),
    "double": re.compile(r'"(?P<quoted>[^"]*)"(?=\s|$)|(?P<plain>[^\s"]\S*)'),
    "single": re.compile(r"'(?P<quoted>[^']*)'(?=\s|$)|(?P<plain>[^\s']\S*)"),
}


def _words(text: str, quotes: str | None) -> tuple[Word, ...] | None:
    """The words of one line; None where a quote is not closed."""
    words, position, end = [], 0, len(text.rstrip())
    while position < end:
        if text[position].isspace():
            position += 1
            continue
        match = _QUOTED[quotes].match(text, position)
        if match is None:
            return None
        words.append(Word(match[match.lastgroup or 0], quoted=match.lastgroup == "quoted"))
        position = match.end()
    return tuple(words)


class _Indented:
    """Blocks by indentation. A line of ``separator`` ends blocks; one that begins with ``comment`` says nothing."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.result = Cut()
        self.stack: list[tuple[int, Statement]] = []

    def cut(self, text: str) -> Cut:
        lines = iter(enumerate(text.split("\n"), start=1))
        for number, line in lines:
            content = line.strip()
            if content and content == self.layout.separator:
                self._close(len(line) - len(line.lstrip()))
            elif content and not (self.layout.comment and content.startswith(self.layout.comment)):
                self._statement(number, line, lines)
        return self.result

    def _close(self, indent: int) -> None:
        """Ends the blocks that stand at ``indent`` or deeper."""
        while self.stack and self.stack[-1][0] >= indent:
            self.stack.pop()

    def _statement(self, number: int, line: str, lines: Iterator[tuple[int, str]]) -> None:
        if "\t" in line:
            self.result.findings.append(Finding(number, "a tab; expected spaces"))
        indent = len(line) - len(line.lstrip())
        words = _words(line, self.layout.quotes)
        if words is None:
            self.result.findings.append(
                Finding(number, "expected a closing quote, and a blank or the line's end after it")
            )
            return
        words = self._several_lines(number, line.strip(), words, lines)
        self._close(indent)
        self._place(Statement(number, words), indent)

    def _place(self, statement: Statement, indent: int) -> None:
        if self.stack:
            parent_indent, parent = self.stack[-1]
            if indent - parent_indent != self.layout.indent:
                expected = f"expected {parent_indent + self.layout.indent} blanks before the command"
                self.result.findings.append(Finding(statement.line, f"{expected}, not {indent}"))
            parent.children.append(statement)
        else:
            allowed = (0, self.layout.indent) if self.layout.indented_top else (0,)
            if indent not in allowed:
                self.result.findings.append(
                    Finding(statement.line, f"{indent} blanks where no block is open; expected none")
                )
            self.result.statements.append(statement)
        self.stack.append((indent, statement))

    def _several_lines(
        self, number: int, content: str, words: tuple[Word, ...], lines: Iterator[tuple[int, str]]
    ) -> tuple[Word, ...]:
        """A text between two like signs, such as a banner's, becomes one word, over as many lines as it takes."""
        beginning = next((each for each in self.layout.several_lines if content.startswith(f"{each} ")), None)
        if beginning is None:
            return words
        rest = content[len(beginning) :].lstrip()
        sign = "^C" if rest.startswith("^C") else rest[0]
        collected = rest[len(sign) :]
        while sign not in collected:
            following = next(lines, None)
            if following is None:
                self.result.findings.append(Finding(number, f"expected '{sign}' to end the text"))
                return words
            collected += f"\n{following[1]}"
        head = tuple(Word(each) for each in beginning.split())
        return (*head, Word(collected.partition(sign)[0], quoted=True))


def _set_lines(text: str, layout: Layout) -> Cut:
    """Every line is a whole path that begins with ``set``; values stand in single quotes."""
    result = Cut()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or (layout.comment and line.startswith(layout.comment)):
            continue
        words = _words(line, "single")
        if words is None:
            result.findings.append(Finding(number, "expected a closing quote, and a blank or the line's end after it"))
        elif line.startswith(" ") or words[0] != Word("set") or len(words) == 1:
            result.findings.append(Finding(number, "expected 'set' and a path at the line's beginning"))
        else:
            result.statements.append(Statement(number, words[1:]))
    return result


_BRACES = re.compile(
    r'(?P<skip>[ \t\r]+|#[^\n]*)|(?P<comment>/\*.*?\*/)|(?P<newline>\n)|(?P<sign>[{};\[\]])|(?P<plain>[^\s{};\[\]"]+)'
    r'|"(?P<quoted>(?:[^"\\\n]|\\[^\n])*)"(?=[\s{};\[\]]|\Z)'
    r'|"(?P<unclosed>[^\n]*?)(?=[;{]?[ \t\r]*(?:#[^\n]*)?(?:\n|\Z))|(?P<wrong>.)',
    re.DOTALL,
)


class _Braces:
    """``words;`` and ``words { … }``; a ``#`` after a blank begins a comment, ``[ a b ]`` is a list of values."""

    def __init__(self) -> None:
        self.result = Cut()
        self.open: list[Statement] = []
        self.pending: list[Word] = []
        self.began = 0
        self.list_began: int | None = None

    def cut(self, text: str) -> Cut:
        line = 1
        for match in _BRACES.finditer(text):
            self._token(match.lastgroup or "", match[match.lastgroup or 0], line)
            line += match[0].count("\n")
        if self.pending:
            self._finding(self.began, "expected ';' after the statement")
        for statement in self.open:
            self._finding(statement.line, "expected '}' to close this block")
        return self.result

    def _finding(self, line: int, message: str) -> None:
        self.result.findings.append(Finding(line, message))

    def _token(self, group: str, text: str, line: int) -> None:
        match group, text:
            case "sign", "{":
                self._end(line, block=True)
            case "sign", ";":
                self._end(line, block=False)
            case "sign", "}":
                self._close(line)
            case "sign", _:
                self._bracket(text, line)
            case (("quoted" | "plain" | "unclosed"), _):
                if group == "unclosed":  # one word to the line's end: a ';' in it, as in a secret, ends no statement
                    self._finding(line, "expected a closing quote, and a blank or a sign after it")
                self.began = self.began if self.pending else line
                self.pending.append(Word(text, quoted=group != "plain", listed=self.list_began is not None))
            case "wrong", _:
                self._finding(line, "expected no such blank")

    def _bracket(self, text: str, line: int) -> None:
        if (text == "[") == (self.list_began is not None):
            self._finding(line, f"'{text}' where it opens or closes no list")
        self.list_began = line if text == "[" else None

    def _end(self, line: int, *, block: bool) -> None:
        if self.list_began is not None:
            self._finding(self.list_began, "expected ']' to close the list")
            self.list_began = None
        if not self.pending:
            self._finding(line, f"expected a statement before '{'{' if block else ';'}'")
        statement = Statement(self.began if self.pending else line, tuple(self.pending), block=block)
        self.pending = []
        (self.open[-1].children if self.open else self.result.statements).append(statement)
        if block:
            self.open.append(statement)

    def _close(self, line: int) -> None:
        if self.pending:
            self._finding(self.began, "expected ';' after the statement")
            self.pending = []
        if self.open:
            self.open.pop()
        else:
            self._finding(line, "'}' closes no block")
