"""Validation errors of pydantic, translated into problems that name key, value and remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from spatial_assets.project.base import Problem, shown_value
from spatial_assets.project.secrets import is_secret_name

Location = Sequence[int | str]

_TABLE = re.compile(r"a valid dictionary( or instance of \w+)?")

_TYPE_NAMES = {
    bool: "a true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "a table",
}


def problems_of(error: ValidationError, root: type[BaseModel]) -> list[Problem]:
    """Return every problem that pydantic found in the data of `root`, in its order."""
    return [
        _problem(details, root)
        for details in error.errors(include_url=False)
        # A default that could not be computed follows from another error of the same table.
        if details["type"] != "default_factory_not_called"
    ]


def _problem(details: ErrorDetails, root: type[BaseModel]) -> Problem:
    """Translate one of pydantic's errors."""
    # Tags of a union, in angle brackets, are not part of the user's file.
    *outer, last = details["loc"] or ("",)
    location = [part for part in outer if not str(part).startswith("<")]
    if details["type"] == "extra_forbidden" or not str(last).startswith("<"):
        location.append(last)
    context: Mapping[str, Any] = details.get("ctx", {})
    value: object = details["input"]
    if details["type"] == "extra_forbidden":
        return _unknown_key(location, root, value=value)
    if details["type"] == "missing":
        return _missing_key(location, root)
    if details["type"] == "refused":
        key = str(context["key"])
        inner = value.get(key) if key and isinstance(value, dict) else value
        key_path = dotted([*location, key] if key else location)
        return Problem(key=key_path, value=inner, wrong=context["wrong"], remedy=context["remedy"])
    return Problem(
        key=dotted(location),
        value=value,
        wrong=_wrong(details, value),
        remedy=_expectation(_find(location, root)[1]),
    )


def dotted(location: Location) -> str:
    """Return a location as a dotted TOML path; an entry of an array is named by its index."""
    return ".".join(str(part) for part in location)


def _unknown_key(location: Location, root: type[BaseModel], *, value: object) -> Problem:
    """Return the problem of an unknown key; most are misspelt."""
    name = str(location[-1])
    table, _ = _find(location[:-1], root)
    known = sorted(_fields(table))
    close = get_close_matches(name, known, n=1)
    if is_secret_name(name):
        remedy = "remove it: secrets come from the environment only"
    elif close:
        remedy = f"did you mean {close[0]!r}?"
    else:
        remedy = f"the known keys are {', '.join(known)}"
    return Problem(key=dotted(location), value=value, wrong="unknown key", remedy=remedy)


def _missing_key(location: Location, root: type[BaseModel]) -> Problem:
    """Return the problem of a missing required key."""
    return Problem(
        key=dotted(location),
        value=None,
        wrong="is required and missing",
        remedy=_expectation(_find(location, root)[1]),
    )


def _wrong(details: ErrorDetails, value: object) -> str:
    """Return pydantic's message about `value`, in terms of TOML."""
    message = details["msg"].replace("Input should", "must").replace("a valid tuple", "an array")
    message = _TABLE.sub("a table", message)
    is_wrong_type = details["type"].endswith(("_type", "_parsing"))
    found = _TYPE_NAMES.get(type(value), f"a {type(value).__name__}")
    return f"{message}, not {found}" if is_wrong_type else message


def _expectation(field: FieldInfo | None) -> str:
    """Return the remedy of a field, from its description and example."""
    if field is None or field.description is None:
        return "see the comments in the file that `spatial-assets init` writes"
    example = f", for example {shown_value('', field.examples[0])}" if field.examples else ""
    return f"give {field.description}{example}"


def _find(location: Location, root: type[BaseModel]) -> tuple[type[BaseModel], FieldInfo | None]:
    """Return the innermost table on the way to `location`, and the field of its last name."""
    table, field = root, None
    for part in location:
        fields = _fields(table)
        if part in fields:
            field = fields[str(part)]
            table = _table_in(field.annotation) or table
        elif (
            table.model_config.get("extra") == "allow"
        ):  # a name that the user chose, as in [freshness]
            table = _table_in(get_type_hints(table)["__pydantic_extra__"]) or table
        # Else: an index of an array or a name that the user chose, as in [regions].
    return table, field


def _fields(table: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a table by their keys in the file."""
    return {field.alias or name: field for name, field in table.model_fields.items()}


def _table_in(annotation: object) -> type[BaseModel] | None:
    """Return the table that a field's type contains, however wrapped; None for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _table_in(argument)
        if found is not None:
            return found
    return None
