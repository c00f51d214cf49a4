"""Targets of damaged inputs: the product's own path from a file to its result.

Each target answers in a word how it went. What it raises but an error of ours is a finding.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import random
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rasterio.errors import NotGeoreferencedWarning

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.source_access import source_access
from spatial_assets.catalog.rasters import gdal_datasets
from spatial_assets.catalog.scene import RejectedScene, Scene
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.failures import UNEXPECTED
from spatial_assets.pipeline.run.scenes_of_run import inspect_in_worker
from spatial_assets.pipeline.tile.raw_tile import read_raw
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.project import Project, load_project
from spatial_assets.project.sections.products import BoundarySettings
from spatial_assets.stores.objects.store import open_store
from spatial_assets_tests.fixtures.scene_factory import item_of, project_in, write_scene
from spatial_assets_tests.fuzz.inputs import LAYOUTS, PROJECT, SEVERAL_BANDS
from spatial_assets_tests.fuzz.mutation import damaged_bytes, damaged_document

CANARY = "CANARY-8c1e"
"""Content of a file outside of every project; output that contains it reveals a forbidden read."""

NOON = dt.datetime(2023, 9, 15, 12, tzinfo=dt.UTC)


class UnexpectedAnswerError(AssertionError):
    """The product took an exception for a bug of its own."""


def raster(good: Path, case: Path, dice: random.Random) -> str:
    """A GeoTIFF, or JPEG 2000, as a band of a scene: its header, its sample, one window."""
    name = dice.choice(sorted(LAYOUTS))
    item = item_of()
    if name in SEVERAL_BANDS:
        names = [{"name": "a"}, {"name": "b", "common_name": "red"}, {"name": "c"}]
        item["assets"]["red"]["eo:bands"] = names
    write_scene(case / "scenes" / "s", item)
    path = next((case / "scenes" / "s").glob("*B04*"))
    path.write_bytes(damaged_bytes((good / "rasters" / f"{name}.tif").read_bytes(), dice))
    project = project_in(case / "project", case / "scenes")
    (scene,) = find_scenes(project).scenes
    return _looked_into(scene, project)


def item(good: Path, case: Path, dice: random.Random) -> str:
    """A STAC item: by values two times of three, else by bytes."""
    text = (good / "items" / "item.json").read_bytes()
    folder = case / "scenes" / "s"
    write_scene(folder)
    for other in folder.glob("*.json"):
        other.unlink()
    if dice.random() < 2 / 3:
        damaged = json.dumps(damaged_document(json.loads(text), dice)).encode()
    else:
        damaged = damaged_bytes(text, dice)
    (folder / "item.json").write_bytes(damaged)
    project = project_in(case / "project", case / "scenes", hosts=["nowhere.invalid"])
    found = find_scenes(project)
    _require_silence(found.rejected)
    if not found.scenes:
        return "rejected" if found.rejected else "not selected"
    return _looked_into(found.scenes[0], project)


def _looked_into(scene: Scene, project: Project) -> str:
    """Inspect a scene and read the pixels of one tile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        found = inspect_in_worker(scene, project=project)
    if isinstance(found, RejectedScene):
        _require_silence([found])
        return f"rejected: {found.reason}"
    if not isinstance(found, SceneFacts):
        if found.reason == UNEXPECTED.reason:
            raise UnexpectedAnswerError(found.message)
        return f"failed: {found.reason}"
    tile = next(iter(project.partitioning.tiles.values()))
    box = project.pixel_grid.geobox(tile.window)
    record = SceneRecord.of(scene, found)
    read_raw(record, box, access=source_access(project), clear=project.sensor.clear)
    return "accepted"


def _require_silence(rejected: Any) -> None:  # noqa: ANN401 - rejected scenes
    """Output must not contain anything from outside of the project."""
    for scene in rejected:
        if CANARY in f"{scene.message}{scene.evidence}":
            raise UnexpectedAnswerError(f"told what stands outside of the project: {scene}")


def vectors(good: Path, case: Path, dice: random.Random) -> str:
    """A boundaries file, from the source to the validated features."""
    source = dice.choice(sorted((good / "vectors").iterdir()))
    path = case / source.name
    data = source.read_bytes()
    if source.suffix == ".geojson" and dice.random() < 2 / 3:
        path.write_text(json.dumps(damaged_document(json.loads(data), dice)))
    else:
        path.write_bytes(damaged_bytes(data, dice))
    project = project_in(case / "project", case)
    settings = BoundarySettings(
        name="regions",
        source=str(path),
        key="id",
        columns=("name",),
        on_invalid=dice.choice(("repair", "quarantine", "refuse")),
    )
    store = open_store(str(case / "data"))
    pipeline = BoundaryPipeline(project=project, settings=settings, store=store, clock=lambda: NOON)
    pipeline.fetch()
    pipeline.validate()
    return "accepted"


def project_file(_good: Path, case: Path, dice: random.Random) -> str:
    """A project file, as far as tiles, bands and the time axis."""
    text = toml(PROJECT)
    if dice.random() < 2 / 3:
        (case / "project.toml").write_text(
            toml(damaged_document(PROJECT, dice)), "utf-8", "replace"
        )
    else:
        (case / "project.toml").write_bytes(damaged_bytes(text.encode(), dice))
    project = load_project(case, {})
    _ = project.partitioning.keys, project.bands, project.tile_ages
    for name in project.regions:
        project.region_tiles(name)
    project.periods(NOON.date())
    return "accepted"


TARGETS: Mapping[str, Callable[[Path, Path, random.Random], str]] = {
    "raster": raster,
    "item": item,
    "vectors": vectors,
    "project": project_file,
}


def play(kind: str, seed: str, *, good: Path, case: Path) -> str:
    """Run one case in a temporary folder."""
    case.mkdir(parents=True)
    try:
        return TARGETS[kind](good, case, random.Random(f"{kind} {seed}"))
    finally:
        gdal_datasets.close_all()
        shutil.rmtree(case, ignore_errors=True)


def toml(document: Mapping[str, Any]) -> str:
    """A document as TOML, with inline tables, however odd its values."""
    return "\n".join(f"{_key(name)} = {_value(value)}" for name, value in document.items())


def _key(name: object) -> str:
    return json.dumps(str(name), ensure_ascii=True)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf"
    return '""' if value is None else json.dumps(value)
