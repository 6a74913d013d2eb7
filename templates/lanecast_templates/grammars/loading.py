"""A grammar from its YAML files: read strictly, with the file and line of every mistake in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

import yaml
from pydantic import ValidationError

from lanecast_templates.grammars.notation import (
    NotationError,
    Part,
    Vocabulary,
    first_keywords,
    parameters_of,
    read_notation,
)
from lanecast_templates.grammars.parameters import Kind, KindError, Narrowed, Pattern, kind_of
from lanecast_templates.grammars.schema import (
    TOP,
    Clause,
    Comparison,
    Context,
    GrammarFile,
    Kindred,
    Layout,
    Naming,
    Rule,
    read_clause,
    read_clauses,
    read_comparison,
)


class GrammarError(Exception):
    """A grammar's files are wrong; one line for each mistake, with file and line."""


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """A rule, ready to be matched."""

    rule: Rule
    place: Place
    parts: tuple[Part, ...]
    beginnings: tuple[frozenset[str] | None, ...]
    source: str
    requires: tuple[tuple[Clause, ...], ...]
    conflicts: tuple[Clause, ...]
    precedes: tuple[Clause, ...]
    compare: tuple[Comparison, ...]

    def values(self) -> set[str]:
        """The names of the values that the command's words give."""
        names: set[str] = set()
        for part in self.parts:
            for parameter in parameters_of(part):
                names |= {parameter.name, *_pattern_groups(parameter.kind)}
        return names


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a platform's text is checked against."""

    platform: str
    release: str
    layout: Layout
    contexts: Mapping[str, Context]
    names: Mapping[str, Naming]
    commands: Mapping[str, Command]
    by_context: Mapping[str, tuple[Command, ...]]

    def chain(self, context: str) -> Iterator[str]:
        """The context, then those it is like."""
        current: str | None = context
        while current is not None:
            yield current
            current = self.contexts[current].like


def _pattern_groups(kind: Kind) -> set[str]:
    return {name.replace("_", "-") for name in kind.pattern.groupindex} if isinstance(kind, Pattern) else set()


@dataclass(slots=True)
class _Loader:
    """Gathers the files' contents and every mistake found on the way."""

    mistakes: list[str] = field(default_factory=list)
    heads: list[tuple[GrammarFile, Place]] = field(default_factory=list)
    tables: dict[str, dict[str, tuple[object, Place]]] = field(default_factory=dict)
    rules: list[tuple[Rule, Place]] = field(default_factory=list)

    def mistake(self, place: Place, message: str) -> None:
        self.mistakes.append(f"{place}: {message}")

    def stop(self) -> None:
        if self.mistakes:
            raise GrammarError("\n".join(self.mistakes))

    def read(self, path: Path) -> None:
        name = f"{path.parent.name}/{path.name}"
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self.mistake(Place(name, line), f"is no YAML: {error.problem}")
            return
        for line, key in _repeated_keys(node):
            self.mistake(Place(name, line), f"the key '{key}' stands here twice")
        try:
            content = GrammarFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            for each in error.errors():
                where = ".".join(str(key) for key in each["loc"])
                self.mistake(Place(name, _line_of(node, each["loc"])), f"{where}: {each['msg']}")
            return
        self.gather(content, node, name)

    def gather(self, content: GrammarFile, node: yaml.Node | None, name: str) -> None:
        if content.platform is not None:
            self.heads.append((content, Place(name, 1)))
        for table in ("sources", "types", "shorthand", "contexts", "names"):
            known = self.tables.setdefault(table, {})
            for key, value in getattr(content, table).items():
                place = Place(name, _line_of(node, (table, key)))
                if key in known:
                    self.mistake(place, f"{table}.{key} also stands at {known[key][1]}")
                known[key] = (value, place)
        for index, rule in enumerate(content.rules):
            self.rules.append((rule, Place(name, _line_of(node, ("rules", index)))))

    def head(self, where: str) -> tuple[str, str, Layout]:
        if len(self.heads) != 1:
            raise GrammarError(
                f"{where}: expected 'platform', 'release' and 'layout' in one file, not in {len(self.heads)}"
            )
        content, place = self.heads[0]
        if content.platform is None or content.release is None or content.layout is None:
            raise GrammarError(f"{place}: expected 'platform', 'release' and 'layout' beside each other")
        return content.platform, content.release, content.layout


def _line_of(node: yaml.Node | None, keys: tuple[int | str, ...]) -> int:
    """The line of the deepest of ``keys`` that the file has."""
    line = 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = next(((left, right) for left, right in node.value if left.value == key), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line


def _repeated_keys(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(key.value)
            yield from _repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item)


def load(folder: Path, platform: str) -> Grammar:
    """The grammar in ``folder/PLATFORM.yaml`` or in the files of ``folder/PLATFORM/``."""
    single = folder / f"{platform}.yaml"
    paths = [single] if single.is_file() else sorted((folder / platform).glob("*.yaml"))
    if not paths:
        raise GrammarError(f"there is no grammar for the platform '{platform}'")
    loader = _Loader()
    for path in paths:
        loader.read(path)
    loader.stop()
    name, release, layout = loader.head(platform)
    if name != platform:
        raise GrammarError(f"{loader.heads[0][1]}: platform is '{name}', the file is for '{platform}'")
    return _Compiler(loader, name, release, layout).grammar()


class _Compiler:
    """Reads the notation of every rule, and checks that all that one part of a grammar names stands in another."""

    def __init__(self, loader: _Loader, platform: str, release: str, layout: Layout) -> None:
        self.loader, self.platform, self.release, self.layout = loader, platform, release, layout
        self.sources = {key: str(value) for key, (value, _) in loader.tables["sources"].items()}
        self.contexts = {
            TOP: Context(title="the global configuration"),
            **{key: value for key, (value, _) in loader.tables["contexts"].items() if isinstance(value, Context)},
        }
        self.names = {key: value for key, (value, _) in loader.tables["names"].items() if isinstance(value, Naming)}

    def grammar(self) -> Grammar:
        self.check_contexts()
        vocabulary = self.vocabulary()
        self.loader.stop()
        commands: dict[str, Command] = {}
        for rule, place in self.loader.rules:
            if rule.rule in commands:
                self.loader.mistake(place, f"the rule '{rule.rule}' also stands at {commands[rule.rule].place}")
            if (command := self.command(rule, place, vocabulary)) is not None:
                commands[rule.rule] = command
        self.loader.stop()
        for command in commands.values():
            self.check_command(command, commands)
        opened = {each.rule.opens for each in commands.values()}
        for context, (_, place) in self.loader.tables["contexts"].items():
            if context not in opened:
                self.loader.mistake(place, f"no command opens the context '{context}'")
        self.check_names(commands)
        self.loader.stop()
        by_context = {
            context: tuple(each for each in commands.values() if context in each.rule.within)
            for context in self.contexts
        }
        return Grammar(self.platform, self.release, self.layout, self.contexts, self.names, commands, by_context)

    def check_contexts(self) -> None:
        for key, (value, place) in self.loader.tables["contexts"].items():
            like, seen = value.like if isinstance(value, Context) else None, [key]
            while like is not None:
                if like not in self.contexts or like in seen:
                    self.loader.mistake(place, f"'{seen[-1]}' is like '{like}', which is no context or is like it")
                    break
                seen.append(like)
                like = self.contexts[like].like

    def vocabulary(self) -> Vocabulary:
        kinds: dict[str, Kind] = {}
        for key, (value, place) in self.loader.tables["types"].items():
            try:
                assert isinstance(value, Kindred)
                kinds[key] = _kind(value)
            except (KindError, re.error, ValueError) as error:
                self.loader.mistake(place, str(error))
        shorthand = {key: str(value) for key, (value, _) in self.loader.tables["shorthand"].items()}
        vocabulary = Vocabulary(kinds, shorthand)
        for key, (value, place) in self.loader.tables["shorthand"].items():
            try:
                read_notation(str(value), vocabulary, (key,))
            except NotationError as error:
                self.loader.mistake(place, str(error))
        return vocabulary

    def command(self, rule: Rule, place: Place, vocabulary: Vocabulary) -> Command | None:
        try:
            parts = tuple(read_notation(words, vocabulary) for words in rule.words)
            return Command(
                rule,
                place,
                parts,
                tuple(first_keywords(part) for part in parts),
                self.source(rule),
                tuple(read_clauses(each) for each in rule.requires),
                tuple(read_clause(each) for each in rule.conflicts),
                tuple(read_clause(each) for each in rule.precedes),
                tuple(read_comparison(each) for each in rule.compare),
            )
        except ValueError as error:
            self.loader.mistake(place, f"{rule.rule}: {error}")
            return None

    def source(self, rule: Rule) -> str:
        """``ID: chapter`` with the document that the sources' table has for the id."""
        document, colon, chapter = rule.source.partition(": ")
        if not colon or not chapter.strip() or document not in self.sources:
            raise ValueError(f"source is 'ID: chapter' with an id of 'sources', not '{rule.source}'")
        return f"{self.sources[document]}, {chapter.strip()}"

    def check_command(self, command: Command, commands: Mapping[str, Command]) -> None:
        rule = command.rule
        for context in (*rule.within, *([rule.opens] if rule.opens else [])):
            if context not in self.contexts:
                self.complain(command, f"there is no context '{context}'")
        for sort in (*rule.defines, *rule.refers, *rule.forbids, *rule.unique):
            if sort not in self.names:
                self.complain(command, f"there is no sort of names '{sort}'")
        clauses = [*command.conflicts, *command.precedes, *(each for group in command.requires for each in group)]
        for clause in clauses:
            if clause.rule not in commands:
                self.complain(command, f"there is no rule '{clause.rule}'")
            elif clause.context not in (None, "block") and clause.context not in self.contexts:
                self.complain(command, f"there is no context '{clause.context}'")
        for shared in set(rule.shares) - command.values():
            self.complain(command, f"shares '{shared}', which its words do not give")
        self.check_operands(command, clauses, commands)

    def check_operands(self, command: Command, clauses: list[Clause], commands: Mapping[str, Command]) -> None:
        """Values may come from the command itself, or from any command that may stand around it."""
        rule = command.rule
        given = set().union(*(each.values() for each in commands.values()))
        keys = [key for table in (rule.defines, rule.refers, rule.forbids, rule.unique) for key in table.values()]
        operands = {operand for key in keys for operand in key} | {each for clause in clauses for each in clause.same}
        operands |= {each for compared in command.compare for each in (compared.left, compared.right)}
        for operand in sorted(operands):
            name, _, attribute = operand.removesuffix("?").partition(".")
            if not name.isdigit() and name not in given:
                self.complain(command, f"no command gives a value '{name}'")
            if attribute not in ("", "length", "host", "network"):
                self.complain(command, f"a value has '.length', '.host' and '.network', no '.{attribute}'")

    def check_names(self, commands: Mapping[str, Command]) -> None:
        for sort, (value, place) in self.loader.tables["names"].items():
            rules = [each.rule for each in commands.values()]
            assert isinstance(value, Naming)
            used = any(sort in each.refers or sort in each.forbids for each in rules)
            if used and not value.predefined and not any(sort in each.defines for each in rules):
                self.loader.mistake(place, f"commands refer to '{sort}', and none defines it")
            if not used and not any(sort in each.unique for each in rules):
                self.loader.mistake(place, f"no command refers to '{sort}'")

    def complain(self, command: Command, message: str) -> None:
        self.loader.mistake(command.place, f"{command.rule.rule}: {message}")


def _kind(value: Kindred) -> Kind:
    if (value.pattern is None) == (value.base is None):
        raise KindError("a type has either 'pattern' or 'base'")
    if value.pattern is not None:
        return Pattern(value.expected, re.compile(value.pattern))
    within, outside = (tuple(IPv4Network(each) for each in ranges) for ranges in (value.within, value.outside))
    return Narrowed(value.expected, kind_of(str(value.base)), within, outside)
