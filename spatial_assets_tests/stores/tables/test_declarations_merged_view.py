"""The view that merges tiles agrees with numpy over all pixels at once."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.stores.tables.sample_rows import AUGUST, GRID, part, region

VIEW = "ndvi_by_boundary_merged"


def test_merging_tiles_is_computing_over_all_pixels_at_once(database: Database) -> None:
    generator = np.random.default_rng(20230831)
    tiles = []
    for number in range(7):
        value = generator.uniform(-0.2, 1.0, size=200)
        weight = generator.uniform(0.0, 100.0, size=200)
        valid = generator.uniform(size=200) < 0.6
        tiles.append((value, weight, valid))
        row: dict[str, object] = {
            "pixels": 200.0,
            "weight": weight[valid].sum(),
            "sum": (weight * value)[valid].sum(),
            "sum_squares": (weight * value**2)[valid].sum(),
            "min": value[valid].min(),
            "max": value[valid].max(),
            "area_total": weight.sum(),
        }
        database.replace_tile("ndvi_by_boundary", {**AUGUST, "tile": str(number)}, [part(**row)])
    value, weight, valid = (np.concatenate(each) for each in zip(*tiles, strict=True))
    database.replace_all("regions", [region("a", area=100_000.0)])

    (merged,) = database.rows(VIEW)

    mean = np.average(value[valid], weights=weight[valid])
    variance = np.average((value[valid] - mean) ** 2, weights=weight[valid])
    expected = {
        "pixels": 1400.0,
        "weight": weight[valid].sum(),
        "area_total": weight.sum(),
        "mean": mean,
        "std": np.sqrt(variance),
        "min": value[valid].min(),
        "max": value[valid].max(),
        "valid_fraction": weight[valid].sum() / weight.sum(),
        "covered_fraction": weight.sum() / 100_000.0,
    }
    assert {name: merged[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert merged["tiles"] == 7
    assert merged["period_start"] == date(2023, 8, 1)


def test_a_boundary_without_a_valid_pixel_has_no_mean_rather_than_zero(database: Database) -> None:
    nothing: dict[str, object] = {
        "weight": 0.0,
        "sum": 0.0,
        "sum_squares": 0.0,
        "min": None,
        "max": None,
    }
    database.replace_all("regions", [region("a", area=80.0)])
    for tile in ("1", "2"):
        keys = {**AUGUST, "tile": tile}
        database.replace_tile("ndvi_by_boundary", keys, [part(**nothing)])

    (merged,) = database.rows(VIEW)

    assert [merged[name] for name in ("mean", "std", "min", "max")] == [None] * 4
    assert (merged["valid_fraction"], merged["covered_fraction"]) == (0.0, 1.0)


def test_equal_values_have_no_spread_however_they_round(database: Database) -> None:
    value, weight = 0.1 + 0.2, 1e9 / 3
    sums: dict[str, object] = {
        "weight": weight,
        "sum": weight * value,
        "sum_squares": weight * value * value,
    }
    database.replace_tile("ndvi_by_boundary", AUGUST, [part(**sums)])

    (merged,) = database.rows(VIEW)

    assert merged["std"] == pytest.approx(0.0, abs=1e-7)


def test_periods_boundaries_sets_and_grids_are_kept_apart(database: Database) -> None:
    for keys, rows in [
        (AUGUST, [part("a"), part("b"), part("a", boundary_table="parcels")]),
        ({**AUGUST, "tile": "1203"}, [part("a")]),
        ({**AUGUST, "period": "2023-09"}, [part("a", period_start=date(2023, 9, 1))]),
        ({**AUGUST, "grid_id": "other"}, [part("a")]),
    ]:
        database.replace_tile("ndvi_by_boundary", keys, rows)

    found = [
        (row["period"], row["boundary_table"], row["boundary_key"], row["tiles"])
        for row in database.rows(VIEW, {"grid_id": GRID})
    ]

    assert found == [
        ("2023-08", "parcels", "a", 1),
        ("2023-08", "regions", "a", 2),
        ("2023-08", "regions", "b", 1),
        ("2023-09", "regions", "a", 1),
    ]


def test_a_boundary_that_is_gone_has_no_covered_fraction(database: Database) -> None:
    database.replace_tile("ndvi_by_boundary", AUGUST, [part("gone")])

    (merged,) = database.rows(VIEW)

    assert merged["covered_fraction"] is None
    assert merged["mean"] == 0.5


def test_the_view_follows_boundaries_that_are_replaced(database: Database) -> None:
    database.replace_tile("ndvi_by_boundary", AUGUST, [part("a")])
    database.replace_all("regions", [region("a", area=40.0)])
    before = database.rows(VIEW)[0]["covered_fraction"]

    database.replace_all("regions", [region("a", area=80.0)])

    assert (before, database.rows(VIEW)[0]["covered_fraction"]) == (1.0, 0.5)
