"""The ``lanecast`` command. A back end is imported only when its subcommand runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from lanecast import __version__
from lanecast.commands import check, init, lock, schema, show

BACK_ENDS = {
    "cloud": ("lanecast_lab.cloud.command", "app", "Serve an emulated cloud that speaks the provider's API."),
    "lint": ("lanecast_templates.lint", "lint", "Hold a router's configuration against its vendor's command grammar."),
    "lab": ("lanecast_lab.cli", "app", "Run the plan as an emulated network with real routers, relays and traffic."),
    "relay": ("lanecast_relay.cli", "app", "Turn the multicast lines of a feed into unicast."),
    "render": ("lanecast_templates.command", "render", "Write the configuration of every router, host and relay."),
}
"""By subcommand: its module and what it is called there, and what the list of commands says of it."""

COMPLETION_VARIABLE = "_LANECAST_COMPLETE"
"""Set by the shell while it asks what could come next: then every subcommand has to be known."""


def build_app(arguments: Sequence[str], completing: bool = False) -> typer.Typer:
    """The command as these arguments need it: of the back ends, the ones that they name are loaded."""
    app = typer.Typer(
        no_args_is_help=True,
        help="Turn one typed plan of a market-data network into configurations, an emulated copy, and relays.",
    )
    app.callback()(_options)
    for function in (check.check, init.init, lock.lock, schema.schema, show.show):
        app.command()(function)
    for name, (module, attribute, text) in BACK_ENDS.items():
        if completing or next((word for word in arguments if not word.startswith("-")), None) == name:
            _mount(app, name, module, attribute)
        else:
            app.command(name, help=text)(lambda: None)
    return app


def _mount(app: typer.Typer, name: str, module: str, attribute: str) -> None:
    try:
        loaded = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        typer.echo(f"error: lanecast {name} needs {error.name}: pip install 'lanecast[lab]'", err=True)
        raise SystemExit(2) from None
    if isinstance(loaded, typer.Typer):
        app.add_typer(loaded, name=name)
    else:
        app.command(name)(loaded)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lanecast {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command."""
    build_app(sys.argv[1:], COMPLETION_VARIABLE in os.environ)()


if __name__ == "__main__":
    main()
