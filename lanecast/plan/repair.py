"""Checks a plan that has mistakes as if each of them were mended, so that one hides no other.

A wrong value is replaced by a stand-in, an unknown name by the nearest that something has. What a check then says of
the place itself is dropped, and so is what it says with one stand-in and not with the other: only the stand-in made it.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lanecast.plan.checks import check_attached, check_resolved, names
from lanecast.plan.checks.context import CheckContext, UnknownName
from lanecast.plan.model import Plan
from lanecast.plan.stand_ins import LEAVES, Variant, element_stand_in, fields_of, locate, stand_in
from lanecast_relay.config.document import Document, PathKey, Problem, dotted

ROUNDS = 6
"""A value mended may show that another is wrong beside it; so often the plan is read again."""

Path = tuple[PathKey, ...]


def problems_besides(document: Document) -> list[Problem]:
    """What is wrong with a plan besides its schema's errors, unknown names included."""
    first = _Repair(document, 0)
    found = first.problems()
    if not first.tainted:
        return found
    also = {(problem.path, problem.message) for problem in _Repair(document, 1).problems()}
    return [problem for problem in found if (problem.path, problem.message) in also]


class _Repair:
    """One variant of a plan, mended."""

    def __init__(self, document: Document, variant: Variant) -> None:
        self._document = document
        self._variant = variant
        self._data = deepcopy(document.data)
        self.tainted: set[str] = set()
        """Places whose content is not the person's, as they are told."""
        self._renamed: dict[str, str] = {}
        """What stands for a key that is no name."""

    def problems(self) -> list[Problem]:
        """Everything that the checks say of the person's own values."""
        plan = self._read()
        if plan is None:
            return []
        reported, plan = self._mend_names(plan)
        if plan is None:
            return [self._restored(problem) for problem in reported]
        reported += self._untainted(check_resolved(self._context(plan)))
        unattached, plan = self._mend_attachments(plan)
        reported += unattached
        if plan is not None:
            reported += self._untainted(check_attached(self._context(plan)))
        return [self._restored(problem) for problem in reported]

    def _context(self, plan: Plan) -> CheckContext:
        if not self._renamed:
            return CheckContext(plan, self._document)
        known = self._document.lines
        replaced = {
            tuple(self._renamed.get(key, key) if isinstance(key, str) else key for key in path): line
            for path, line in known.items()
        }
        return CheckContext(plan, Document(self._document.path, self._data, known | replaced))

    def _untainted(self, problems: Iterable[Problem]) -> list[Problem]:
        return [problem for problem in problems if self.tainted.isdisjoint(_places_around(problem.path))]

    def _restored(self, problem: Problem) -> Problem:
        path, message = problem.path, problem.message
        for old, new in self._renamed.items():
            path, message = path.replace(new, old), message.replace(new, old)
        return Problem(problem.file, problem.line, path, message, problem.severity, problem.related_line)

    def _read(self) -> Plan | None:
        """Mend what the schema refuses until it accepts; None when that does not come to an end."""
        for _ in range(ROUNDS):
            try:
                return Plan.model_validate(self._data)
            except ValidationError as error:
                # Unknown keys first: one that is misspelt holds the value of the one that is missing.
                for details in sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden"):
                    self._mend(details)
        return None

    def _mend(self, details: ErrorDetails) -> None:
        path = self._path_of(details)
        if not path:
            return
        if "[key]" in details["loc"]:
            self._rename(str(path[-1]))
            return
        self.tainted.add(dotted(path))
        holder, key = self._get(path[:-1]), path[-1]
        if details["type"] == "extra_forbidden":
            self._mend_key(path, holder)
        elif not (details["type"] == "missing" and key in holder):
            self._mend_value(path, holder, key)

    def _path_of(self, details: ErrorDetails) -> Path:
        """The place in the data: a validator's own steps are left out."""
        path: Path = ()
        current: Any = self._data
        for key in details["loc"]:
            inside = isinstance(current, dict) and key in current
            inside |= isinstance(current, list) and isinstance(key, int) and key < len(current)
            if inside:
                path, current = (*path, key), current[key]
            elif details["type"] == "missing" and key == details["loc"][-1]:
                path = (*path, key)
        return path

    def _get(self, path: Path) -> Any:
        current: Any = self._data
        for key in path:
            current = current[key]
        return current

    def _mend_key(self, path: Path, holder: dict[str, Any]) -> None:
        """A misspelt key gets the name of the nearest one that is missing; any other unknown one goes."""
        value = holder.pop(str(path[-1]))
        around = locate(path[:-1])
        model = around.model if around else Plan
        missing = [name for name in (fields_of(model) if model else ()) if name not in holder]
        for name in get_close_matches(str(path[-1]), missing, n=1):
            holder[name] = value

    def _mend_value(self, path: Path, holder: Any, key: PathKey) -> None:
        place = locate(path)
        if place is None:
            return
        if place.element:
            holder[key] = element_stand_in(place.name, place.annotation, self._variant)
        elif place.field.is_required():
            holder[key] = stand_in(place.name, place.field, self._variant)
        else:
            holder.pop(key, None)
            if self._variant and place.name in LEAVES:
                holder[key] = stand_in(place.name, place.field, self._variant)

    def _rename(self, name: str) -> None:
        """Give what is called by no name one, everywhere."""
        new = self._renamed.setdefault(name, f"zz{len(self._renamed)}zz")
        self._data = _renamed(self._data, name, new)

    def _mend_names(self, plan: Plan) -> tuple[list[Problem], Plan | None]:
        reported: list[Problem] = []
        for _ in range(ROUNDS):
            context = self._context(plan)
            unknown = list(names.unknown_names(context))
            if not unknown:
                return reported, plan
            reported += self._untainted(one.problem(context) for one in unknown)
            self.tainted |= {dotted(one.path) for one in unknown}
            for one in reversed(unknown):  # from the end of a list, so that removing moves none that is still to come
                self._take_known(one)
            again = self._read()
            if again is None:
                break
            plan = again
        return reported, None

    def _take_known(self, unknown: UnknownName) -> None:
        holder, key = self._get(unknown.path[:-1]), unknown.path[-1]
        beside = set(holder) if isinstance(holder, list) or unknown.is_key else set()
        free = [name for name in unknown.replacements or unknown.known if name not in beside]
        if not free:
            del holder[key]
            return
        nearest = get_close_matches(str(key if unknown.is_key else holder[key]), free, n=2)
        name = (nearest or free)[-1 if self._variant else 0]
        if not unknown.is_key:
            holder[key] = name
        elif nearest:
            holder[name] = holder.pop(key)
        else:
            del holder[key]

    def _mend_attachments(self, plan: Plan) -> tuple[list[Problem], Plan | None]:
        reported = self._untainted(names.attachments(self._context(plan)))
        for problem in names.attachments(self._context(plan)):
            _, site, kind, name = problem.path.split(".")
            routers = self._data["sites"][site]["routers"]
            for router in routers.values():
                router[kind] = [one for one in router.get(kind, []) if one != name]
            taken = {router for router, held in routers.items() if kind == "uplinks" and held[kind]}
            free = [router for router in routers if router not in taken] or list(routers)
            routers[free[-1 if self._variant else 0]][kind].append(name)
            self.tainted.add(problem.path)
        mended = self._read()
        if mended is None or any("is on" in one.message for one in names.attachments(self._context(mended))):
            return reported, None
        return reported, mended


def _places_around(path: str) -> Iterable[str]:
    """``a.b.c`` as ``a``, ``a.b`` and ``a.b.c``."""
    keys = path.split(".")
    return (".".join(keys[:length]) for length in range(1, len(keys) + 1))


def _renamed(value: Any, old: str, new: str) -> Any:
    """``value`` with every name ``old`` in it replaced: keys, texts, and parts of ``region.vpc`` and ``feed.line``."""
    if isinstance(value, dict):
        return {new if key == old else key: _renamed(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, old, new) for inner in value]
    if isinstance(value, str):
        return new if value == old else ".".join(new if part == old else part for part in value.split("."))
    return value
