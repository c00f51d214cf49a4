"""Search for a project's scenes: items found, parsed, de-duplicated and fingerprinted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from spatial_assets.catalog.access.file_versions import with_fingerprints
from spatial_assets.catalog.access.source_access import SourceAccess, source_access
from spatial_assets.catalog.item_notes import MAYBE_DUPLICATE, SUPERSEDED, ItemTally
from spatial_assets.catalog.scene import Catalogue, RejectedScene, Scene
from spatial_assets.catalog.sources.documents import ItemOrRejection
from spatial_assets.catalog.sources.sources import find_items
from spatial_assets.catalog.stac.candidates import (
    candidate_of,
    rejected_candidate,
    scene_versions_of,
)
from spatial_assets.catalog.stac.duplicates import (
    doubtful_duplicates,
    without_duplicates,
    without_namesakes,
)
from spatial_assets.catalog.stac.item_filter import ItemFilter, item_filter_of
from spatial_assets.catalog.stac.items import RawItem, read_scene, rejected_item
from spatial_assets.errors import SceneError
from spatial_assets.project import Project


def find_scenes(project: Project, access: SourceAccess | None = None) -> Catalogue:
    """Return every scene that matches the project, in the order of ids; equal for equal catalogues.

    Args:
        project: whose catalogue, area and sensor.
        access: how to reach the source, if not as the project says.

    Raises:
        SettingsError: the catalogue does not exist, or is none.
        SourceUnavailableError: the catalogue did not answer.
    """
    access = access or source_access(project)
    item_filter = item_filter_of(project)
    found = find_items(project.catalog_url, item_filter, access)
    tally = ItemTally()
    read = list(read_found(found, project, item_filter, tally))
    usable_items = [one for one in read if isinstance(one, Scene)]
    rejected_items = [one for one in read if isinstance(one, RejectedScene)]
    scenes, superseded = without_duplicates(usable_items)
    # Before the files are looked up: a change in between is then noticed at the next poll.
    scene_versions = scene_versions_of(
        [*map(candidate_of, scenes), *map(rejected_candidate, rejected_items)]
    )
    fingerprinted = list(with_fingerprints(scenes, access))
    usable = tuple(scene for scene in fingerprinted if isinstance(scene, Scene))
    bad = [*rejected_items, *(scene for scene in fingerprinted if isinstance(scene, RejectedScene))]
    rejected, replaced = without_namesakes(bad, usable)
    for one in (*superseded, *replaced):
        tally.add(SUPERSEDED, one.id)
    for scene in usable:
        for doubt in scene.doubts:
            tally.add(doubt, scene.id)
    for name in doubtful_duplicates(usable):
        tally.add(MAYBE_DUPLICATE, name)
    return Catalogue(
        scenes=usable,
        rejected=rejected,
        superseded=(*superseded, *replaced),
        scene_versions=scene_versions,
        notes=tally.notes(),
        unread=tuple(one.href for one in rejected_items if one.unread),
    )


def read_found(
    found: Iterable[ItemOrRejection],
    project: Project,
    item_filter: ItemFilter,
    tally: ItemTally | None = None,
) -> Iterator[Scene | RejectedScene]:
    """Yield matching items as scenes without fingerprints, or as records of their rejection.

    Args:
        found: items as the source lists them.
        project: whose sensor and bands.
        item_filter: of the project.
        tally: counts the items that do not match.
    """
    read = partial(
        read_scene,
        profile=project.sensor,
        needs=project.bands,
        indices=[index.needs for index in project.indices_in_use],
        alternates=project.scenes.source.alternates,
    )
    for item in found:
        if isinstance(item, RejectedScene):
            yield item
            continue
        reason = item_filter.reason_against(item.document)
        if reason is None:
            yield _scene_or_record(item, read)
        elif tally is not None:
            tally.add(reason, item.document.get("id"))


def _scene_or_record(item: RawItem, read: Callable[[RawItem], Scene]) -> Scene | RejectedScene:
    """Return the scene of one item, or the record of why there is none."""
    try:
        return read(item)
    except SceneError as error:
        return rejected_item(item, error)


def lacking_bands(project: Project, scenes: Iterable[Scene]) -> Iterator[str]:
    """Yield a line on each index for which some scenes have no bands; they serve the others."""
    found = list(scenes)
    for index in project.indices_in_use:
        lacking = [scene for scene in found if not scene.serves(index.needs)]
        if lacking:
            missing = {band for scene in lacking for band in set(index.needs) - set(scene.bands)}
            named = ", ".join(sorted(missing))
            yield (
                f"scenes without the bands of {index.name} ({named}): {len(lacking)} of "
                f"{len(found)}; they serve the other indices"
            )
