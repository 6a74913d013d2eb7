"""Secrets are compared, and never shown: in what is compared the name of its place stands for each.

A plan is rendered twice, with its secrets and with their names; the lines that differ are those that hold one. Of a
folder that was rendered before only the texts are there: there the words of a command tell where its secret is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lanecast.fabric import Fabric
from lanecast.plan.model import SecretReference
from lanecast_templates.grammars.parameters import Word
from lanecast_templates.grammars.secrets import secret_at
from lanecast_templates.renderer import RenderedFile, render_fabric
from lanecast_templates.secrets import SecretError, SecretResolver

TOKEN = "LanecastSecret{:04d}"
"""What is rendered in a secret's place: a word that every platform takes as one."""


class CannotName(Exception):
    """A secret is in a file as something else than itself, so that no name can stand for it."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Rendered files as they may be shown, by path."""

    shown: dict[PurePosixPath, str]
    lines: dict[PurePosixPath, Mapping[str, str]] = field(default_factory=dict)
    """By file: every line that holds a secret, as it is and as it may be shown."""


class _Naming(SecretResolver):
    """Gives a token for each secret, and keeps which one stands for which."""

    def __init__(self) -> None:
        super().__init__({})
        self.tokens: dict[str, SecretReference] = {}

    def resolve(self, reference: SecretReference) -> str:
        for token, known in self.tokens.items():
            if known == reference:
                return token
        token = TOKEN.format(len(self.tokens))
        self.tokens[token] = reference
        return token


def name_of(reference: SecretReference) -> str:
    """What stands for a secret."""
    [(kind, place)] = ((kind, place) for kind, place in reference.model_dump().items() if place is not None)
    return f"<{kind}:{place.replace(' ', '_')}>"


def new_texts(fabric: Fabric, secrets: SecretResolver, frr_version: str) -> tuple[Texts, dict[str, str]]:
    """What the new plan asks for, and the names of its secrets by value.

    Raises ``RenderError`` as the rendering does, and :class:`CannotName` where a template hides what it makes of one.
    """
    real = render_fabric(fabric, secrets, frr_version)
    naming, named = _named(fabric, frr_version)
    shown = {file.path: _spelled(file.text, {t: name_of(r) for t, r in naming.tokens.items()}) for file in named}
    lines: dict[PurePosixPath, Mapping[str, str]] = {
        real_file.path: _secret_lines(real_file, named_file, shown[real_file.path])
        for real_file, named_file in zip(real, named, strict=True)
    }
    values = {secrets.resolve(reference): name_of(reference) for reference in naming.tokens.values()}
    return Texts(shown, lines), values


def old_plan_texts(
    fabric: Fabric, secrets: SecretResolver, frr_version: str, plan: Path, values: Mapping[str, str]
) -> Texts:
    """What an old plan asked for. A secret that the new plan has as well gets the same name, wherever it is from."""
    naming, named = _named(fabric, frr_version)
    names = {token: _old_name(reference, secrets, plan, values) for token, reference in naming.tokens.items()}
    return Texts({file.path: _spelled(file.text, names) for file in named})


def _named(fabric: Fabric, frr_version: str) -> tuple[_Naming, tuple[RenderedFile, ...]]:
    naming = _Naming()
    return naming, render_fabric(fabric, naming, frr_version)


def _old_name(reference: SecretReference, secrets: SecretResolver, plan: Path, values: Mapping[str, str]) -> str:
    try:
        value = secrets.resolve(reference)
    except SecretError:  # gone meanwhile, as secrets that were replaced are: then it is another one
        value = None
    if value is not None and value in values:
        return values[value]
    return f"{name_of(reference)[:-1]}@{str(plan).replace(' ', '_')}>"


def _spelled(text: str, names: Mapping[str, str]) -> str:
    for token, name in names.items():
        text = text.replace(token, name)
    return text


def _secret_lines(real: RenderedFile, named: RenderedFile, shown: str) -> dict[str, str]:
    found: dict[str, str] = {}
    rows = zip(real.text.splitlines(), named.text.splitlines(), shown.splitlines(), strict=True)
    for number, (line, with_token, as_shown) in enumerate(rows, start=1):
        if line == with_token:
            continue
        if with_token == as_shown:
            raise CannotName(f"{real.path}:{number}: a template makes something else of a secret")
        found[line] = as_shown
    return found


NAMED_ELSEWHERE = "profile"
"""Behind a word for secrets: the name of one follows, which is written somewhere else."""

_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_WORD = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s;{}\[\]]+")


def old_file_text(text: str, file: Path, known: Mapping[str, str], shown_after: str, whole: bool = False) -> str:
    """The text of a file that was rendered before, without its secrets.

    ``known``: lines that the new plan asks for as well, as it shows them. ``shown_after``: the new text; a line that is
    the same there holds no secret. ``whole``: lines of this file are hidden from their first word on.
    """
    result, heads = [], list[tuple[int, list[Word]]]()
    same = set(shown_after.splitlines())
    for number, line in enumerate(text.splitlines(), start=1):
        indent = len(line) - len(line.lstrip())
        heads = [head for head in heads if head[0] < indent]
        if line in known:
            result.append(known[line])
        elif line in same:
            result.append(line)
        else:
            around = [word for _, words in heads for word in words]
            name = f"<{str(file).replace(' ', '_')}:{number}>"
            result.append(name if whole and not line.startswith("#") else _hidden(line, around, name))
        heads.append((indent, _words(line)))
    return "\n".join(result) + ("\n" if text.endswith("\n") else "")


def _words(line: str) -> list[Word]:
    return [Word(match[0].strip("\"'"), quoted=match[0][0] in "\"'") for match in _WORD.finditer(line)]


def _is_no_secret(word: str, left: int) -> bool:
    """Whether more has to follow until the secret: whose it is, or how it is written."""
    return left > 1 and (
        word == "peer" or _ADDRESS.fullmatch(word) is not None or (len(word) == 1 and word.isdecimal())
    )


def _hidden(line: str, around: list[Word], name: str) -> str:
    found = list(_WORD.finditer(line))
    index = secret_at(_words(line), around)
    while index < len(found) and _is_no_secret(found[index][0], len(found) - index):
        index += 1
    if index >= len(found) or found[index][0] == NAMED_ELSEWHERE:
        return line
    first, last = found[index], found[-1]
    quote = first[0][0] if first[0][0] in "\"'" else ""
    return f"{line[: first.start()]}{quote}{name}{quote}{line[last.end() :]}"
