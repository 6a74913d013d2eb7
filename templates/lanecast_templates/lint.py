"""``lanecast lint``: router configurations against the command grammars."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from lanecast.commands.common import JsonOption
from lanecast_templates import grammars

FOUND = 1
NOT_POSSIBLE = 2


LISTED = ", ".join(grammars.platforms())


def _known(platform: str) -> str:
    if platform not in grammars.platforms():
        raise typer.BadParameter(f"no grammar is called {platform!r}; there are {LISTED}")
    return platform


def lint(
    platform: Annotated[
        str, typer.Argument(help=f"One of {LISTED}.", callback=_known, autocompletion=lambda: grammars.platforms())
    ],
    files: Annotated[list[Path], typer.Argument(help="Configurations, as the router shows them.", metavar="FILE...")],
    json_output: JsonOption = False,
) -> None:
    """Hold each FILE against the command grammar of PLATFORM: words, ranges, places, and what must be defined.

    The grammars are written from the vendors' command references; no router has seen the files. A command that has no
    rule is told as well. docs/grammars.md says what is checked and what is not.

    Exit status: 0 nothing found, 1 something found, 2 a file cannot be read.
    """
    texts = {file: _read(file) for file in files}
    found = [
        {"file": str(file), "line": line, "message": message}
        for file, text in texts.items()
        for line, message in grammars.check_text(platform, text)
    ]
    if json_output:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for each in found:
            typer.echo(f"{each['file']}:{each['line']}: {each['message']}")
        typer.echo(f"{len(files)} checked, {len(found)} found; grammar-checked, not device-checked", err=True)
    if found:
        raise typer.Exit(FOUND)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        typer.echo(f"error: {file}: {error.strerror}", err=True)
    except UnicodeDecodeError as error:
        typer.echo(f"error: {file}: no UTF-8 at byte {error.start}", err=True)
    raise typer.Exit(NOT_POSSIBLE)
