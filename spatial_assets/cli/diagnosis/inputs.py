"""Checks of the inputs: scenes in the catalogue, boundary files, and tiles of regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from spatial_assets.cli.diagnosis.finding import Finding, passed, run_check
from spatial_assets.errors import SourceUnavailableError, VectorError
from spatial_assets.project import Project
from spatial_assets.project.sections.products import BoundarySettings

MAX_FEATURES_CHECKED = 1000  # of a boundary file; a run judges the others
MAX_ITEMS_COUNTED = 10_000  # a hundred pages of an API; the exact number does not matter


def catalogue(project: Project) -> Finding:
    """Search the catalogue as a run does, and count the items."""
    from spatial_assets.catalog.access.source_access import source_access
    from spatial_assets.catalog.item_notes import ItemTally
    from spatial_assets.catalog.scene import RejectedScene
    from spatial_assets.catalog.sources.sources import find_items
    from spatial_assets.catalog.stac.item_filter import item_filter_of
    from spatial_assets.catalog.stac.items import RawItem

    def check() -> str:
        item_filter = item_filter_of(project)
        found = find_items(project.catalog_url, item_filter, source_access(project))
        tally = ItemTally()

        def matches(item: RawItem | RejectedScene) -> bool:
            document = item.document if isinstance(item, RawItem) else None
            reason = None if document is None else item_filter.reason_against(document)
            if document is not None and reason is not None:
                tally.add(reason, document.get("id"))
            return reason is None

        number = sum(1 for _ in islice(filter(matches, found), MAX_ITEMS_COUNTED))
        notes = "; ".join(tally.notes().lines())
        if not number:
            message = f"{project.catalog_url} has no item for [area] and [scenes]"
            raise SourceUnavailableError(f"{message}; {notes}" if notes else message)
        more = " or more" if number == MAX_ITEMS_COUNTED else ""
        text = f"{project.catalog_url}: {number:,}{more} items"
        return f"{text}; {notes}" if notes else text

    remedy = (
        "correct [scenes] catalog, collections, datetime or max_cloud_cover, or make the catalogue "
        "reachable"
    )
    return run_check("catalogue", check, remedy=remedy)


def clear_sky(project: Project) -> Finding:
    """Name the margins round clouds and shadows, or the reason that there are none."""
    clear = project.sensor.clear
    if clear is None:
        return passed("clear sky", f"sensor {project.sensor.name} has no class band: no mask")
    buffer, asked_for = clear.clouds.buffer, project.scenes.buffer
    detail = f"{buffer.cloud:g} m round clouds and {buffer.shadow:g} m round shadows are left out"
    if buffer != asked_for:
        detail += f"; sensor {project.sensor.name} does not name both in [scenes.sensor]"
    return passed("clear sky", detail)


def boundaries(project: Project) -> Iterator[Finding]:
    """Check every boundary file."""
    for boundary in project.boundaries:
        yield _boundary(project, boundary)


def _boundary(project: Project, boundary: BoundarySettings) -> Finding:
    """Open a boundary file and validate its first features, as a run does with all."""
    from spatial_assets.geo.vectors.validate import refuse_inaccurate_crs, validate_features
    from spatial_assets.stores.vectors.read import read_features

    def check() -> str:
        source = project.resolve(boundary.source)
        found = read_features(
            source,
            columns=(boundary.key, *boundary.columns),
            layer=boundary.layer,
            crs=boundary.crs,
        )
        validated = validate_features(
            islice(found.features, MAX_FEATURES_CHECKED),
            source_crs=found.crs,
            key=boundary.key,
            on_invalid=boundary.on_invalid,
            most_repair_share=project.checks.most_repair_share,
        )
        if boundary.on_inaccurate_crs == "refuse":
            refuse_inaccurate_crs(validated)
        report = replace(validated, notes=found.notes).report
        if not validated.kept and len(validated.quarantined) < MAX_FEATURES_CHECKED:
            message = f"{source} has no usable feature: {report['reasons'] or 'it is empty'}"
            raise VectorError(message)
        parts = [f"{source}: {found.driver}", found.crs.name, f"key {boundary.key}"]
        if validated.quarantined:
            parts.append(f"features to be quarantined: {report['reasons']}")
        warnings = report["warnings"] if isinstance(report["warnings"], list) else []
        return "; warning: ".join([", ".join(parts), *warnings])

    remedy = (
        "correct [[boundaries]] source, layer, key or columns, or add the CRS to the file, or as "
        "`crs` if it has none"
    )
    return run_check(f"boundaries {boundary.name!r}", check, remedy=remedy)


def regions(project: Project) -> Iterator[Finding]:
    """Count the tiles of every region."""
    for name in project.regions:
        yield run_check(
            f"region {name!r}",
            lambda name=name: f"{len(project.region_tiles(name)):,} tiles",  # type: ignore[misc]
            remedy=f"correct [regions.{name}]",
        )
