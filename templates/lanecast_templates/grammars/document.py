"""Statements against a grammar: each finds the rule that it fits, and becomes a node of the text's tree.

Where a rule may stand inline (a path of VyOS, a one-line container of Junos) one statement gives several nodes; nodes
of the same container merge into one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lanecast_templates.grammars.layouts import Finding, Statement, cut
from lanecast_templates.grammars.loading import Command, Grammar
from lanecast_templates.grammars.matching import Attempt, Values, fits
from lanecast_templates.grammars.parameters import Word
from lanecast_templates.grammars.schema import TOP
from lanecast_templates.grammars.secrets import HIDDEN, secret_at, shown_up_to


@dataclass(eq=False, slots=True)
class Node:
    """One statement with its rule. ``order`` counts through the text; ``shared``: values its children share with it."""

    line: int
    order: int
    command: Command | None
    words: tuple[Word, ...]
    values: Values
    parent: Node | None
    children: list[Node] = field(default_factory=list)
    shared: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The command as a message may show it."""
        return shown_up_to(self._visible(), self.words)

    def shown(self, values: Iterable[str]) -> tuple[str, ...]:
        """Values of the command as a message may show them."""
        visible = self._visible()
        secrets = {word.text for word in self.words[visible : visible + 1]}
        return tuple(HIDDEN if value in secrets else value for value in values)

    def heads(self) -> tuple[Word, ...]:
        """The words of this command and of the blocks around it."""
        return tuple(word for node in (self, *self.above()) for word in node.words)

    def _visible(self) -> int:
        return secret_at(self.words, self.parent.heads() if self.parent else ())

    @property
    def opens(self) -> str:
        return (self.command.rule.opens if self.command else TOP) or ""

    def above(self) -> Iterator[Node]:
        """The blocks around it, the nearest first, the whole text last."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def below(self) -> Iterator[Node]:
        for child in self.children:
            yield child
            yield from child.below()


@dataclass(frozen=True, slots=True)
class _Step:
    """One rule of a statement's path, with the words that are its own."""

    command: Command
    words: tuple[Word, ...]
    values: Values


class Document:
    """A text as a tree of nodes, and what fitted no rule."""

    def __init__(self, grammar: Grammar, text: str) -> None:
        self.grammar = grammar
        pieces = cut(text, grammar.layout)
        self.findings: list[Finding] = list(pieces.findings)
        self.root = Node(1, 0, None, (), {}, None)
        self._count = 0
        for statement in pieces.statements:
            self._add(statement, self.root)

    def _add(self, statement: Statement, parent: Node) -> None:
        if not statement.words:
            return
        attempt = Attempt(statement.words, self.grammar.layout.shape == "braces", parent.heads())
        path = self._path(attempt, 0, parent.opens)
        if path is None:
            self.findings.append(Finding(statement.line, self._why_not(attempt, parent.opens)))
            return
        node = parent
        for step in path:
            node = self._node(statement.line, step, node)
        if node.command is not None and node.command.rule.opens is None and (statement.children or statement.block):
            line = statement.children[0].line if statement.children else statement.line
            self.findings.append(Finding(line, f"expected no block below '{node.text}'"))
            return
        for child in statement.children:
            self._add(child, node)

    def _path(self, attempt: Attempt, position: int, context: str) -> tuple[_Step, ...] | None:
        """The rules that the words from ``position`` fit, one inside the other; the first that fits to the end."""
        for command in self._candidates(attempt, position, context):
            for part in command.parts:
                attempt.context = context
                for end, values in fits(part, attempt, position, {}):
                    step = _Step(command, attempt.words[position:end], values)
                    if end == len(attempt.words):
                        return (step,)
                    rest = self._rest(command, attempt, end)
                    if rest is not None:
                        return (step, *rest)
                    attempt.context = context
        return None

    def _rest(self, command: Command, attempt: Attempt, end: int) -> tuple[_Step, ...] | None:
        inline = command.rule.inline or self.grammar.layout.shape == "set"
        if not inline or command.rule.opens is None:
            attempt.note(end, "the end of the command")
            return None
        return self._path(attempt, end, command.rule.opens)

    def _candidates(self, attempt: Attempt, position: int, context: str) -> Iterator[Command]:
        """The rules of the context, then those of the contexts it is like, that can begin with the word."""
        word = attempt.words[position].text
        attempt.context = context
        for each in self.grammar.chain(context):
            for command in self.grammar.by_context[each]:
                possible = False
                for beginning in command.beginnings:
                    if beginning is None or word in beginning:
                        possible = True
                    else:
                        for keyword in beginning:
                            attempt.note(position, f"'{keyword}'")
                if possible:
                    yield command

    def _node(self, line: int, step: _Step, parent: Node) -> Node:
        rule = step.command.rule
        if rule.opens is not None:
            for child in parent.children:
                if child.command is step.command and child.words == step.words:
                    return child
        self._count += 1
        node = Node(line, self._count, step.command, step.words, step.values, parent)
        parent.children.append(node)
        for name in rule.shares:
            parent.shared[name] = parent.shared.get(name, ()) + step.values.get(name, ())
        return node

    def _why_not(self, attempt: Attempt, context: str) -> str:
        title = self.grammar.contexts[attempt.stopped_in if attempt.expected else context].title
        text = attempt.text()
        if not attempt.expected:
            return f"'{text}': in {title} expected no command"
        expected = f"'{text}': in {title} expected {attempt.wanted()}, found {attempt.found()}"
        places = [] if attempt.furthest else self._places(attempt.words, context)
        return f"{expected}; it belongs in {' or '.join(places)}" if places else expected

    def _places(self, words: tuple[Word, ...], context: str) -> list[str]:
        """The contexts in which these words are a command."""
        bracketed = self.grammar.layout.shape == "braces"
        return [
            self.grammar.contexts[other].title
            for other in self.grammar.contexts
            if other != context and self._path(Attempt(words, bracketed), 0, other) is not None
        ]
