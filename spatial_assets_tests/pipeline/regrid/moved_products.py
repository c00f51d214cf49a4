"""Moves of products in tests, and what is stored of a product, to compare two of them."""

from __future__ import annotations

import datetime as dt
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from spatial_assets.errors import RegridUnderWayError
from spatial_assets.pipeline import ownership
from spatial_assets.pipeline.regrid.needs import regrid_reasons
from spatial_assets.pipeline.regrid.operation import Regrid, manifest_keys
from spatial_assets.project import Project, load_project
from spatial_assets.stores.cube.cube import open_cube
from spatial_assets.stores.objects.location import locate
from spatial_assets.stores.objects.manifests import holds, read_manifest
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import NOON, rows, store_of


def regrid_of(
    project: Project, *, store: ObjectStore | None = None, now: dt.datetime = NOON
) -> bool:
    """Move the product of a project; False if nothing was to be done."""
    with open_database(project.database_url) as database:
        work = Regrid(
            project=project,
            store=store or store_of(project),
            database=database,
            owner="test",
            clock=lambda: now,
            say=lambda _: None,
            wait=dt.timedelta(0),
        )
        return work.run()


def view(project: Project) -> xr.Dataset:
    """The cube as users see it, loaded."""
    with open_cube(store_of(project), "ndvi") as cube:
        return cube.load()


def described(project: Project) -> dict[str, Any]:
    """Everything stored about each tile, but for the versions of objects in their store."""
    found: dict[str, Any] = {}
    for key in sorted(manifest_keys(store_of(project))):
        manifest = read_manifest(store_of(project), key)
        assert manifest is not None
        found[key] = {
            (stage, unit): (
                entry.fingerprint,
                entry.facts,
                # A moved cube spells the keys of its chunks without the leading c.
                {(info.path.replace("/c/", "/"), info.size, info.sha256) for info in entry.objects},
            )
            for stage, units in manifest.stages.items()
            for unit, entry in units.items()
        }
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[Any, Any]:
    """Units of manifests that two descriptions do not agree on."""
    return {
        (key, *unit): (one.get(key, {}).get(unit), other.get(key, {}).get(unit))
        for key in one.keys() | other.keys()
        for unit in one.get(key, {}).keys() | other.get(key, {}).keys()
        if one.get(key, {}).get(unit) != other.get(key, {}).get(unit)
    }


def without_times(found: list[dict[str, object]]) -> list[dict[str, object]]:
    times = ("refreshed_at", "since", "looked_at", "uri")
    return [{name: row[name] for name in row if name not in times} for row in found]


def intact_objects(project: Project) -> list[bool]:
    """Return for each object that a manifest names that the store holds it."""
    store = store_of(project)
    manifests = [read_manifest(store, key) for key in manifest_keys(store)]
    return [holds(store, info) for manifest in manifests if manifest for info in manifest.objects()]


class Killed(BaseException):
    """The end of the process, before a write."""


class StoreOfDyingProcess(ObjectStore):
    """A folder whose process is killed before its n-th write; nothing is written afterwards."""

    left = 0

    def _write(self) -> None:
        StoreOfDyingProcess.left -= 1
        if StoreOfDyingProcess.left < 0:
            raise Killed

    def within(self, folder: str) -> ObjectStore:
        return StoreOfDyingProcess(locate(f"{self.url}/{folder}"), {})

    def put(self, path: str, data: bytes) -> ObjectInfo:
        self._write()
        return super().put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._write()
        return super().create(path, data)

    def copy(self, source: str, target: str) -> None:
        self._write()
        super().copy(source, target)

    def delete(self, path: str) -> None:
        self._write()
        super().delete(path)


def kill_before_writes(made: Path, before: xr.Dataset, folder: Path, *, every: int) -> int:
    """Kill a regrid before its writes, complete it, and compare with one in one piece.

    Args:
        made: project folder whose product has to be moved.
        before: its cube as users see it.
        folder: for copies.
        every: writes between two that it is killed before; 1: before each (minutes).

    Returns:
        The number of writes, or up to `every` - 1 more.
    """
    whole = load_project(shutil.copytree(made, folder / "in_one_piece"), {})
    regrid_of(whole)
    wanted, wanted_units = view(whole), described(whole)
    for writes in itertools.count(step=every):
        project = load_project(shutil.copytree(made, folder / f"killed_{writes}"), {})
        StoreOfDyingProcess.left = writes
        try:
            regrid_of(project, store=StoreOfDyingProcess(locate(project.storage_url), {}))
        except Killed:
            pass
        else:
            return writes
        seen = view(project)
        # A reader sees the cube as it was or as it will be, whatever happens.
        assert seen.equals(before) or seen.equals(wanted)
        if store_of(project).head("regrid.json") is not None:
            with pytest.raises(RegridUnderWayError, match="spatial-assets regrid` to complete"):
                ownership.verify(project, store_of(project), None)
        regrid_of(project, now=NOON + dt.timedelta(minutes=3))
        xr.testing.assert_equal(view(project), wanted)
        assert differences(described(project), wanted_units) == {}
        assert regrid_reasons(project, store_of(project)) == ()
        assert store_of(project).list("regrid") == ()
        assert rows(project, "tile_inputs") == rows(whole, "tile_inputs")
        states = [without_times(rows(each, "tile_state")) for each in (project, whole)]
        assert states[0] == states[1]
        shutil.rmtree(project.root)
    raise AssertionError
