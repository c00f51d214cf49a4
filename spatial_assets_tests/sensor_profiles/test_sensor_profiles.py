"""Every profile, as it is discovered: its facts, and that the product reads items by them."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import re
import string
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets import sensor_profiles
from spatial_assets.catalog.changes.polling import hash_settings
from spatial_assets.catalog.stac.bands import band_source, class_source
from spatial_assets.catalog.stac.calibration import resolve_calibration
from spatial_assets.catalog.stac.duplicates import granule_of
from spatial_assets.errors import RasterError, SceneError
from spatial_assets.geo.sensor_profile import DECLARED, GranulePattern, GranuleRule, SensorProfile
from spatial_assets.pipeline.fingerprints import fingerprint, rule_of
from spatial_assets.project import load_project
from spatial_assets.sensor_profiles import RADIOMETRY_RULES, SENSOR_PROFILES

COMMON_NAMES = {
    *("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3"),
    *("nir", "nir08", "nir09", "swir16", "swir22"),
}
NOON = dt.datetime(2023, 8, 18, 12, tzinfo=dt.UTC)
BASE = "https://example.org/item.json"

PLATFORMS = {
    "landsat-c2-l2": ("landsat-4", "landsat-5", "landsat-7", "landsat-8", "landsat-9"),
    "sentinel-2-l2a": ("sentinel-2a", "sentinel-2b", "sentinel-2c", "sentinel-2d"),
}
"""Profile -> platforms whose items it reads."""

every_profile = pytest.mark.parametrize("profile", SENSOR_PROFILES.values(), ids=SENSOR_PROFILES)
every_pattern = pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        pytest.param(profile.granule, pattern, id=f"{name}-{'+'.join(pattern.item_properties)}")
        for name, profile in SENSOR_PROFILES.items()
        if profile.granule is not None
        for pattern in profile.granule.patterns
    ],
)


def properties_at(profile: SensorProfile, baseline: tuple[int, int]) -> dict[str, object]:
    """Return item properties that state a processing baseline, if the sensor has baselines."""
    rule = profile.radiometry.baseline
    if rule is None:
        return {}
    return {next(iter(rule.item_properties)): f"{baseline[0]:02}.{baseline[1]:02}"}


def names_by_platform(profile: SensorProfile) -> list[tuple[str, str, str]]:
    """Return every platform, band, and name that means it there."""
    return [
        (platform, band, str(name))
        for platform in PLATFORMS[profile.name]
        for band in profile.bands
        for name in profile.names_of(band, platform)
    ]


def first_baseline(profile: SensorProfile) -> tuple[int, int]:
    return (0, 0) if profile.radiometry.baseline is None else profile.radiometry.baseline.first


@every_profile
def test_a_profile_states_common_names_a_rule_for_clear_sky_and_a_source(
    profile: SensorProfile,
) -> None:
    assert {"red", "nir"} <= set(profile.bands) <= COMMON_NAMES
    assert profile.clear is not None
    assert profile.class_assets
    assert profile.reference
    assert profile.expected_range is not None
    assert profile.granule is not None


@every_profile
def test_a_file_is_named_after_its_product(profile: SensorProfile) -> None:
    module = f"{sensor_profiles.__name__}.{profile.name.replace('-', '_')}"

    assert sys.modules[module].PROFILE is profile


@every_profile
def test_a_band_is_found_by_every_name_that_it_goes_by_on_a_platform(
    profile: SensorProfile,
) -> None:
    for platform, band, name in names_by_platform(profile):
        found = {
            "assets": {name: {"href": "by_key.tif"}},
            "properties": {
                **properties_at(profile, first_baseline(profile)),
                "platform": platform,
            },
        }
        described = {
            **found,
            "assets": {"file": {"href": "by_name.tif", "bands": [{"name": name}]}},
        }

        by_key = band_source(found, band, base=BASE, profile=profile)
        by_name = band_source(described, band, base=BASE, profile=profile)

        assert by_key.href == "https://example.org/by_key.tif"
        assert by_name.href == "https://example.org/by_name.tif"
        assert by_key.nodata == profile.nodata


@every_profile
def test_no_name_means_two_bands_on_one_platform(profile: SensorProfile) -> None:
    for platform in PLATFORMS[profile.name]:
        meant: dict[object, set[str]] = {}
        for band in profile.bands:
            for name in profile.names_of(band, platform):
                meant.setdefault(name, set()).add(band)

        several = {frozenset(bands) for bands in meant.values() if len(bands) > 1}
        assert several <= {frozenset({"nir", "nir08"})}  # Landsat has one near infrared band


@every_profile
def test_an_item_of_another_platform_is_refused(profile: SensorProfile) -> None:
    item = {"assets": {"red": {"href": "red.tif"}}, "properties": {"platform": "Landsat_1"}}

    with pytest.raises(SceneError, match="landsat-1") as caught:
        band_source(item, "red", base=BASE, profile=profile)

    assert caught.value.reason == "unknown_platform"


@every_profile
def test_the_class_band_is_found_by_every_key_and_is_not_calibrated(profile: SensorProfile) -> None:
    for key in profile.class_assets:
        found = class_source({"assets": {key: {"href": "c.tif"}}}, base=BASE, profile=profile)

        assert found is not None
        assert found.name == profile.class_band
        assert found.calibration is None


@every_profile
@given(data=st.data())
def test_keeping_snow_only_adds_clear_pixels(profile: SensorProfile, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20))
    classes = np.array(values, dtype=np.uint16)
    clear, with_snow = profile.clear, profile.keeping_snow().clear

    assert clear is not None
    assert with_snow is not None
    assert not (clear.clear(classes) & ~with_snow.clear(classes)).any()
    for rule in (clear, with_snow):
        assert not rule.clear(np.array([rule.unobserved, 0], dtype=np.uint16))[0]


@every_profile
def test_the_smallest_and_the_largest_dn_give_the_expected_range(profile: SensorProfile) -> None:
    properties = properties_at(profile, first_baseline(profile))

    calibration = resolve_calibration(properties, {}, profile=profile)

    assert calibration is not None
    assert profile.expected_range is not None
    low, high = ((each - calibration.offset) / calibration.scale for each in profile.expected_range)
    assert low == pytest.approx(1)
    assert high == pytest.approx(round(high))
    assert high < 2**16


@every_profile
def test_the_offset_begins_with_its_baseline(profile: SensorProfile) -> None:
    rule = profile.radiometry.baseline
    if rule is None:
        assert resolve_calibration({}, {}, profile=profile) is not None
        return
    before = resolve_calibration(
        properties_at(profile, (rule.first[0] - 1, 99)), {}, profile=profile
    )
    after = resolve_calibration(properties_at(profile, rule.first), {}, profile=profile)

    assert before is not None
    assert after is not None
    assert (before.offset, after.offset) == (0.0, profile.radiometry.offset)
    assert before.scale == after.scale == profile.radiometry.scale


@every_pattern
def test_an_identity_uses_the_groups_of_its_pattern(
    rule: GranuleRule, pattern: GranulePattern
) -> None:
    regexes = (*pattern.item_properties.values(), *rule.optional.values())
    groups = {name for regex in regexes for name in re.compile(regex).groupindex}
    used = {name for _, name, _, _ in string.Formatter().parse(pattern.identity) if name}

    assert "platform" in used
    assert groups <= used <= groups | {"platform", "acquired"}


@every_pattern
@given(data=st.data())
def test_a_granule_is_the_same_however_often_it_is_processed(
    rule: GranuleRule,  # noqa: ARG001 - every rule is tried
    pattern: GranulePattern,
    data: st.DataObject,
) -> None:
    stated = {
        name: data.draw(st.from_regex(regex, fullmatch=True, alphabet=st.characters(codec="ascii")))
        for name, regex in pattern.item_properties.items()
    }
    name = stated.pop("id", "item")
    item = {"id": name, "properties": {**stated, "platform": "Platform-1"}}
    again = {
        "id": name if "id" in pattern.item_properties else "again",
        "properties": {
            **item["properties"],  # type: ignore[dict-item]
            "created": "2024-01-01T00:00:00Z",
            "s2:processing_baseline": "05.10",
        },
        "collection": "another",
    }

    identity = granule_of(item, NOON)

    assert identity == granule_of(again, NOON)
    assert "/platform-1/" in identity


def test_profiles_are_found_by_name_in_alphabetical_order() -> None:
    assert list(SENSOR_PROFILES) == sorted(SENSOR_PROFILES)
    assert {"sentinel-2-l2a", "landsat-c2-l2"} <= set(SENSOR_PROFILES)
    assert list(RADIOMETRY_RULES)[-1] == DECLARED.name


def test_another_file_is_another_sensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "camera.py").write_text(
        "from spatial_assets.geo.sensor_profile import DECLARED, SensorProfile\n"
        "PROFILE = SensorProfile(name='camera', bands={'red': ('R',)}, class_band=None,\n"
        "                        class_assets=(), clear=None, radiometry=DECLARED)\n"
    )
    monkeypatch.setattr(sensor_profiles, "__path__", [*sensor_profiles.__path__, str(tmp_path)])

    found = sensor_profiles.discover_profiles()

    assert list(found) == sorted([*SENSOR_PROFILES, "camera"])
    assert found["camera"].bands == {"red": ("R",)}


@every_profile
def test_a_profile_reaches_the_workers_unchanged(profile: SensorProfile) -> None:
    assert pickle.loads(pickle.dumps(profile)) == profile  # noqa: S301 - our own bytes


def test_a_class_band_without_a_rule_is_refused() -> None:
    with pytest.raises(RasterError, match="clear-sky rule") as caught:
        SensorProfile(
            name="camera",
            bands={"red": ("R",)},
            class_band="mask",
            class_assets=("mask",),
            clear=None,
            radiometry=DECLARED,
        )

    assert caught.value.reason == "bad_sensor_profile"


@pytest.mark.parametrize(
    ("sensor", "polled", "clear"),
    [
        pytest.param(
            'sensor = "sentinel-2-l2a"',
            "651614a3a7a9c8dff779544a9d5a84b5369f695d2eb7da7d5143bebda9030162",
            ["keep", [4, 5, 6, 7]],
            id="sentinel-2-l2a",
        ),
        pytest.param(
            'sensor = "landsat-c2-l2"',
            "a51cbd61061515d3e43a3a4a9216742fda05ad1482481315e9260bd7b4692ad1",
            ["drop", [0, 1, 2, 3, 4, 5]],
            id="landsat-c2-l2",
        ),
        pytest.param(
            '[scenes.sensor]\nname = "camera"\nbands = { red = "R", nir = ["N", "nir"] }\n'
            'class_band = "mask"\nclear_classes = [1]\nscale = 0.0001\noffset = 0\nnodata = 0',
            "e471b1783ef2dcfe2edd9f6cf633884a38ecd793160e62166262ca83844b4e07",
            ["keep", [1]],
            id="a-table-of-ones-own",
        ),
    ],
)
def test_stored_hashes_of_the_sensor_settings_stay_what_they_were(
    tmp_path: Path, sensor: str, polled: str, clear: list[object]
) -> None:
    (tmp_path / "project.toml").write_text(
        "[area]\nbbox = [15.0, 45.0, 16.0, 46.0]\n[time]\nstart = 2023-01-01\n"
        f'[scenes]\ncatalog = "https://example.org/stac"\n{sensor}\n'
    )

    project = load_project(tmp_path / "project.toml")

    assert hash_settings(project) == polled
    assert json.loads(json.dumps(rule_of(project.sensor.clear))) == clear
    assert fingerprint(rule_of(project.sensor.clear)) == fingerprint(clear)
