"""Loading of project.toml: from a folder and the environment to a Project, or an error."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spatial_assets.errors import SettingsError
from spatial_assets.project.base import PROJECT_FILE, Problem, bounded_bytes, settings_error
from spatial_assets.project.consistency import problems_between
from spatial_assets.project.error_messages import problems_of
from spatial_assets.project.project import Project
from spatial_assets.project.project_file import ProjectFile
from spatial_assets.project.secrets import secret_in

PROJECT_VARIABLE = "SPATIAL_ASSETS_PROJECT"
DEMO_FOLDER = Path(__file__).parents[1] / "demo" / "project"

_TOO_DEEP = "{}: its tables or arrays are nested too deeply; remove the nesting, no key needs it"
MAX_NESTING = 32  # levels of tables and arrays; the most nested key is four levels deep
MAX_PROJECT_FILE_BYTES = 1 << 20  # a long project file has some 20 kB

OVERRIDES = {
    "SPATIAL_ASSETS_STORAGE_URL": ("storage", "url"),
    "SPATIAL_ASSETS_DATABASE_URL": ("database", "url"),
    "SPATIAL_ASSETS_DASK": ("compute", "dask"),
    "SPATIAL_ASSETS_CACHE": ("scenes", "cache"),
}

_SYNTAX = re.compile(
    r"(?P<wrong>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of .*)\)"
)


def load_project(folder: Path | None = None, env: Mapping[str, str] | None = None) -> Project:
    """Load the project in a folder, with the variables that override it; needs no server.

    Args:
        folder: a project folder, or its project.toml. Default: $SPATIAL_ASSETS_PROJECT, else the
            demo project inside this package.
        env: default: the environment of this process.

    Raises:
        SettingsError: lists every problem, one per line: file, key, value, remedy.
    """
    env = os.environ if env is None else env
    file = project_file(folder, env)
    tables = _read(file)
    problems = list(_secrets(tables))
    if problems:
        raise settings_error(problems, str(file))
    origins = _override(tables, env)
    try:
        parts = ProjectFile.model_validate(tables)
    except ValidationError as error:
        raise settings_error(problems_of(error, ProjectFile), str(file)) from error
    settings = {name: getattr(parts, name) for name in parts.model_fields_set}
    project = Project(root=file.parent, file=file, origins=origins, **settings)
    problems = list(problems_between(project))
    if problems:
        raise settings_error(problems, str(file))
    project.check_geometry()  # here rather than in the middle of a run
    return project


def project_file(folder: Path | None, env: Mapping[str, str]) -> Path:
    """Return the absolute path of the project file that `folder`, or the environment, names.

    Raises:
        SettingsError: there is none.
    """
    named = env.get(PROJECT_VARIABLE) or None
    chosen = folder or (Path(named) if named else DEMO_FOLDER)
    file = (chosen if chosen.suffix == ".toml" else chosen / PROJECT_FILE).expanduser().resolve()
    if file.is_file():
        return file
    source = f" (from ${PROJECT_VARIABLE})" if folder is None and named else ""
    message = (
        f"{file}: there is no such file{source}; create one with `spatial-assets init DIR`, "
        f"or set ${PROJECT_VARIABLE} to a folder that has a {PROJECT_FILE}"
    )
    raise SettingsError(message)


def _read(file: Path) -> dict[str, Any]:
    """Read the tables of a TOML file."""
    try:
        # Windows Notepad and PowerShell put a byte order mark first, which is not of the text.
        text = bounded_bytes(file, MAX_PROJECT_FILE_BYTES).decode("utf-8-sig")
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX.fullmatch(str(error))
        position = "at the end" if not found or not found["line"] else f"line {found['line']}"
        column = f", column {found['column']}" if found and found["column"] else ""
        wrong = found["wrong"] if found else str(error)
        message = f"{file}: {position}{column}: not TOML: {wrong}; correct that line"
        raise SettingsError(message) from error
    except RecursionError as error:
        raise SettingsError(_TOO_DEEP.format(file)) from error
    except (OSError, ValueError) as error:
        message = f"{file}: cannot be read: {error}; make it a readable UTF-8 file (not UTF-16)"
        raise SettingsError(message) from error

    if _is_deeper(tables, MAX_NESTING):
        raise SettingsError(_TOO_DEEP.format(file))
    return tables


def _is_deeper(value: object, levels: int) -> bool:
    """Return True if tables and arrays are nested more than so many levels deep."""
    if isinstance(value, dict | list) and levels == 0:
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_is_deeper(each, levels - 1) for each in inner)


def _override(tables: dict[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """Put the overrides of the environment into `tables`; return dotted key -> variable."""
    origins = {}
    for variable, (table, key) in OVERRIDES.items():
        value = env.get(variable)
        if value and isinstance(tables.setdefault(table, {}), dict):
            tables[table][key] = value
            origins[f"{table}.{key}"] = f"${variable}"
    return origins


def _secrets(value: object, key: str = "") -> Iterator[Problem]:
    """Yield every URL in the file that carries a secret: project files are committed."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _secrets(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _secrets(inner, f"{key}.{number}")
    elif isinstance(value, str) and (kind := secret_in(value)) is not None:
        wrong = f"carries {kind}, and a project file is committed"
        yield Problem(key=key, value=value, wrong=wrong, remedy=_secret_remedy(key))


def _secret_remedy(key: str) -> str:
    """Return the remedy for the secret of a setting: the variable that it belongs in."""
    variables = {f"{table}.{name}": variable for variable, (table, name) in OVERRIDES.items()}
    if key in variables:
        return f"remove it here and give the whole URL in ${variables[key]}"
    return "remove it here; keys come from the environment ($SPATIAL_ASSETS_SOURCE_*, $AWS_*)"
