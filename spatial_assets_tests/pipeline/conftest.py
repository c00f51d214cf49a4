"""The made-up country on disk, written once a session; a test that changes it copies it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from spatial_assets.catalog.rasters import gdal_datasets
from spatial_assets_tests.pipeline.world import COUNTRY, spoil_block, write_country


@pytest.fixture(scope="session")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue of the whole country; read only."""
    return write_country(tmp_path_factory.mktemp("country"), COUNTRY)


@pytest.fixture(scope="session")
def spoiled_country(country: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with one block of one band that cannot be decoded; read only."""
    catalog = tmp_path_factory.mktemp("spoiled") / "country"
    shutil.copytree(country, catalog)
    spoil_block(catalog / "east_0810" / "B08.tif", 1, 2)
    return catalog


@pytest.fixture
def catalog(country: Path, tmp_path: Path) -> Path:
    """The catalogue of the whole country, for this test to change."""
    return Path(shutil.copytree(country, tmp_path / "catalog"))


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """Close what a test made this process keep open."""
    yield
    gdal_datasets.close_all()
