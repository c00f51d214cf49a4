from pathlib import Path

import numpy as np
import pyogrio
import shapely

from spatial_assets.demo.districts import SELF_CROSSING_DISTRICT, district_outlines


def test_ten_named_districts_are_in_the_geopackage(demo: Path) -> None:
    info = pyogrio.read_info(demo / "boundaries" / "regions.gpkg")
    _, _, outlines, fields = pyogrio.raw.read(demo / "boundaries" / "regions.gpkg")

    assert (info["features"], info["crs"], info["layer_name"]) == (10, "EPSG:3035", "regions")
    assert list(info["fields"]) == ["region_id", "name", "inhabitants"]
    assert len(set(fields[0])) == len(set(fields[1])) == 10
    assert set(shapely.get_type_id(shapely.from_wkb(outlines))) == {shapely.GeometryType.POLYGON}


def test_one_district_is_a_bow_tie_and_the_others_are_valid(demo: Path) -> None:
    _, _, outlines, fields = pyogrio.raw.read(demo / "boundaries" / "regions.gpkg")
    valid = shapely.is_valid(shapely.from_wkb(outlines))

    assert [key for key, is_valid in zip(fields[0], valid, strict=True) if not is_valid] == [
        SELF_CROSSING_DISTRICT
    ]
    crossed = shapely.from_wkb(outlines)[~valid][0]
    assert shapely.is_valid_reason(crossed).startswith("Self-intersection")


def test_repairing_the_bow_tie_barely_changes_it_with_either_method() -> None:
    crossed = district_outlines()[SELF_CROSSING_DISTRICT]

    structure = shapely.make_valid(crossed, method="structure", keep_collapsed=False)
    linework = shapely.make_valid(crossed, method="linework")

    difference = shapely.symmetric_difference(structure, linework)
    assert difference.area < 1e-3 * structure.area


def test_the_districts_are_a_coverage_without_gaps_or_overlaps() -> None:
    outlines = district_outlines()
    drawn_well = [outline for key, outline in outlines.items() if key != SELF_CROSSING_DISTRICT]

    polygons = shapely.make_valid(np.array(list(outlines.values())), method="structure")
    whole = shapely.union_all(polygons)

    assert shapely.coverage_is_valid(np.array(drawn_well))
    assert abs(whole.area - sum(shapely.area(polygons))) < 1
    assert sum(len(part.interiors) for part in shapely.get_parts(whole)) == 0
