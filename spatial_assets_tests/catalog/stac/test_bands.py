"""The asset, and the band within it, that an item has for one of our bands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.stac.bands import band_source
from spatial_assets.catalog.stac.items import RawItem, read_scene
from spatial_assets.errors import SceneError
from spatial_assets.geo.common_names import COMMON_NAMES, contradict
from spatial_assets.geo.sensor_profile import SensorProfile
from spatial_assets.project.sensors import SensorTable
from spatial_assets.sensor_profiles import SENSOR_PROFILES
from spatial_assets_tests.fixtures.scene_factory import item_of

BASE = "/archive/item.json"
TM = {"blue": "B1", "green": "B2", "red": "B3", "nir08": "B4", "swir16": "B5", "swir22": "B7"}
OLI = {"blue": "B2", "green": "B3", "red": "B4", "nir08": "B5", "swir16": "B6", "swir22": "B7"}
MSI = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "swir16": "B11", "swir22": "B12"}
PLATFORMS = {
    "LANDSAT_5": TM,
    "landsat-7": TM,
    "LANDSAT_8": OLI,
    "landsat-9": OLI,
    "Sentinel-2B": MSI,
    "sentinel-2c": MSI,
}
"""Platform as archives spell it -> common name -> the archive's name of the band."""


def profile_of(platform: str) -> SensorProfile:
    is_landsat = platform.lower().startswith("landsat")
    return SENSOR_PROFILES["landsat-c2-l2" if is_landsat else "sentinel-2-l2a"]


def table(**bands: Any) -> SensorProfile:  # noqa: ANN401 - as a user writes them
    return SensorTable.model_validate({"bands": bands, "scale": 1e-4, "offset": 0.0}).profile()


def found(assets: dict[str, Any], band: str, profile: SensorProfile, **properties: Any) -> str:  # noqa: ANN401
    source = source_of_band(assets, band, profile, **properties)
    return f"{source.href.rpartition('/')[2]}:{source.index}"


def source_of_band(
    assets: dict[str, Any],
    band: str,
    profile: SensorProfile,
    **properties: Any,  # noqa: ANN401 - JSON values
) -> BandSource:
    stated = {"s2:processing_baseline": "05.09", **properties}
    return band_source({"assets": assets, "properties": stated}, band, base=BASE, profile=profile)


def reason_of(assets: dict[str, Any], band: str, profile: SensorProfile, **properties: Any) -> str:  # noqa: ANN401
    with pytest.raises(SceneError) as caught:
        source_of_band(assets, band, profile, **properties)
    return caught.value.reason


@st.composite
def spelled_items(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A platform, and the assets of its item, as some catalogue would spell them.

    The file of each band is named after its common name.
    """
    platform = draw(st.sampled_from(sorted(PLATFORMS)))
    is_msi = PLATFORMS[platform] is MSI
    keyed_by = draw(st.sampled_from(["common", "band", "else"]))
    described = draw(st.sampled_from(["eo:bands", "bands", "names only", "not"]))
    assets: dict[str, Any] = {}
    for common, name in PLATFORMS[platform].items():
        own = name if is_msi else f"SR_{name}"
        key = {"common": common, "band": own, "else": f"layer-{len(assets)}"}[keyed_by]
        asset: dict[str, Any] = {"href": f"{common}.tif", "roles": ["data"]}
        if described == "eo:bands":
            asset["eo:bands"] = [{"name": own, "common_name": common}]
        elif described == "bands":
            asset["bands"] = [{"name": own, "eo:common_name": common}]
        elif described == "names only" or keyed_by == "else":
            asset["bands"] = [{"name": own}]
        assets[key] = asset
    colours = ["red", "green", "blue"]
    assets["visual"] = {
        "href": "visual.tif",
        "roles": draw(st.sampled_from([["visual"], ["data"]])),
        "eo:bands": [{"name": one, "common_name": one} for one in colours],
    }
    order = draw(st.permutations(sorted(assets)))
    return platform, {key: assets[key] for key in order}


@given(spelled_items(), st.data())
def test_a_band_is_the_one_of_its_common_name_however_a_catalogue_spells_it(
    spelled: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    platform, assets = spelled
    common = data.draw(st.sampled_from(sorted(PLATFORMS[platform])))

    assert found(assets, common, profile_of(platform), platform=platform) == f"{common}.tif:1"


def test_keys_that_moved_between_platforms_need_the_platform() -> None:
    assets = {f"SR_B{number}": {"href": f"{number}.tif"} for number in range(1, 8)}
    landsat = SENSOR_PROFILES["landsat-c2-l2"]

    assert found(assets, "red", landsat, platform="landsat-7") == "3.tif:1"
    assert found(assets, "red", landsat, platform="landsat-8") == "4.tif:1"
    assert reason_of(assets, "red", landsat) == "unknown_platform"
    assert reason_of(assets, "coastal", landsat, platform="landsat-7") == "missing_band"
    assert found({"red": {"href": "r.tif"}}, "red", landsat) == "r.tif:1"


def test_a_key_gives_way_to_what_its_asset_states() -> None:
    assets = {
        "B3": {"href": "3.tif", "eo:bands": [{"name": "B3", "common_name": "red"}]},
        "B4": {"href": "4.tif", "eo:bands": [{"name": "B4", "common_name": "nir08"}]},
    }
    of_another = table(red=["B4"], nir=["B5", "nir08"])

    assert reason_of(assets, "red", of_another) == "missing_band"
    assert found(assets, "red", table(red=["B4", "red"])) == "3.tif:1"
    assert found(assets, "nir", of_another) == "4.tif:1"


def test_a_key_of_the_users_own_table_stands_where_nothing_contradicts_it() -> None:
    assets = {
        "B08": {"href": "08.tif", "eo:bands": [{"name": "B08", "common_name": "nir"}]},
        "B8A": {"href": "8A.tif", "eo:bands": [{"name": "B8A", "common_name": "rededge"}]},
    }

    assert found(assets, "nir", table(nir=["B8A", "nir"])) == "8A.tif:1"


class TestAssetOfSeveralBands:
    """Bands of one file are told apart by name or number, or the scene is refused."""

    NAMED = ("blue", "green", "red", "nir")

    @staticmethod
    def image(*names: str) -> dict[str, Any]:
        bands = [{"common_name": name} if name else {} for name in names]
        return {"image": {"href": "image.tif", "eo:bands": bands}}

    def test_names_say_which(self) -> None:
        profile = table(red=["image"], nir=["image"])

        assert found(self.image(*self.NAMED), "red", profile) == "image.tif:3"
        assert found(self.image(*self.NAMED), "nir", profile) == "image.tif:4"

    def test_the_number_says_which(self) -> None:
        profile = table(red={"asset": "image", "band": 3}, nir=[{"asset": "image", "band": 4}])

        assert found(self.image("", "", "", ""), "red", profile) == "image.tif:3"
        assert found({"image": {"href": "image.tif"}}, "nir", profile) == "image.tif:4"

    @pytest.mark.parametrize(
        "names", [("", "", "", ""), ("blue", "green", "", ""), ("red", "red", "", "")]
    )
    def test_nothing_says_which(self, names: tuple[str, ...]) -> None:
        profile = table(red=["image"], nir=["image"])

        assert reason_of(self.image(*names), "red", profile) == "ambiguous_band"

    def test_a_file_that_no_one_describes_must_have_one_band(self) -> None:
        source = source_of_band({"image": {"href": "image.tif"}}, "red", table(red=["image"]))

        assert (source.index, source.is_numbered) == (1, False)

    def test_two_bands_of_an_index_from_one_band_are_refused(self) -> None:
        item = {**item_of(), "assets": {"image": {"href": "image.tif"}}}

        with pytest.raises(SceneError, match="'red' and 'nir' of ndvi") as caught:
            read_scene(
                RawItem(item, BASE), table(red=["image"], nir=["image"]), needs=("red", "nir")
            )

        assert caught.value.reason == "same_band"


@given(st.sampled_from(sorted(COMMON_NAMES)), st.sampled_from(sorted(COMMON_NAMES)))
def test_names_contradict_each_other_or_neither(one: str, other: str) -> None:
    assert contradict(one, other) == contradict(other, one)
    assert not contradict(one, one)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("red", "nir08", True),
        ("nir", "nir08", False),
        ("nir", "rededge", False),
        ("swir16", "swir22", True),
        ("blue", "green", True),
        ("rededge1", "nir", False),
    ],
)
def test_names_of_bands_that_lie_apart_contradict(one: str, other: str, expected: bool) -> None:  # noqa: FBT001
    assert contradict(one, other) is expected
