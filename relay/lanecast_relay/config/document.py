"""YAML documents with line numbers, and every mistake of one at once.

PyYAML's C parser composes the document; what is done here is what it does not: keys are the text that was written,
values follow YAML 1.2's core rules (``NO`` and ``12:30`` are text), duplicate keys are mistakes, and aliases may not
expand without bound. Errors of a model are placed at the line and path where the person wrote the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import IPv4Network
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAXIMUM_VALUES = 2_000_000
"""How many values a document may hold once its aliases are expanded: far above any plan, far below any memory."""

MAXIMUM_DEPTH = 100
"""How deep a document may nest."""

MAXIMUM_BYTES = 64 * 2**20

SHOWN_CHARACTERS = 60
"""How much of a wrong value an error shows."""

QUOTED_STYLES = ("'", '"', "|", ">")
"""Quoted or a block: text, whatever it looks like."""

_INTEGER = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?$")

PathKey = str | int
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where, and what is wrong. ``related_line`` is the other place when two disagree."""

    file: str
    line: int
    path: str
    message: str
    severity: Literal["error", "warning"] = "error"
    related_line: int | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: "
        if self.severity == "warning":
            where += "warning: "
        if self.path:
            where += f"{self.path}: "
        return where + self.message + (f" (line {self.related_line})" if self.related_line is not None else "")


class UnreadableDocument(Exception):
    """The file cannot be read at all."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class DocumentError(Exception):
    """The document's mistakes, sorted by line, and what could be read of it all the same."""

    def __init__(self, problems: list[Problem], document: Document | None = None) -> None:
        self.document = document
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.path, problem.message))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Document:
    """A document's content as plain values, and the line of every place in it."""

    path: Path
    data: dict[str, Any]
    lines: dict[tuple[PathKey, ...], int] = field(repr=False)

    @property
    def file(self) -> str:
        """The file's name as the person gave it."""
        return str(self.path)

    def line_of(self, path: tuple[PathKey, ...]) -> int:
        """The line of a place, or of the nearest place around it that exists."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1

    def problem(
        self,
        path: tuple[PathKey, ...],
        message: str,
        severity: Literal["error", "warning"] = "error",
        related: tuple[PathKey, ...] | None = None,
    ) -> Problem:
        """A mistake at a place of this document; ``related`` is the other place when two disagree."""
        related_line = None if related is None else self.line_of(related)
        return Problem(self.file, self.line_of(path), dotted(path), message, severity, related_line)


def dotted(path: tuple[PathKey, ...]) -> str:
    """A place as a person reads it: ``lines.A.groups``."""
    return ".".join(str(key) for key in path)


def load_document(path: Path) -> Document:
    """Read a YAML mapping.

    Raises :class:`UnreadableDocument` when the file cannot be read, and :class:`DocumentError` with everything that is
    wrong with it as YAML.
    """
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise UnreadableDocument(path, f"larger than {MAXIMUM_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableDocument(path, error.strerror or str(error)) from None
    return _Reader(path).read(_decode(path, content))


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        message = f"byte 0x{content[error.start]:02x} in column {column} is not UTF-8: save the file as UTF-8"
        raise DocumentError([Problem(str(path), line, "", message)]) from None


class _Reader:
    """One document's way from text to plain values."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problems: list[Problem] = []
        self._lines: dict[tuple[PathKey, ...], int] = {}
        self._values = 0

    def _problem(self, line: int, message: str, path: tuple[PathKey, ...] = (), related: int | None = None) -> None:
        self._problems.append(Problem(str(self._path), line, dotted(path), message, related_line=related))

    def read(self, text: str) -> Document:
        self._check_text(text)
        node = self._compose(text)
        self._raise_if_wrong()
        if node is None:
            self._problem(1, "the file is empty")
        elif not isinstance(node, yaml.MappingNode):
            self._problem(_line(node), "expected keys and values at the top level")
        self._raise_if_wrong()
        assert isinstance(node, yaml.MappingNode)  # checked above
        document = Document(self._path, self._value(node, (), ()), self._lines)
        if self._problems:
            raise DocumentError(self._problems, document)
        return document

    def _raise_if_wrong(self) -> None:
        if self._problems:
            raise DocumentError(self._problems)

    def _check_text(self, text: str) -> None:
        """What the parser would say less clearly, or die of: tabs as indentation, and endless nesting."""
        depth = 0
        for number, line in enumerate(text.splitlines(), start=1):
            if "\t" in line[: len(line) - len(line.lstrip())] and line.strip():
                self._problem(number, "a tab in the indentation: YAML takes spaces only")
            depth += line.count("[") + line.count("{") - line.count("]") - line.count("}")
            indentation = len(line) - len(line.lstrip(" "))
            if depth > MAXIMUM_DEPTH or (line.strip() and indentation > 4 * MAXIMUM_DEPTH):
                self._problem(number, f"nested deeper than {MAXIMUM_DEPTH} levels")
                break
        self._raise_if_wrong()

    def _compose(self, text: str) -> yaml.Node | None:
        loader = yaml.CSafeLoader(text)
        try:
            node = loader.get_single_node()
        except yaml.composer.ComposerError as error:
            mark = error.problem_mark
            several = "expected a single document" in str(error.context)
            message = "a second document begins: expected one" if several else str(error.problem)
            self._problem(mark.line + 1 if mark else 1, message)
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            said = " ".join(part for part in (error.problem, error.context) if part)
            self._problem(mark.line + 1 if mark else 1, f"not YAML: {said}")
            return None
        except yaml.YAMLError as error:
            self._problem(1, f"not YAML: {error}")
            return None
        finally:
            loader.dispose()
        return node

    def _value(self, node: yaml.Node, path: tuple[PathKey, ...], ancestors: tuple[int, ...]) -> Any:
        self._values += 1
        if self._values > MAXIMUM_VALUES:
            self._problem(_line(node), f"more than {MAXIMUM_VALUES} values once aliases are expanded", path)
            self._raise_if_wrong()
        self._lines.setdefault(path, _line(node))
        if id(node) in ancestors or len(ancestors) > MAXIMUM_DEPTH:
            reason = "an alias inside what it names" if id(node) in ancestors else "nested too deep"
            self._problem(_line(node), reason, path)
            self._raise_if_wrong()
        inside = (*ancestors, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, inside)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index), inside) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: tuple[PathKey, ...], ancestors: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(_line(key_node), "a key has to be plain text", path)
                continue
            key = key_node.value
            place = (*path, key)
            if key == "<<" and key_node.style not in ("'", '"'):
                self._problem(_line(key_node), "merge keys (<<) are not supported: write the values out", path)
                continue
            if key in result:
                self._problem(_line(key_node), "stands twice; the first one is on", place, first_lines[key])
                continue
            first_lines[key] = self._lines[place] = _line(key_node)
            result[key] = self._value(value_node, place, ancestors)
        return result

    def _scalar(self, node: yaml.Node, path: tuple[PathKey, ...]) -> Any:
        text = str(node.value)
        if isinstance(node, yaml.ScalarNode) and node.style in (
            "'",
            '"',
            "|",
            ">",
        ):  # quoted or a block: text, whatever it looks like
            return text
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text.lower() in ("true", "false") and text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return text.lower() == "true"
        if _INTEGER.match(text):
            if len(text) > 30:
                self._problem(_line(node), f"a number of {len(text)} digits", path)
                return 0
            return int(text)
        return float(text) if _FLOAT.match(text) else text


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def validate(model: type[Model], document: Document) -> Model:
    """Read a document as ``model``; raise :class:`DocumentError` with every mistake."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise DocumentError(list(problems_of(error, model, document, ()))) from None


def problems_of(
    error: ValidationError, model: type[BaseModel], document: Document, prefix: tuple[PathKey, ...]
) -> Iterator[Problem]:
    """A model's errors as problems; ``prefix`` is where in the document the validated part stands."""
    for details in error.errors():
        path = (*prefix, *_written_path(details, document, prefix))
        yield document.problem(path, _explain(details, path, document, model))


def _written_path(details: ErrorDetails, document: Document, prefix: tuple[PathKey, ...]) -> tuple[PathKey, ...]:
    """The place as it stands in the file: without the steps that only the model has."""
    path: tuple[PathKey, ...] = ()
    for key in details["loc"]:
        if key == "[key]":
            continue
        if (*prefix, *path, key) in document.lines or details["type"] == "missing":
            path = (*path, key)
    return path


def _explain(details: ErrorDetails, path: tuple[PathKey, ...], document: Document, model: type[BaseModel]) -> str:
    found = _shown(details["input"])
    context: Mapping[str, Any] = details.get("ctx", {})
    match details["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return _unknown_key(path, model, details)
        case "value_error":
            return f"{context['error']}, found {found}" if _is_plain(details["input"]) else str(context["error"])
        case "not_shown":
            return str(details["msg"])  # what was found may be a secret in the wrong place
        case "literal_error" | "enum":
            choices = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
            return f"expected {_one_of(choices)}, found {found}" + nearest(str(details["input"]), choices)
        case "string_pattern_mismatch":
            return f"expected text that matches {context['pattern']}, found {found}"
        case "ip_v4_network":
            return _explain_network(str(details["input"]))
        case _:
            message = details["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            return f"{message}, found {found}"


def _explain_network(text: str) -> str:
    """What is wrong with a network: most often an address inside it stands for it."""
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        return f"expected an IPv4 network such as 192.0.2.0/30, found {_shown(text)}"
    return f"expected a network, found {text}, which is an address inside {network}"


def _one_of(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _is_plain(value: object) -> bool:
    return not isinstance(value, (dict, list, BaseModel))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = "nothing" if value is None else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def nearest(name: str, known: list[str]) -> str:
    """`` (did you mean …?)`` when a known name is near, and nothing otherwise."""
    matches = get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean {matches[0]}?)" if matches else ""


def _unknown_key(path: tuple[PathKey, ...], model: type[BaseModel], details: ErrorDetails) -> str:
    known = _known_keys(model, list(details["loc"][:-1]))
    hint = nearest(str(path[-1]), known)
    return f"is not a known key{hint or (' (known: ' + ', '.join(known) + ')' if known else '')}"


def _known_keys(model: type[BaseModel], loc: list[PathKey]) -> list[str]:
    """The keys that the model takes at a place."""
    current: type[BaseModel] | None = model
    for key in loc:
        if current is None:
            return []
        fields = current.model_fields.items()
        step = {_written(name, info.validation_alias or info.alias): info for name, info in fields}
        if key in step:
            current = _model_in(step[str(key)].annotation)
    if current is None:
        return []
    return [_written(name, info.validation_alias or info.alias) for name, info in current.model_fields.items()]


def _written(name: str, alias: object) -> str:
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return str(alias) if alias is not None else name


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model inside ``dict[str, X]``, ``list[X]``, ``X | None`` or ``X``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = get_args(annotation) if not isinstance(annotation, UnionType) else annotation.__args__
    return next((found for found in (_model_in(part) for part in reversed(inner)) if found is not None), None)
