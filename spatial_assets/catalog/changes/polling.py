"""A look at a catalogue that remembers the last one.

A catalogue of documents is listed each time, and only what changed is read. An API is asked for
what changed, and once in a while for everything: it does not tell what it withdrew.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from typing import Literal

import shapely

from spatial_assets.catalog.access.source_access import SourceAccess, source_access
from spatial_assets.catalog.changes.snapshot import PolledDocument, Snapshot, snapshot_of
from spatial_assets.catalog.scene import Scene
from spatial_assets.catalog.sources.documents import (
    DocumentState,
    ItemOrRejection,
    ListedDocument,
    read_each,
)
from spatial_assets.catalog.sources.search import read_found
from spatial_assets.catalog.sources.sources import documents_of, is_api
from spatial_assets.catalog.stac.candidates import Candidate, candidate_of, refused_candidate
from spatial_assets.catalog.stac.item_filter import item_filter_of
from spatial_assets.catalog.stac.items import RawItem, moment_of
from spatial_assets.errors import SettingsError
from spatial_assets.project import Project

FULL_POLL_EVERY = dt.timedelta(days=1)
"""How long an item that an API withdrew, or that left the area, may go unnoticed."""

SEARCH_OVERLAP = dt.timedelta(hours=1)
"""An item may turn up in the index that much later than its `updated` says."""

SETTLING_TIME = dt.timedelta(seconds=2)
"""A file may change twice within a tick of its clock: until then it is read again."""

ChangeProperty = Literal["updated", "created"]
_TELLING: tuple[ChangeProperty, ...] = ("updated", "created")


def poll(
    project: Project,
    before: Snapshot | None,
    *,
    access: SourceAccess | None = None,
    now: dt.datetime,
) -> Snapshot:
    """What the project's catalogue holds now; its sightings are those of `find_scenes`.

    Args:
        project: whose catalogue, area and sensor.
        before: the last snapshot; of no use when the settings have changed since.
        access: how to reach the source, when not as the project says.
        now: UTC.

    Raises:
        SettingsError: the catalogue is not there, or is none.
        SourceUnavailableError: the catalogue did not answer; `before` stays true.
    """
    this = _Look(project, access or source_access(project), now)
    if before is not None and before.settings_hash != this.settings_hash:
        before = None
    if is_api(project.catalog_url):
        return this.search(before)
    return this.listing(before)


class _Look:
    """One look."""

    def __init__(self, project: Project, access: SourceAccess, now: dt.datetime) -> None:
        self._project, self._access, self._now = project, access, now
        self._item_filter = item_filter_of(project)
        self.settings_hash = hash_settings(project)

    def listing(self, before: Snapshot | None) -> Snapshot:
        """Of a catalogue whose documents can be listed."""
        known = {document.place: document for document in before.documents} if before else {}
        kept: list[PolledDocument] = []
        changed: list[tuple[ListedDocument, DocumentState | None]] = []
        for listed in documents_of(self._project.catalog_url, self._access):
            # The state first: what changes while it is read is then seen as a change next time.
            state, last = listed.state(), known.get(listed.place)
            if last is not None and state is not None and last.state == state.text:
                kept.append(last)
            else:
                changed.append((listed, state))
        read = read_each(listed for listed, _ in changed)
        documents = [
            PolledDocument(
                place=listed.place, state=self._settled(state), candidates=self._candidates(found)
            )
            for (listed, state), (_, found) in zip(changed, read, strict=True)
        ]
        in_order = sorted((*kept, *documents), key=lambda document: document.place)
        return self._snapshot(tuple(in_order), fully_polled_at=self._now)

    def search(self, before: Snapshot | None) -> Snapshot:
        """Of an API: what changed since, where it can be asked that; else everything."""
        changed = self._changed_items(before) if before is not None else None
        if before is None or changed is None:
            from spatial_assets.catalog.sources.stac_api import items_of_api

            found = items_of_api(self._project.catalog_url, self._item_filter, self._access)
            return self._snapshot(_in_order(map(self._item, found)), fully_polled_at=self._now)
        documents = _in_order((*before.documents, *map(self._item, changed)))
        return self._snapshot(documents, fully_polled_at=before.fully_polled_at)

    def _changed_items(self, before: Snapshot) -> list[RawItem] | None:
        """What an API has changed since the last look; None: it has to be asked for everything."""
        from spatial_assets.catalog.sources.stac_api import ChangedSince, changed_items

        told = _last_told(before.documents)
        if (
            told is None
            or not dt.timedelta() <= self._now - before.fully_polled_at < FULL_POLL_EVERY
        ):
            return None
        name, latest = told
        # The latest that the server told is by its own clock; ours is only for one from the future.
        since = ChangedSince(name, min(latest, before.polled_at) - SEARCH_OVERLAP)
        try:
            return changed_items(
                self._project.catalog_url, self._item_filter, self._access, since=since
            )
        except SettingsError:
            return None  # it knows the extension, but not this property: the full search decides

    def _item(self, item: RawItem) -> PolledDocument:
        """One item of an API."""
        identity = [item.document.get("collection"), item.document.get("id")]
        return PolledDocument(
            place=json.dumps(identity, default=str),
            state=_told(item),
            candidates=self._candidates((item,)),
        )

    def _candidates(self, found: Iterable[ItemOrRejection]) -> tuple[Candidate, ...]:
        """What is kept of items."""
        return tuple(
            candidate_of(one) if isinstance(one, Scene) else refused_candidate(one)
            for one in read_found(found, self._project, self._item_filter)
        )

    def _settled(self, state: DocumentState | None) -> str | None:
        """The state that tells a later change for sure."""
        if state is None or (state.written and self._now - state.written < SETTLING_TIME):
            return None
        return state.text

    def _snapshot(
        self, documents: tuple[PolledDocument, ...], *, fully_polled_at: dt.datetime
    ) -> Snapshot:
        """The snapshot of what is known now."""
        return snapshot_of(
            documents,
            settings_hash=self.settings_hash,
            polled_at=self._now,
            fully_polled_at=fully_polled_at,
        )


def hash_settings(project: Project) -> str:
    """Hash of every setting that decides which items are found, and how they are read."""
    sensor, scenes = project.sensor, project.scenes
    asked = [
        project.catalog_url,
        scenes.collections,
        scenes.datetime,
        scenes.max_cloud_cover,
        shapely.to_wkb(project.area_geometry, hex=True),
        scenes.source.endpoint,
        sorted(project.bands),
        [sensor.name, sensor.class_band, sensor.class_assets, sensor.radiometry.name],
        [sensor.scale, sensor.offset, sensor.nodata],
        {name: list(accepted) for name, accepted in sensor.bands.items()},
    ]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _in_order(documents: Iterable[PolledDocument]) -> tuple[PolledDocument, ...]:
    """The last document of each place, in the order of places."""
    last = {document.place: document for document in documents}
    return tuple(last[place] for place in sorted(last))


def _told(item: RawItem) -> str | None:
    """When an item was last changed, or else made, as its server tells it."""
    for name in _TELLING:
        moment = moment_of(item.document, name)
        if moment is not None:
            return f"{name} {moment.isoformat()}"
    return None


def _last_told(documents: tuple[PolledDocument, ...]) -> tuple[ChangeProperty, dt.datetime] | None:
    """The property that every item of an API tells, and its latest moment; None: there is none."""
    told = [(document.state or "").split(" ") for document in documents]
    for name in _TELLING:
        if told and all(known[0] == name for known in told):
            return name, max(dt.datetime.fromisoformat(moment) for _, moment in told)
    return None
