"""The `spatial-assets` command: its sub-commands found by name, our errors told in one line."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from spatial_assets.errors import SpatialAssetsError
from spatial_assets.project.secrets import mask_secrets

COMMANDS_PACKAGE = "spatial_assets.cli"


class LazyGroup(click.Group):
    """Commands that are modules: named without being imported, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Names of the modules beside this package, as commands are written."""
        folder = importlib.import_module(COMMANDS_PACKAGE).__path__
        return sorted(
            module.name.replace("_", "-")
            for module in pkgutil.iter_modules(folder)
            if not module.ispkg
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{COMMANDS_PACKAGE}.{cmd_name.replace('-', '_')}")
        commands = (value for value in vars(module).values() if isinstance(value, click.Command))
        return next((command for command in commands if command.name == cmd_name), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by their docstrings, which needs no import."""
        rows = [(name, _summary(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (click's signature)
        """Run the command; an error that we raise on purpose is a message, not a traceback."""
        try:
            return super().invoke(ctx)
        except SpatialAssetsError as error:
            raise click.ClickException(mask_secrets(str(error))) from error


def _summary(command: str) -> str:
    """First line of the docstring of a command's module, read from its source."""
    spec = find_spec(f"{COMMANDS_PACKAGE}.{command.replace('-', '_')}")
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
    help="Project folder; default: $SPATIAL_ASSETS_PROJECT, else the demo project.",
)
@click.version_option(package_name="spatial-assets")
def main(project: Path | None) -> None:
    """Satellite scenes to a governed NDVI cube and database tables, tile by tile."""
    del project  # read by `current_project` from the context, so that --help needs no project
