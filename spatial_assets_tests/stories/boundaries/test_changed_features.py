"""A source of which a few features change, again and again: the steps of a run, on real files."""

from __future__ import annotations

import io
import random
from pathlib import Path

import geopandas as gpd
import pyarrow.parquet as pq
import pytest
import shapely

from spatial_assets.stores import layout
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.vectors.validated import JUDGEMENT_COLUMNS
from spatial_assets_tests.fixtures.boundary_chain import BoundaryChain, boundary_chain
from spatial_assets_tests.fixtures.feature_factory import BOW_TIE

COLUMNS = "columns = ['name', 'worth']"
PATHS = (layout.validated_boundaries("regions"), layout.quarantine("boundaries", "regions"))


def parcel(number: int, width: float = 0.01) -> shapely.Polygon:
    """A parcel beside the one with the number before; a wider one overlaps its neighbour."""
    west = 15.0 + number / 100
    return shapely.box(west, 46.0, west + width, 46.01)


def written(path: Path, features: list[tuple[object, ...]]) -> None:
    """Write features (key, name, worth, geometry) as the source."""
    pids, names, worth, shapes = zip(*features, strict=True)
    frame = gpd.GeoDataFrame(
        {"pid": pids, "name": names, "worth": worth}, geometry=list(shapes), crs="EPSG:4326"
    )
    frame.to_crs("EPSG:3794").to_file(path, driver="GPKG")


def objects(chain: BoundaryChain) -> list[bytes | None]:
    """The stored features, and those in quarantine."""
    return [chain.steps.store.find(path) for path in PATHS]


@pytest.mark.parametrize("seed", range(2))
def test_after_any_edits_the_set_is_as_if_it_were_loaded_for_the_first_time(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test
    source = tmp_path / "parcels.gpkg"
    features: list[tuple[object, ...]] = [
        (number, f"parcel {number}", number * 1.5, parcel(number)) for number in range(40)
    ]
    features[3] = (3, "crossed", 1.0, BOW_TIE)
    written(source, features)
    chain = boundary_chain(tmp_path / "p", source, lines=COLUMNS)
    chain.run()

    for edit in range(3):
        del features[chance.randrange(len(features))]
        place = chance.randrange(len(features))
        features[place] = (features[place][0], f"edit {edit}", None, features[place][3])
        features.insert(chance.randrange(9), (100 + edit, "new", 1.0, parcel(50 + edit, 0.015)))
        chance.shuffle(features)
        written(source, features)
        rows = chain.run()

        fresh = boundary_chain(tmp_path / f"fresh-{edit}", source, lines=COLUMNS)
        assert fresh.run() == rows
        assert objects(fresh) == objects(chain)


def test_one_changed_feature_is_one_row(tmp_path: Path) -> None:
    source = tmp_path / "parcels.gpkg"
    features: list[tuple[object, ...]] = [
        (number, "a", number * 1.5, parcel(number)) for number in range(40)
    ]
    written(source, features)
    chain = boundary_chain(tmp_path / "p", source, lines=COLUMNS)
    chain.run()

    features[7] = (7, "a", 10.5, parcel(7, 0.009))
    written(source, features)
    chain.validate()

    with open_database(chain.project.database_url) as database:
        step = chain.steps.load(database)
    assert (step.facts["rows"], step.facts["rows_written"]) == (40, 1)


def test_a_set_validated_by_earlier_code_stays_until_it_changes(tmp_path: Path) -> None:
    source = tmp_path / "parcels.gpkg"
    features: list[tuple[object, ...]] = [(n, "a", 1.5, parcel(n)) for n in range(4)]
    written(source, features)
    chain = boundary_chain(tmp_path / "p", source, lines=COLUMNS)
    chain.run()
    table = pq.read_table(io.BytesIO(chain.steps.store.get(PATHS[0])))
    buffer = io.BytesIO()
    pq.write_table(table.drop_columns([*JUDGEMENT_COLUMNS]), buffer)
    chain.steps.store.put(PATHS[0], buffer.getvalue())

    assert chain.validate().state == "unchanged"
    written(source, [*features[:-1], (9, "new", 1.0, parcel(9))])
    assert [row["pid"] for row in chain.run()] == [0, 1, 2, 9]
