"""The base of every table of project.toml, and problems with its keys as messages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from spatial_assets.errors import SettingsError
from spatial_assets.project.secrets import MASK, is_secret_name, mask_secrets

PROJECT_FILE = "project.toml"
MAX_SHOWN_CHARACTERS = 120  # of a value in a message: a pasted polygon must not hide the remedy

_Entry = TypeVar("_Entry")
# TOML has arrays, not tuples; only the array itself is converted, its entries stay strict.
Tuple = Annotated[tuple[_Entry, ...], Field(strict=False)]


class Table(BaseModel):
    """A table of project.toml: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, validate_default=False
    )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One invalid setting."""

    key: str
    """Dotted path within project.toml, e.g. "grid.pixel_zoom"; entries of arrays count from 0."""

    value: object
    """Value that was found, or None if the key is absent."""

    wrong: str
    """Statement of what is wrong with the value."""

    remedy: str
    """Action that corrects it."""

    source: str | None = None
    """Source of the value if it is not the project file: a variable, e.g. "$X"."""

    def describe(self, file: str) -> str:
        """Return the problem as one line that names file, key, value and remedy."""
        shown = "" if self.value is None else f" = {shown_value(self.key, self.value)}"
        return mask_secrets(
            f"{self.source or file}: {self.key}{shown}: {self.wrong}; {self.remedy}"
        )


def shown_value(key: str, value: object) -> str:
    """Return `value` for a message: as TOML, shortened, and masked if it may be a secret."""
    if is_secret_name(key.rpartition(".")[2]):
        return MASK
    if isinstance(value, date):
        return value.isoformat()
    text = mask_secrets(json.dumps(value, default=str, ensure_ascii=False))
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[: MAX_SHOWN_CHARACTERS - 3]}..."


def settings_error(problems: Iterable[Problem], file: str) -> SettingsError:
    """Return the error that lists every problem, one per line."""
    return SettingsError("\n".join(problem.describe(file) for problem in problems))


def refusal(wrong: str, remedy: str, *, key: str = "") -> PydanticCustomError:
    """Return an error for a validator to raise.

    Args:
        wrong: statement of what is wrong with the value.
        remedy: action that corrects it.
        key: key within the table, for a validator of a whole table.
    """
    return PydanticCustomError("refused", "{wrong}", {"wrong": wrong, "remedy": remedy, "key": key})


def bounded_bytes(path: Path, limit: int) -> bytes:
    """Read a whole file of up to `limit` bytes; a device that never ends is refused too.

    Raises:
        ValueError: it has more than `limit` bytes.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        message = f"it has more than {limit:,} bytes"
        raise ValueError(message)
    return data
