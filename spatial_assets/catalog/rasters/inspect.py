"""Inspection of a scene, once: headers, grids, and whether its pixels agree with the item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pyproj import CRS
from pyproj.exceptions import CRSError

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.source_access import SourceAccess, source_access
from spatial_assets.catalog.rasters.file_calibration import calibration_of
from spatial_assets.catalog.rasters.gdal_datasets import gdal_settings
from spatial_assets.catalog.rasters.headers import (
    grid_of,
    has_impossible_nodata,
    is_float,
    nodata_of,
    require_one_crs,
    require_only_band,
    same_crs,
)
from spatial_assets.catalog.rasters.masks import masks_of
from spatial_assets.catalog.rasters.opening import as_local, open_or_explain, require_promised
from spatial_assets.catalog.rasters.plausibility import MAX_REFLECTANCE, Plausibility, judge
from spatial_assets.catalog.rasters.prefetch import prefetching
from spatial_assets.catalog.rasters.sampling import take_sample
from spatial_assets.catalog.scene import BandSource, RejectedScene, Scene, rejected
from spatial_assets.catalog.scene_facts import BandFacts, SceneFacts
from spatial_assets.catalog.stac.calibration import added_dn
from spatial_assets.errors import CHANGED_SINCE_INSPECTION, RasterError, SceneError
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.geo.warp.warp import Kernel, choose_kernel
from spatial_assets.project import Project

OFFSET_MAYBE_MISSED = "offset_maybe_missed"
ITEM_CRS_DIFFERS = "item_crs_differs"
REFLECTANCE_SATURATED = "reflectance_saturated"
NODATA_CANNOT_OCCUR = "nodata_cannot_occur"
CALIBRATED_BY_FILE = "calibrated_by_file"

DOUBTS: Mapping[str, str] = {
    OFFSET_MAYBE_MISSED: "its darkest red is so bright that an offset may have been missed",
    ITEM_CRS_DIFFERS: "its item states another CRS than its files, which count",
    REFLECTANCE_SATURATED: "reflectance beyond what is stored becomes fill, in more than a few "
    "places",
    NODATA_CANNOT_OCCUR: "it declares a fill value that no pixel can have, which masks nothing",
    CALIBRATED_BY_FILE: "scale or offset are those of its files, as its item states none",
}
"""Warning about a scene that is used -> what it means."""


def inspect_scene(
    scene: Scene, project: Project, access: SourceAccess | None = None
) -> SceneFacts | RejectedScene:
    """Open every file that is needed, and judge headers and a fixed sample.

    Raises:
        SourceUnavailableError: the archive did not answer.
        SceneError: `changed_since_inspection`: a file was replaced since the search.
    """
    access = access or source_access(project)
    try:
        for source in scene.sources:
            require_promised(source, access)
        local = _as_local(scene, access)
        with gdal_settings(access):
            with prefetching(((source, []) for source in local.sources), access):
                facts, doubts = _band_facts(local, project, access)
            require_one_crs((name, band.grid) for name, band in facts.items())
            for source in local.sources:
                require_only_band(open_or_explain(source, access), source)
            sample = take_sample(local, facts, clear=project.sensor.clear, access=access)
    except SceneError as error:
        if error.reason == CHANGED_SINCE_INSPECTION:
            raise  # the scene is neither good nor bad
        return rejected(scene, error.reason, str(error))
    verdict = judge(sample)
    most = project.checks.most_implausible_share
    return _refusal(scene, verdict, facts, most=most) or SceneFacts(
        id=scene.id,
        fingerprint=scene.fingerprint,
        bands=facts,
        figures=verdict.figures,
        warnings=(*_warnings(scene, facts, verdict), *sorted(doubts)),
    )


def _as_local(scene: Scene, access: SourceAccess) -> Scene:
    """Return the scene with the files that are opened: the copies, if files are downloaded."""
    return replace(
        scene,
        bands={name: as_local(source, access) for name, source in scene.bands.items()},
        class_band=as_local(scene.class_band, access) if scene.class_band else None,
    )


def _band_facts(
    scene: Scene, project: Project, access: SourceAccess
) -> tuple[dict[str, BandFacts], set[str]]:
    """Return the facts of every file of a scene, and the codes of doubts about them."""
    facts: dict[str, BandFacts] = {}
    doubts: set[str] = set()
    for source in scene.sources:
        dataset = open_or_explain(source, access)
        is_class = source is scene.class_band
        if is_class and is_float(dataset, source):
            raise SceneError(
                f"the class band {source.name} holds {dataset.dtypes[source.index - 1]} numbers; "
                "classes are integers",
                reason="bad_dtype",
            )
        grid = grid_of(dataset, source, size=_size_of(source))
        kernel = _kernel(source, grid, project)
        if is_class and any(band.kernel == "average" for band in facts.values()):
            kernel = "average"  # its window must then extend as far as those of the averaged bands
        calibration, is_of_file = (None, False) if is_class else calibration_of(dataset, source)
        facts[source.name] = BandFacts(
            grid=grid,
            dtype=str(dataset.dtypes[source.index - 1]),
            nodata=nodata_of(dataset, source),
            kernel=kernel,
            calibration=calibration,
            masks=masks_of(dataset, source, access),
            block=tuple(dataset.block_shapes[source.index - 1]),
            driver=str(dataset.driver),
        )
        if has_impossible_nodata(dataset, source):
            doubts.add(NODATA_CANNOT_OCCUR)
        if is_of_file:
            doubts.add(CALIBRATED_BY_FILE)
    return facts, doubts


def _size_of(source: BandSource) -> int | None:
    """Return the size of the file in bytes, if it is known without a request."""
    if not is_remote(source.href):
        return Path(source.href).stat().st_size
    size = (source.version or "").rpartition(":")[2]
    return int(size) if size.isdigit() else source.size


def _kernel(source: BandSource, grid: SourceGrid, project: Project) -> Kernel:
    """Return the resampling kernel, decided at the centre of the file."""
    try:
        return choose_kernel(grid, project.pixel_grid)
    except RasterError as error:
        raise SceneError(f"band {source.name}: {error}", reason=error.reason) from error


def _refusal(
    scene: Scene, verdict: Plausibility, facts: Mapping[str, BandFacts], *, most: float
) -> RejectedScene | None:
    """Return the rejection of a scene if a share above `most` of it contradicts the item."""
    resolved = {
        name: None if (band := facts[name].calibration) is None else [band.scale, band.offset]
        for name in scene.bands
    }
    if verdict.is_unscaled(most):
        return rejected(
            scene,
            "radiometry_unknown",
            f"the pixels are floating-point numbers, and {verdict.unscaled_share:.0%} of the clear "
            "ones are beyond any reflectance; store reflectance, or integers with scale and offset",
            **verdict.figures,
        )
    if verdict.is_implausible(most):
        return rejected(
            scene,
            "radiometry_implausible",
            f"{verdict.implausible_share:.0%} of {verdict.clear_pixels} clear sample pixels are "
            f"negative, brighter than {MAX_REFLECTANCE} or have |NDVI| > 1 after calibration: the "
            "item's scale or offset is wrong",
            **verdict.figures,
            calibration=resolved,
        )
    return None


def _warnings(
    scene: Scene, facts: Mapping[str, BandFacts], verdict: Plausibility
) -> tuple[str, ...]:
    """Return codes for accepted oddities: deserts are bright, and the file decides the CRS."""
    warnings = []
    red = facts.get("red")
    added = added_dn(scene.baseline)
    has_no_offset = red is not None and red.calibration is not None and red.calibration.offset == 0
    if added is not None and has_no_offset and verdict.is_never_dark(added):
        warnings.append(OFFSET_MAYBE_MISSED)
    if verdict.is_saturated:
        warnings.append(REFLECTANCE_SATURATED)
    if _item_crs_differs(scene, next(iter(facts.values()))):
        warnings.append(ITEM_CRS_DIFFERS)
    return tuple(warnings)


def _item_crs_differs(scene: Scene, band: BandFacts) -> bool:
    """Return True if the item states another CRS than its files have."""
    if scene.crs is None:
        return False
    try:
        return not same_crs(CRS.from_user_input(scene.crs), band.grid.crs)
    except CRSError:
        return True
