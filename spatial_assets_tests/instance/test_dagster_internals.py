"""Dagster's private modules are used in one file only."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from spatial_assets.instance import dagster_internals

PACKAGE = Path(sys.modules["spatial_assets"].__path__[0])
PRIVATE = re.compile(r"^\s*(from|import) dagster(\.\w+)*\._", flags=re.MULTILINE)


def test_no_other_file_imports_a_private_module_of_dagster() -> None:
    found = [path for path in PACKAGE.rglob("*.py") if PRIVATE.search(path.read_text())]

    assert found == [Path(dagster_internals.__file__)]


def test_every_name_that_it_exports_is_there() -> None:
    missing = [name for name in dagster_internals.__all__ if not hasattr(dagster_internals, name)]

    assert not missing
    assert not hasattr(dagster_internals, "SqliteEventLog")
