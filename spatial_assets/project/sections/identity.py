"""[project]: the name that tells this project from others on the same store, database or Dagster.

The store and the database record the name at the first write; another project is then refused.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Annotated

from pydantic import BeforeValidator, Field

from spatial_assets.project.base import Table, Tuple

PROJECT_TAG = "spatial_assets/project"
"""Tag of events, assets and runs in Dagster: name of the project that they belong to."""

MAX_NAME_CHARACTERS = 63
"""Dagster's limit for the value of a tag, which every event of the project carries."""

PROJECT_NAME = rf"^[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_CHARACTERS - 1}}}$"
"""Characters that Dagster allows in the value of a tag."""

KEY_PART = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"
"""Characters that Dagster allows in the name of a step's output, which follows from the key."""

_HASH_CHARACTERS = 8


def _as_list(value: object) -> object:
    """Return a single text as a list of one."""
    return [value] if isinstance(value, str) else value


KeyPart = Annotated[str, Field(pattern=KEY_PART)]


class IdentitySettings(Table):
    """The identity of the project."""

    name: str | None = Field(
        default=None,
        pattern=PROJECT_NAME,
        description="a name of at most 63 letters, digits, '_', '-' and '.'; default: the folder's",
        examples=["vipava"],
    )
    asset_prefix: Annotated[Tuple[KeyPart], BeforeValidator(_as_list)] = Field(
        default=(),
        description="the first part, or parts, of the key of every asset in Dagster",
        examples=["vipava"],
    )


def name_of_folder(folder: str) -> str:
    """Return the name of a folder as the name of a project.

    Characters that a name may not have become underscores; a hash keeps apart what would be the
    same without them.
    """
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).lstrip("_.-")
    if name and name == folder and len(name) <= MAX_NAME_CHARACTERS:
        return name
    digest = hashlib.sha256(folder.encode(errors="surrogateescape")).hexdigest()[:_HASH_CHARACTERS]
    kept = name[: MAX_NAME_CHARACTERS - _HASH_CHARACTERS - 1].rstrip("_.-") or "project"
    return f"{kept}-{digest}"
