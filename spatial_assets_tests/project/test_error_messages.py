"""Mistakes in the keys, the area and the grid of project.toml: file, key, value and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spatial_assets.errors import SettingsError

Refusal = Callable[..., str]

AREA = "[area]\nbbox = [15.0, 45.06, 16.44, 46.95]\n"
SCENES = '[scenes]\ncatalog = "scenes"\nsensor = "sentinel-2-l2a"\n'
BOUNDARIES = '[[boundaries]]\nname = "regions"\nsource = "r.gpkg"\nkey = "id"\n'


@pytest.mark.parametrize(
    ("added", "key", "meant"),
    [
        pytest.param("[grdi]\n", "grdi", "grid", id="top"),
        pytest.param("[grid]\nchunck = 512\n", "grid.chunck = 512", "chunk", id="grid"),
        pytest.param("[time]\ncomposit = 'max'\n", 'time.composit = "max"', "composite", id="time"),
        pytest.param("[indices]\nname = ['ndvi']\n", "indices.name", "names", id="indices"),
        pytest.param(
            "[retention]\nraw_tiles = 'keep'\n", "retention.raw_tiles", "raw_tile", id="retention"
        ),
        pytest.param("[storage]\nurls = 'data'\n", "storage.urls", "url", id="storage"),
        pytest.param(
            "[database]\npoolsize = 3\n", "database.poolsize = 3", "pool_size", id="database"
        ),
        pytest.param("[compute]\nworker = 3\n", "compute.worker = 3", "workers", id="compute"),
        pytest.param(
            "[compute.profiles.big]\ntiles = ['1*']\nmemory = 3\n",
            "compute.profiles.big.memory = 3",
            "memory_mb",
            id="profile",
        ),
        pytest.param(
            "[freshness]\nraw_tile = { warn = '1 day', fail = '2 days', fial = 1 }\n",
            "freshness.raw_tile.fial = 1",
            "fail",
            id="freshness",
        ),
        pytest.param(
            "[regions.coast]\ntiles = ['1*']\ncorn = '0 4 * * 1'\n",
            'regions.coast.corn = "0 4 * * 1"',
            "cron",
            id="region",
        ),
        pytest.param(
            "[freshness]\nregions = { coast = { wran = '1 day' } }\n",
            "freshness.regions.coast.wran",
            "warn",
            id="window-of-a-region",
        ),
        pytest.param(
            "[[freshness.paused]]\nform = '08:00'\n", "freshness.paused.0.form", "from", id="pause"
        ),
        pytest.param(
            f"{BOUNDARIES}column = []\n", "boundaries.0.column = []", "columns", id="boundaries"
        ),
        pytest.param(
            "[scenes.source]\nsigns = 'none'\n", "scenes.source.signs", "sign", id="source"
        ),
    ],
)
def test_an_unknown_key_at_any_level_names_the_key_that_was_meant(
    refusal: Refusal, added: str, key: str, meant: str
) -> None:
    message = refusal(added)

    assert key in message
    assert "unknown key" in message
    assert f"did you mean {meant!r}?" in message


def test_an_unknown_key_of_an_area_and_of_scenes_is_named(refusal: Refusal) -> None:
    message = refusal(area=f"{AREA}flie = 'x'\n", scenes=f"{SCENES}sensr = 1\n")

    assert "area.flie" in message
    assert "scenes.sensr = 1: unknown key; did you mean 'sensor'?" in message


def test_an_unknown_key_of_a_sensor_of_ones_own_is_named(refusal: Refusal) -> None:
    scenes = (
        '[scenes]\ncatalog = "s"\n[scenes.sensor]\nbands = { red = "r", nir = "n" }\nscal = 1.0\n'
    )

    assert "scenes.sensor.scal = 1.0: unknown key; did you mean 'scale'?" in refusal(scenes=scenes)


def test_a_key_that_resembles_none_is_answered_with_all_of_them(refusal: Refusal) -> None:
    assert "the known keys are pool_size, schema, url" in refusal("[database]\nzzz = 1\n")


@pytest.mark.parametrize("name", ["root", "file", "origins"])
def test_fields_that_the_loader_adds_cannot_be_set_in_the_file(refusal: Refusal, name: str) -> None:
    area = f'{name} = "/x"\n{AREA}'

    assert f'{name} = "/x": unknown key' in refusal(area=area)


@pytest.mark.parametrize(
    ("added", "said", "remedy"),
    [
        pytest.param(
            "[grid]\npixel_zoom = '10'\n",
            'grid.pixel_zoom = "10": must be a valid integer, not a string',
            "give the zoom whose 256-pixel tiles set the size of a pixel, for example 14",
            id="number-in-quotes",
        ),
        pytest.param(
            "[grid]\npixel_zoom = true\n", "grid.pixel_zoom = true", "for example 14", id="bool"
        ),
        pytest.param(
            "[grid]\npixel_zoom = -1\n", "grid.pixel_zoom = -1", "for example 14", id="negative"
        ),
        pytest.param("[compute]\nworkers = 0\n", "compute.workers = 0", "for example 2", id="zero"),
        pytest.param(
            "[time]\nstart = '2023-01-01'\n",
            'time.start = "2023-01-01": must be a valid date, not a string',
            "without quotes, for example 2023-01-01",
            id="date-in-quotes",
        ),
        pytest.param(
            "[time]\nperiod = 'weekly'\n",
            'time.period = "weekly"',
            "'day', 'dekad', 'month' or 'year'",
            id="choice",
        ),
        pytest.param(
            "[indices]\nnames = 'ndvi'\n", 'indices.names = "ndvi"', '["ndvi"]', id="array"
        ),
        pytest.param("[indices]\nnames = []\n", "indices.names = []", '["ndvi"]', id="empty-array"),
        pytest.param("storage = 5\n", "storage = 5", "give the object store", id="table"),
        pytest.param(
            f"{BOUNDARIES.replace('regions', 'Regions 1')}",
            'boundaries.0.name = "Regions 1"',
            'for example "regions"',
            id="name",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_shown_with_what_was_wanted(
    refusal: Refusal, added: str, said: str, remedy: str
) -> None:
    is_top = added.startswith("storage =")
    message = refusal(area=f"{added}{AREA}") if is_top else refusal(added)

    assert said in message
    assert remedy in message


def test_a_missing_table_or_key_is_reported_with_an_example(refusal: Refusal) -> None:
    message = refusal(area="", scenes="[scenes]\n")

    assert "area: is required and missing; give the area, for example" in message
    assert "scenes.catalog: is required and missing" in message
    assert "https://earth-search.aws.element84.com/v1" in message
    assert "scenes.sensor: is required and missing" in message


@pytest.mark.parametrize(
    ("area", "wrong"),
    [
        ("bbox = [15.0, 45.0, 16.0]", "area.bbox = [15.0, 45.0, 16.0]: not four numbers"),
        ("bbox = ['a', 45.0, 16.0, 46.0]", "not four numbers"),
        ("bbox = [15.0, nan, 16.0, 46.0]", "not four numbers"),
        ("bbox = [15.0, 46.0, 16.0, 45.0]", "has no area"),
        ("bbox = [15.0, 45.0, 15.0, 46.0]", "has no area"),
        ("bbox = [15.0, 45.0, 190.0, 46.0]", "a longitude is outside -180 to 180"),
        ("bbox = [15.0, 45.0, 16.0, 96.0]", "a latitude is outside -90 to 90"),
        ("bbox = [0, 0, 1, 1]\nfile = 'a.geojson'", "both bbox and file"),
        ("", "bbox and file are both missing"),
        ("file = 'none.geojson'", "there is no file"),
    ],
)
def test_an_area_that_is_none_is_refused(refusal: Refusal, area: str, wrong: str) -> None:
    message = refusal(area=f"[area]\n{area}\n")

    assert "area" in message
    assert wrong in message


@pytest.mark.parametrize(
    ("grid", "key", "wrong"),
    [
        pytest.param(
            "pixel_zoom = 29\nlevel = 8",
            "grid.pixel_zoom = 29",
            "WebMercatorQuad has no zoom 29",
            id="zoom",
        ),
        pytest.param(
            "tile_matrix_set = 'Mercator'\nlevel = 8",
            'grid.tile_matrix_set = "Mercator"',
            "WebMercatorQuad",
            id="set",
        ),
        pytest.param(
            "chunk = 512\nshard = 1000\nlevel = 8",
            "grid.shard = 1000",
            "a shard of 1000 pixels is 1.95312 chunks of 512; make it a whole number of chunks, "
            "for example 512",
            id="shard",
        ),
        pytest.param("partitions = 'h3'", "grid.level", "has no default here", id="no-level"),
        pytest.param("level = -2", "grid.level = -2", "cannot be negative", id="negative-level"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(
    refusal: Refusal, grid: str, key: str, wrong: str
) -> None:
    message = refusal(f"[grid]\n{grid}\n")

    assert key in message
    assert wrong in message


@pytest.mark.parametrize(
    "grid",
    [
        pytest.param("pixel_zoom = 10\nshard = 1024\nlevel = 9", id="tile-smaller-than-a-shard"),
        pytest.param("pixel_zoom = 10\npartitions = 'h3'\nlevel = 9", id="h3-cell-too-small"),
        pytest.param("pixel_zoom = 10\npartitions = 's2'\nlevel = 16", id="s2-cell-too-small"),
    ],
)
def test_a_cell_that_owns_no_whole_shard_is_refused_with_the_level(
    load: Callable[..., object], tmp_path: Path, grid: str
) -> None:
    project = load(f"[grid]\n{grid}\n")

    with pytest.raises(SettingsError, match=rf"^{tmp_path}/project.toml: grid.level = \d+: .*; "):
        _ = project.partitioning  # type: ignore[attr-defined]


def test_too_many_partitions_are_refused_with_the_arithmetic(load: Callable[..., object]) -> None:
    europe = "[area]\nbbox = [-10.0, 36.0, 30.0, 60.0]\n"
    project = load("[grid]\npixel_zoom = 14\nchunk = 256\nshard = 256\nlevel = 14\n", area=europe)

    with pytest.raises(SettingsError, match=r"grid.level = 14: .*100,000") as refused:
        _ = project.partitioning  # type: ignore[attr-defined]

    assert "project.toml" in str(refused.value)
