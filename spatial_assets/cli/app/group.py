"""The `spatial-assets` command: finds subcommands by name and prints our errors as one line."""

from __future__ import annotations

import ast
import gc
import importlib
import pkgutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import click

from spatial_assets.errors import SpatialAssetsError
from spatial_assets.project.secrets import mask_secrets

COMMANDS_PACKAGES = ("spatial_assets.cli", "spatial_assets.dagster_commands")
"""Packages of the commands; the second holds those that import Dagster."""


class LazyGroup(click.Group):
    """Group whose commands are modules: listed without an import, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """List the modules of the packages of commands, spelled as commands."""
        return sorted(command_modules())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of that name; None if there is none."""
        found = command_modules().get(cmd_name)
        if found is None:
            return None
        module = importlib.import_module(found)
        commands = (value for value in vars(module).values() if isinstance(value, click.Command))
        return next((command for command in commands if command.name == cmd_name), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands with the first lines of their docstrings, without importing them."""
        rows = [(name, _first_line(module)) for name, module in sorted(command_modules().items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (click's signature)
        """Run the command; print an error of this package as a message, not as a traceback."""
        try:
            with termination_as_exit(), rare_collections():
                return super().invoke(ctx)
        except SpatialAssetsError as error:
            raise click.ClickException(mask_secrets(str(error))) from error


@contextmanager
def termination_as_exit() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C would, so that leases are released; exit code 143."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for reference cycles a thousand times as rarely in the block.

    A command on 100,000 tiles creates millions of objects without one; looking at them again and
    again is a quarter of its time.
    """
    before = gc.get_threshold()
    gc.set_threshold(1000 * before[0], *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def command_modules() -> dict[str, str]:
    """Map the name of each command to its module, without importing one."""
    packages = [importlib.import_module(name) for name in COMMANDS_PACKAGES]
    return {
        module.name.replace("_", "-"): f"{package.__name__}.{module.name}"
        for package in packages
        for module in pkgutil.iter_modules(package.__path__)
        if not module.ispkg
    }


def _first_line(module: str) -> str:
    """Read the first line of a command module's docstring from its source."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    help="Project folder. Default: $SPATIAL_ASSETS_PROJECT, else the demo project.",
)
@click.version_option(package_name="spatial-assets")
def main(project: Path | None) -> None:
    """Turn satellite scenes into an NDVI cube and database tables, tile by tile."""
    del project  # `current_project` reads it from the context, so that --help needs no project
