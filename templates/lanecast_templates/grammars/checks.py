"""What statements have to do with each other: names, what must stand with what, and what must not."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Interface, IPv4Network
from itertools import product

from lanecast_templates.grammars.document import Document, Node
from lanecast_templates.grammars.layouts import Finding
from lanecast_templates.grammars.loading import Command
from lanecast_templates.grammars.schema import Clause, Comparison, Naming

Key = tuple[str, ...]


def check(document: Document) -> Iterator[Finding]:
    """Every finding of a text whose statements have their rules."""
    nodes = [node for node in document.root.below() if node.command is not None]
    by_rule: dict[str, list[Node]] = {}
    for node in nodes:
        by_rule.setdefault(_command(node).rule.rule, []).append(node)
    relations = _Relations(by_rule)
    tables = _Tables(document.grammar.names, nodes)
    for node in nodes:
        command = _command(node)
        messages = [
            *tables.messages(node, command),
            *relations.messages(node, command),
            *(message for each in command.compare if (message := _compare(node, each))),
        ]
        yield from (Finding(line, f"{message} ({command.source})") for line, message in messages)


def _command(node: Node) -> Command:
    assert node.command is not None
    return node.command


def values_of(node: Node, operand: str) -> tuple[str, ...]:
    """The values of ``operand``: the node's own, those its children share, then the same of the blocks around it."""
    name, _, attribute = operand.partition(".")
    if name.isdigit():
        return (name,)
    for each in (node, *node.above()):
        found = each.values.get(name) or each.shared.get(name)
        if found:
            return tuple(_attribute(value, attribute) for value in found)
    return ()


def _attribute(value: str, attribute: str) -> str:
    match attribute:
        case "length":
            return value.partition("/")[2] or "32"
        case "host":
            return value.partition("/")[0]
        case "network":
            return str(IPv4Interface(value).network)
        case _:
            return value


def _keys(node: Node, operands: Iterable[str]) -> list[Key]:
    """The keys that the operands make: none where one has no value, unless it ends in ``?``, which makes it empty."""
    return list(product(*(_alternatives(node, operand) for operand in operands)))


def _alternatives(node: Node, operand: str) -> tuple[str, ...]:
    if operand.endswith("?"):
        return values_of(node, operand[:-1]) or ("",)
    return values_of(node, operand)


_SIGNS: Mapping[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le}
_WORDS = {"<": "less than", "<=": "at most", "=": "the same as", "!=": "other than"}


def _compare(node: Node, comparison: Comparison) -> tuple[int, str] | None:
    for left, right in product(values_of(node, comparison.left), values_of(node, comparison.right)):
        if comparison.sign in _SIGNS:
            holds = left.isdigit() and right.isdigit() and _SIGNS[comparison.sign](int(left), int(right))
        else:
            holds = (left == right) == (comparison.sign == "=")
        if not holds:
            expected = f"{comparison.left} {_WORDS[comparison.sign]} {comparison.right}"
            return node.line, f"'{node.text}': expected {expected}, found {' and '.join(node.shown((left, right)))}"
    return None


class _Tables:
    """The names that a text defines, and the values that must be unique in it."""

    def __init__(self, namings: Mapping[str, Naming], nodes: list[Node]) -> None:
        self.namings = namings
        self.defined: dict[str, dict[Key, Node]] = {sort: {} for sort in namings}
        self.taken: dict[str, list[tuple[Key, Node]]] = {sort: [] for sort in namings}
        for node in nodes:
            for sort, operands in _command(node).rule.defines.items():
                for key in _keys(node, operands):
                    self.defined[sort].setdefault(key, node)

    def messages(self, node: Node, command: Command) -> Iterator[tuple[int, str]]:
        for sort, operands in command.rule.refers.items():
            for key in _keys(node, operands):
                if message := self._undefined(node, sort, key):
                    yield node.line, message
        for sort, operands in command.rule.forbids.items():
            for key in _keys(node, operands):
                if definition := self._definition(sort, key):
                    title = self.namings[sort].title
                    yield (
                        node.line,
                        f"'{node.text}': expected no {title}, as '{_shown(node, key)}' is on line {definition.line}",
                    )
        for sort, operands in command.rule.unique.items():
            for key in _keys(node, operands):
                if other := self._taken(node, sort, key):
                    title = self.namings[sort].title
                    yield node.line, f"'{node.text}': expected another {title} than that of line {other.line}"

    def _undefined(self, node: Node, sort: str, key: Key) -> str | None:
        naming = self.namings[sort]
        if key[-1] in naming.predefined:
            return None
        definition = self._definition(sort, key)
        if definition is None:
            return f"'{node.text}': expected {naming.title}{_of(node, key)}, which is defined nowhere"
        if naming.before and definition.order > node.order:
            return f"'{node.text}': expected {naming.title}{_of(node, key)} above; it follows on line {definition.line}"
        return None

    def _definition(self, sort: str, key: Key) -> Node | None:
        if self.namings[sort].match == "equal":
            return self.defined[sort].get(key)
        return next((node for other, node in self.defined[sort].items() if _within(key, other)), None)

    def _taken(self, node: Node, sort: str, key: Key) -> Node | None:
        """Another node with the same value above; where there is none the value is this node's."""
        overlap = self.namings[sort].match == "overlap"
        for other, taken in self.taken[sort]:
            if other == key or (overlap and other[:-1] == key[:-1] and _overlap(other[-1], key[-1])):
                return taken
        self.taken[sort].append((key, node))
        return None


def _of(node: Node, key: Key) -> str:
    return f" '{_shown(node, key)}'" if any(key) else ""


def _shown(node: Node, key: Key) -> str:
    return " ".join(node.shown(each for each in key if each))


def _within(key: Key, definition: Key) -> bool:
    """The last part of ``key`` is an address inside the subnet that ends ``definition``; the rest is equal."""
    if key[:-1] != definition[:-1] or not key[-1] or not definition[-1]:
        return False
    return IPv4Interface(key[-1]).ip in IPv4Interface(definition[-1]).network


def _overlap(left: str, right: str) -> bool:
    if not left or not right:
        return False
    return IPv4Network(left, strict=False).overlaps(IPv4Network(right, strict=False))


class _Relations:
    """What a statement requires, what it shuts out, and what must come after it."""

    def __init__(self, by_rule: Mapping[str, list[Node]]) -> None:
        self.by_rule = by_rule

    def messages(self, node: Node, command: Command) -> Iterator[tuple[int, str]]:
        for alternatives in command.requires:
            if not any(True for clause in alternatives for _ in self._found(node, clause)):
                wanted = " or ".join(_clause_text(clause) for clause in alternatives)
                yield node.line, f"'{node.text}': expected {wanted}"
        for clause in command.conflicts:
            for other in self._found(node, clause):
                later, earlier = (node, other) if node.order > other.order else (other, node)
                yield later.line, f"'{later.text}': expected not to stand with '{earlier.text}' of line {earlier.line}"
        for clause in command.precedes:
            for other in self._found(node, clause):
                if other.order < node.order:
                    yield node.line, f"'{node.text}': expected above '{other.text}' of line {other.line}"
        if command.rule.once:
            first = next(each for each in self.by_rule[command.rule.rule] if each.parent is node.parent)
            if first is not node:
                yield node.line, f"'{node.text}': expected once, and '{first.text}' stands on line {first.line}"

    def _found(self, node: Node, clause: Clause) -> Iterator[Node]:
        for other in self.by_rule.get(clause.rule, ()):
            if other is node or (clause.before and other.order > node.order) or not _in_place(node, clause, other):
                continue
            if all(set(_keys(node, (each,))) & set(_keys(other, (each,))) for each in clause.same):
                yield other


def _in_place(node: Node, clause: Clause, other: Node) -> bool:
    match clause.place:
        case "anywhere":
            return True
        case "inside":
            return other.parent is node
        case "below":
            return node in other.above()
        case "around":
            return other.parent is node or other.parent in list(node.above())
        case "in":
            if clause.context == "block":
                return other.parent is node.parent
            return other.parent is next((each for each in node.above() if each.opens == clause.context), None)


def _clause_text(clause: Clause) -> str:
    place = {"anywhere": "", "inside": " inside", "below": " inside", "around": " here or in a block around it"}
    where = place.get(clause.place, " in the same block" if clause.context == "block" else f" in its {clause.context}")
    same = f" with the same {' and '.join(clause.same)}" if clause.same else ""
    return f"{clause.rule}{where}{same}{' above' if clause.before else ''}"
