"""Documents name files that exist, and the drawing of the architecture shows every street."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from spatial_assets_tests.servers.process import REPOSITORY

PACKAGE = REPOSITORY / "spatial_assets"
PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
OF_USERS = {"project.toml"}
FLOORS_WITH_STREETS = ("cli", "pipeline", "catalog", "stores", "geo")


def named(page: str) -> Iterator[str]:
    """Files and folders in the code spans of a page."""
    for span in re.findall(r"`([^`\n]+)`", (REPOSITORY / page).read_text()):
        if re.fullmatch(r"[\w./-]+(\.(py|toml|yaml|md|svg)|/)", span) and span not in OF_USERS:
            yield span


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_the_page_names_exists(page: str) -> None:
    names = sorted({*named(page)})

    assert len(names) > 20
    assert not [
        name for name in names if not (PACKAGE / name).exists() and not (REPOSITORY / name).exists()
    ]


def test_the_drawing_shows_every_street() -> None:
    drawing = (REPOSITORY / "docs" / "floors.svg").read_text()
    shown = {word for text in re.findall(r">([^<]+)</text>", drawing) for word in text.split(", ")}
    streets = {
        folder.parent.name
        for floor in FLOORS_WITH_STREETS
        for folder in (PACKAGE / floor).glob("*/__init__.py")
    }

    assert streets <= shown, streets - shown


def test_the_drawing_shows_nothing_that_does_not_exist() -> None:
    drawing = (REPOSITORY / "docs" / "floors.svg").read_text()
    boxes = re.findall(r'font-weight="600" text-anchor="middle">([^<]+)</text>', drawing)
    names = {name.removesuffix(".py") for box in boxes for name in box.split(", ")}
    present = {path.stem for path in PACKAGE.rglob("*.py")}
    present |= {path.name for path in PACKAGE.rglob("*") if path.is_dir()}

    assert len(names) > 50
    assert names - present == {"no Dagster below this line"}
