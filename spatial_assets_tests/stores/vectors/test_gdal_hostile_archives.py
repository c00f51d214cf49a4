"""An archive of boundaries is read in place: names of its members lead to no other file."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from spatial_assets.errors import VectorError
from spatial_assets.stores.vectors.gdal import is_curved
from spatial_assets.stores.vectors.read import read_features
from spatial_assets.stores.vectors.source import ReadLimits

SQUARE = [[[15, 46], [15.1, 46], [15.1, 46.1], [15, 46.1], [15, 46]]]


def collection(key: str) -> str:
    feature = {
        "type": "Feature",
        "properties": {"id": key},
        "geometry": {"type": "Polygon", "coordinates": SQUARE},
    }
    return json.dumps({"type": "FeatureCollection", "features": [feature]})


def keys(path: Path) -> list[object]:
    found = read_features(str(path), columns=("id",))
    return [feature.properties["id"] for feature in found.features]


@pytest.mark.parametrize(
    "name", ["../outside.geojson", "../../etc/outside.geojson", "/outside.geojson"]
)
def test_a_member_that_climbs_out_is_read_within_or_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "project" / "boundaries"
    folder.mkdir(parents=True)
    (tmp_path / "project" / "outside.geojson").write_text(collection("of somebody else"))
    with zipfile.ZipFile(folder / "areas.zip", "w") as archive:
        archive.writestr(name, collection("of the archive"))
    before = sorted(tmp_path.rglob("*"))

    try:
        found = keys(folder / "areas.zip")
    except VectorError:
        found = []

    assert found in ([], ["of the archive"])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_without_a_name_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "areas.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("NAMELESS", "")
        archive.writestr("areas.geojson", collection("of the archive"))
    # A name ends at its first NUL.
    path.write_bytes(path.read_bytes().replace(b"NAMELESS", b"\0AMELESS"))

    assert keys(path) == ["of the archive"]


@pytest.mark.parametrize("wkb", [b"", b"\x01", b"\x01\x03\x00\x00"])
def test_a_geometry_that_ends_in_its_header_is_no_curve(wkb: bytes) -> None:
    assert not is_curved(wkb)


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.geojson"
    secret.write_text(collection("of somebody else"))
    link = zipfile.ZipInfo("areas.geojson")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    link.create_system = 3
    with zipfile.ZipFile(tmp_path / "areas.zip", "w") as archive:
        archive.writestr(link, str(secret))

    with pytest.raises(VectorError):
        keys(tmp_path / "areas.zip")


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "areas.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("areas.geojson", " " * 5_000_000)
    assert (tmp_path / "areas.zip").stat().st_size < 10_000

    with pytest.raises(VectorError, match="unpacks to 5,000,000 bytes"):
        read_features(
            str(tmp_path / "areas.zip"), columns=("id",), limits=ReadLimits(file_bytes=1_000_000)
        )
