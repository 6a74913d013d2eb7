"""The typed classes of `lanecast_infra.baiducloud`, from the declarations.

`python -m lanecast_infra.provider.classes` writes them; it needs ruff, which lays them out.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lanecast_infra.provider.configuration import SETTINGS
from lanecast_infra.provider.declarations import FUNCTIONS, MODULES
from lanecast_infra.provider.model import Field, Kind, Output
from lanecast_infra.provider.schema import description

FOLDER: Final = Path(__file__).parent.parent / "baiducloud"
INPUTS: Final = {
    Kind.STRING: "pulumi.Input[str]",
    Kind.INTEGER: "pulumi.Input[int]",
    Kind.BOOLEAN: "pulumi.Input[bool]",
    Kind.STRINGS: "pulumi.Input[Sequence[pulumi.Input[str]]]",
    Kind.TAGS: "pulumi.Input[Mapping[str, pulumi.Input[str]]]",
}
PLAIN: Final = {
    Kind.STRING: "str",
    Kind.INTEGER: "int",
    Kind.BOOLEAN: "bool",
    Kind.STRINGS: "Sequence[str]",
    Kind.TAGS: "Mapping[str, str]",
}


def files() -> dict[str, str]:
    """The text of every generated file by its name."""
    environment = _environment()
    made = {
        f"{module}.py": environment.get_template("resources.py.j2").render(module=module, resources=resources)
        for module, resources in MODULES.items()
    }
    names = {module: sorted(one.name for one in resources) for module, resources in MODULES.items()}
    names["provider"] = ["Provider"]
    made["provider.py"] = environment.get_template("provider.py.j2").render(settings=SETTINGS)
    if FUNCTIONS:
        names["functions"] = sorted(snake(one.name) for one in FUNCTIONS.values())
        made["functions.py"] = environment.get_template("functions.py.j2").render(functions=FUNCTIONS.values())
    everything = sorted(name for some in names.values() for name in some)
    made["__init__.py"] = environment.get_template("package.py.j2").render(names=names, everything=everything)
    return {name: _laid_out(text) for name, text in made.items()}


def snake(name: str) -> str:
    """The name as Python has it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def always(one: Field | Output) -> bool:
    """Whether the output has a value whenever the resource is there."""
    return isinstance(one, Output) or one.required or one.named or one.default is not None or one.assigned


def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "class_templates")
    environment = Environment(  # the text is Python, so nothing is escaped
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    filters: dict[str, Any] = {"snake": snake, "description": description, "always": always, "wrapped": _wrapped}
    filters |= {"input_type": lambda one: INPUTS[one.kind], "plain_type": lambda one: PLAIN[one.kind]}
    environment.filters |= filters
    return environment


def _wrapped(text: str, indent: int) -> str:
    """A docstring's text, on one line if it fits."""
    if indent + len(text) + 6 <= 120:
        return text
    space = "\n" + " " * indent
    return space.join(textwrap.wrap(text, 117 - indent)) + space


def _laid_out(text: str) -> str:
    """The text as `ruff format` has it, with what a module does not use taken out of its imports."""
    ruff = [str(Path(sys.executable).with_name("ruff"))]
    name = ["--stdin-filename", str(FOLDER / "generated.py")]
    for command in (["check", "--quiet", "--fix", "--select", "F401,I", *name, "-"], ["format", "--quiet", *name, "-"]):
        text = subprocess.run([*ruff, *command], input=text, capture_output=True, text=True, check=True).stdout
    return text


def write() -> None:
    """Bring the files up to date."""
    for name, text in files().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    write()
