"""What every table of project.toml has in common, and what a problem with a key looks like.

Files that people point us at, read only as far as such a file can reasonably go.
"""

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
LONGEST_SHOWN = 120  # characters of a value in a message: a pasted polygon must not bury the remedy

Item = TypeVar("Item")
# TOML has arrays, not tuples; only the array itself is converted, its items stay strict.
Tuple = Annotated[tuple[Item, ...], Field(strict=False)]


class Table(BaseModel):
    """A table of project.toml: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, validate_default=False
    )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that a setting says and that cannot be."""

    key: str
    """Dotted path within project.toml, e.g. "grid.pixel_zoom"; boundaries count from 0."""

    value: object
    """What was found there, or None where the key is absent."""

    wrong: str
    """What is wrong with it."""

    remedy: str
    """What to do about it."""

    place: str | None = None
    """Where the value came from, when not from the project file: a variable, e.g. "$X"."""

    def told(self, file: str) -> str:
        """The problem in one line that names file, key, value and remedy."""
        shown = "" if self.value is None else f" = {shown_value(self.key, self.value)}"
        return mask_secrets(f"{self.place or file}: {self.key}{shown}: {self.wrong}; {self.remedy}")


def shown_value(key: str, value: object) -> str:
    """`value` as a person may see it: as TOML has it, short, and masked if it may be a secret."""
    if is_secret_name(key.rpartition(".")[2]):
        return MASK
    if isinstance(value, date):
        return value.isoformat()
    text = mask_secrets(json.dumps(value, default=str, ensure_ascii=False))
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def settings_error(problems: Iterable[Problem], file: str) -> SettingsError:
    """The error that tells every problem, a line each."""
    return SettingsError("\n".join(problem.told(file) for problem in problems))


def refusal(wrong: str, remedy: str, *, key: str = "") -> PydanticCustomError:
    """An error for a validator to raise.

    Args:
        wrong: what is wrong with the value.
        remedy: what to do about it.
        key: the key within the table, where a validator of a whole table knows it.
    """
    return PydanticCustomError("refused", "{wrong}", {"wrong": wrong, "remedy": remedy, "key": key})


def bounded_bytes(path: Path, most: int) -> bytes:
    """The whole file; a device that never ends is not read to its end.

    Raises:
        ValueError: it has more than `most` bytes.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        message = f"it has more than {most:,} bytes"
        raise ValueError(message)
    return data
