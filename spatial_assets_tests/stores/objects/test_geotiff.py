from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.io import MemoryFile
from rasterio.session import AWSSession

from spatial_assets.errors import RasterError, StoreError
from spatial_assets.stores.objects.geotiff import StoredRaster, encoded, read_geotiff, write_geotiff
from spatial_assets.stores.objects.store import open_store

TRANSFORM = Affine(10.0, 0.0, 499980.0, 0.0, -10.0, 5100000.0)
UTM = CRS.from_epsg(32633)


def raster(pixels: NDArray[Any], **others: Any) -> StoredRaster:  # noqa: ANN401 - any field
    bands = tuple(f"b{n}" for n in range(pixels.shape[0]))
    fields = {"bands": bands, "transform": TRANSFORM, "crs": UTM, **others}
    return StoredRaster(pixels=pixels, **fields)


arrays = st.sampled_from(["int16", "uint16", "uint8", "float32"]).flatmap(
    lambda kind: hnp.arrays(
        kind, hnp.array_shapes(min_dims=3, max_dims=3, max_side=20), fill=st.nothing()
    )
)


@given(arrays, st.dictionaries(st.sampled_from(["grid_id", "scene"]), st.sampled_from(["a", "é"])))
@settings(max_examples=40)
def test_a_raster_survives_the_trip_through_geotiff(
    pixels: NDArray[Any], tags: dict[str, str]
) -> None:
    given_raster = raster(pixels, tags=tags, scale=1e-4)

    back = read_geotiff(encoded(given_raster))

    assert back.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(back.pixels, pixels)
    assert (back.bands, back.transform, back.crs) == (given_raster.bands, TRANSFORM, UTM)
    assert (back.tags, back.scale, back.nodata) == (tags, 1e-4, None)


def test_gdal_reads_names_scale_and_nodata() -> None:
    pixels = np.arange(6, dtype="int16").reshape(2, 1, 3)
    data = write_geotiff(
        pixels, bands=("red", "nir"), transform=TRANSFORM, crs=UTM, nodata=-32768, scale=1e-4
    )

    with MemoryFile(data) as memory, memory.open() as dataset:
        assert dataset.descriptions == ("red", "nir")
        assert dataset.nodatavals == (-32768, -32768)
        assert dataset.scales == (1e-4, 1e-4)
        assert dataset.crs.to_epsg() == 32633
        assert dataset.transform == TRANSFORM
        assert dataset.compression.name == "zstd"
        np.testing.assert_array_equal(dataset.read(2), pixels[1])


def test_the_same_raster_gives_the_same_bytes() -> None:
    pixels = np.random.default_rng(1).integers(0, 9000, (3, 700, 600)).astype("uint16")

    first = encoded(raster(pixels, tags={"a": "1", "b": "2"}))

    assert encoded(raster(pixels.copy(), tags={"b": "2", "a": "1"})) == first


def test_a_crs_without_code_keeps_its_definition() -> None:
    crs = CRS.from_proj4("+proj=laea +lat_0=46 +lon_0=14 +datum=WGS84 +units=m")

    back = read_geotiff(encoded(raster(np.ones((1, 2, 2), "uint8"), crs=crs)))

    there, again = (Transformer.from_crs("OGC:CRS84", one) for one in (crs, back.crs))
    assert again.transform(15.0, 47.0) == pytest.approx(there.transform(15.0, 47.0), abs=1e-6)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        pytest.param(np.ones((2, 2), "int16"), "need", id="two-dimensional"),
        pytest.param(np.ones((1, 0, 2), "int16"), "at least one pixel", id="empty"),
        pytest.param(np.ones((1, 2, 2), "int64"), "int64", id="unknown-type"),
    ],
)
def test_a_raster_that_cannot_be_stored_is_refused_at_birth(
    pixels: NDArray[Any], said: str
) -> None:
    with pytest.raises(RasterError, match=said):
        raster(pixels, bands=("red",))


@pytest.mark.parametrize("keep", [0, 10, 400, 0.5, 0.99])
def test_a_truncated_geotiff_is_an_error_and_never_pixels(keep: float) -> None:
    pixels = np.random.default_rng(1).integers(0, 9000, (2, 600, 600)).astype("uint16")
    data = encoded(raster(pixels))

    with pytest.raises(StoreError, match="damaged"):
        read_geotiff(data[: int(len(data) * keep) if isinstance(keep, float) else keep])


def test_a_band_is_found_by_its_name() -> None:
    pixels = np.arange(2, dtype="int16").reshape(2, 1, 1)
    stored = raster(pixels, bands=("red", "nir"))

    assert stored.band("nir") == [[1]]
    with pytest.raises(RasterError, match="no band 'blue'; have red, nir"):
        stored.band("blue")


@pytest.mark.servers
def test_gdal_reads_our_geotiff_from_s3(s3_environment: dict[str, str], s3_bucket: str) -> None:
    pixels = np.arange(12, dtype="int16").reshape(1, 3, 4)
    store = open_store(f"s3://{s3_bucket}/some/prefix")
    store.put("reprojected_raster/0231/S2A.tif", encoded(raster(pixels)))
    endpoint = s3_environment["SPATIAL_ASSETS_S3_ENDPOINT"].removeprefix("http://")
    session = AWSSession(
        aws_access_key_id=s3_environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3_environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    options = {"AWS_S3_ENDPOINT": endpoint, "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}

    with (
        rasterio.Env(session, **options),
        rasterio.open(store.uri("reprojected_raster/0231/S2A.tif")) as dataset,
    ):
        np.testing.assert_array_equal(dataset.read(), pixels)
