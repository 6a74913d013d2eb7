"""The templates: ours, and in front of them those of a folder that the plan names.

A folder's file takes the place of ours of the same name. It can extend ours, as ``lanecast/`` and that name, and then
replace blocks of it. Whatever would silently do nothing is refused before anything is rendered: a file that takes no
place, a block that ours does not have, a name that the template is not given.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplatesNotFound,
    TemplateSyntaxError,
    meta,
    nodes,
)
from jinja2.runtime import BlockReference, Context
from markupsafe import Markup

from lanecast_templates.errors import RenderError, RenderProblem

OURS = "lanecast"
"""The prefix under which a folder's templates find ours."""

SUFFIX = ".j2"
PLACE = ("templates",)
"""Where a plan names its folder."""


class _Lines(str):
    """What a template made, in contrast to a value."""

    __slots__ = ()


class _Super:
    """``super()`` of a template: the lines that the block has in the template that is extended."""

    def __init__(self, block: BlockReference) -> None:
        self._block = block

    def __call__(self) -> _Lines:
        return _Lines(self._block())

    @property
    def super(self) -> object:
        """The same of the template that is extended there."""
        return _told_apart(self._block.super)


def _told_apart(found: object) -> object:
    return _Super(found) if isinstance(found, BlockReference) else found


class _Context(Context):
    """Tells lines from values, of which only values are refused when they break out of their line."""

    def super(self, name: str, current: Callable[[Context], Iterator[str]]) -> Any:
        """See :class:`_Super`."""
        return _told_apart(super().super(name, current))


class _Environment(Environment):
    """Jinja's, with that."""

    context_class = _Context


def _refuse_control_characters(value: object) -> object:
    """A value is one word or phrase of one line: a line break in it would be a command of its own."""
    text = str(value)
    if not isinstance(value, _Lines) and not text.isprintable():
        raise RenderError(f"a configuration line cannot hold {text!r}")
    return value


def _quoted(value: object) -> str:
    """A string in double quotes; nft knows no way to write a quote inside one."""
    if '"' in str(value):
        raise RenderError(f"a quoted string cannot hold {value!r}")
    return f'"{value}"'


def _single_quoted(value: object) -> str:
    """A string in single quotes; VyOS knows no way to write one inside them. It may be secret, so it is not told."""
    if "'" in str(value):
        raise RenderError("a string in single quotes cannot hold a single quote")
    return f"'{value}'"


class Templates:
    """Renders templates by name, with nothing undefined allowed and nothing that breaks out of its line."""

    def __init__(self, folder: Path | None = None) -> None:
        """Raises :class:`RenderError` with everything that is wrong with ``folder``."""
        ours = FileSystemLoader(Path(__file__).parent)
        shared = PrefixLoader({OURS: ours})
        loaders = [shared, ours] if folder is None else [FileSystemLoader(folder), shared, ours]
        self._environment = _Environment(
            loader=ChoiceLoader(loaders),
            undefined=StrictUndefined,
            finalize=_refuse_control_characters,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters["quoted"] = _quoted
        self._environment.filters["single_quoted"] = _single_quoted
        self._pages = self._environment.overlay(finalize=lambda value: value, autoescape=True)
        self._folder = folder
        if folder is not None:
            problems = list(self._problems(folder, ours))
            if problems:
                raise RenderError(*(RenderProblem(problem, PLACE) for problem in problems))

    def render(self, name: str, **values: Any) -> str:
        """The text of a configuration file."""
        return self._rendered(self._environment, name, values)

    def page(self, name: str, body: str, **values: Any) -> str:
        """The text of a page around ``body``, which is HTML; values are escaped."""
        return self._rendered(self._pages, name, {"body": Markup(body), **values})

    def _rendered(self, environment: Environment, name: str, values: dict[str, Any]) -> str:
        try:
            return environment.get_template(name).render(values)
        except RenderError as error:  # a value that would break out of its line
            raise RenderError(*(f"{_where(error)}: {problem}" for problem in error.problems)) from None
        except Exception as error:  # what a template computes can fail in any way
            raise RenderError(f"{_where(error) or name}: {_said(error)}") from error

    def _problems(self, folder: Path, ours: FileSystemLoader) -> Iterator[str]:
        if not folder.is_dir():
            yield f"there is no folder {folder}"
            return
        known = {name for name in ours.list_templates() if name.endswith(SUFFIX)}
        for path in sorted(folder.rglob(f"*{SUFFIX}")):
            name = path.relative_to(folder).as_posix()
            if path.name.startswith("_"):
                continue  # what other templates include
            if name not in known:
                near = [each for each in sorted(known) if each.rpartition("/")[2] == path.name] or sorted(known)
                yield f"{path} takes the place of no template; there are {', '.join(near)}"
                continue
            try:
                yield from self._differences(path, name)
            except TemplateSyntaxError as error:
                yield f"{path}:{error.lineno}: {error.message}"
            except (OSError, UnicodeDecodeError) as error:
                yield f"{path}: cannot be read: {_said(error)}"

    def _differences(self, path: Path, name: str) -> Iterator[str]:
        """Names that a template is not given, and blocks that ours does not have."""
        loader = self._environment.loader
        assert loader is not None  # given above
        tree = self._environment.parse(path.read_text(), name)
        ours = self._environment.parse(loader.get_source(self._environment, f"{OURS}/{name}")[0], name)
        inner = {
            each.name for each in ours.find_all(nodes.Name) if each.ctx == "store"
        }  # a loop's, in its scoped blocks
        given = meta.find_undeclared_variables(ours) | inner | {each.name for each in ours.find_all(nodes.Macro)}
        for unknown in meta.find_undeclared_variables(tree) - given:
            line = min(each.lineno for each in tree.find_all(nodes.Name) if each.name == unknown)
            yield f"{path}:{line}: {unknown} is no name that this template is given; there are {_listed(given)}"
        if not any(True for _ in tree.find_all(nodes.Extends)):
            return
        blocks = {block.name for block in ours.find_all(nodes.Block)}
        for block in tree.find_all(nodes.Block):
            if block.name not in blocks:
                yield f"{path}:{block.lineno}: {name} has no block {block.name}; there are {_listed(blocks)}"


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _where(error: Exception) -> str:
    """File and line of the template that an error comes from; empty where none had begun."""
    if isinstance(error, TemplateSyntaxError):
        return f"{error.filename or error.name}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(SUFFIX)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _said(error: Exception) -> str:
    match error:
        case TemplatesNotFound():
            return f"there is no template {' or '.join(map(str, error.templates))}"
        case TemplateNotFound():
            return f"there is no template {error.name}"
        case TemplateError():
            return str(error.message)
        case UnicodeDecodeError():
            return f"no UTF-8 at byte {error.start}"
        case OSError(strerror=str(reason)):
            return reason
        case _:
            return f"{type(error).__name__}: {error}"
