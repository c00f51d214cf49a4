"""Polls of a catalogue that use the snapshot of the last poll.

A catalogue of documents is listed at each poll, and only changed documents are read. An API is
searched for changed items, and once in a while for all: it does not report withdrawn items.
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
from spatial_assets.catalog.stac.candidates import Candidate, candidate_of, rejected_candidate
from spatial_assets.catalog.stac.item_filter import item_filter_of
from spatial_assets.catalog.stac.items import RawItem, moment_of
from spatial_assets.errors import SettingsError
from spatial_assets.geo.sensor_profile import BandName
from spatial_assets.project import Project

FULL_POLL_EVERY = dt.timedelta(days=1)
"""Longest time for which an item that an API withdrew, or that left the area, goes unnoticed."""

SEARCH_OVERLAP = dt.timedelta(hours=1)
"""Longest delay after its `updated` time with which an item may appear in the index of an API."""

SETTLING_TIME = dt.timedelta(seconds=2)
"""Age below which a file is read again: it may change twice within a tick of its clock."""

ChangeProperty = Literal["updated", "created"]
_CHANGE_PROPERTIES: tuple[ChangeProperty, ...] = ("updated", "created")


def poll(
    project: Project,
    before: Snapshot | None,
    *,
    access: SourceAccess | None = None,
    now: dt.datetime,
) -> Snapshot:
    """Return the current content of the catalogue, with the versions that `find_scenes` gives.

    Args:
        project: whose catalogue, area and sensor.
        before: the last snapshot; ignored if the settings have changed since.
        access: how to reach the source, if not as the project says.
        now: UTC.

    Raises:
        SettingsError: the catalogue does not exist, or is none.
        SourceUnavailableError: the catalogue did not answer; `before` stays valid.
    """
    this = _Poll(project, access or source_access(project), now)
    if before is not None and before.settings_hash != this.settings_hash:
        before = None
    if is_api(project.catalog_url):
        return this.of_api(before)
    return this.of_documents(before)


class _Poll:
    def __init__(self, project: Project, access: SourceAccess, now: dt.datetime) -> None:
        self._project, self._access, self._now = project, access, now
        self._item_filter = item_filter_of(project)
        self.settings_hash = hash_settings(project)

    def of_documents(self, before: Snapshot | None) -> Snapshot:
        """Poll a catalogue whose documents can be listed."""
        known = {document.place: document for document in before.documents} if before else {}
        kept: list[PolledDocument] = []
        changed: list[tuple[ListedDocument, DocumentState | None]] = []
        for listed in documents_of(self._project.catalog_url, self._access):
            # The state first: a change during the reading is then noticed at the next poll.
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

    def of_api(self, before: Snapshot | None) -> Snapshot:
        """Poll an API: for changed items if it can be searched for them, else for all items."""
        changed = self._changed_items(before) if before is not None else None
        if before is None or changed is None:
            from spatial_assets.catalog.sources.stac_api import items_of_api

            found = items_of_api(self._project.catalog_url, self._item_filter, self._access)
            return self._snapshot(_in_order(map(self._item, found)), fully_polled_at=self._now)
        documents = _in_order((*before.documents, *map(self._item, changed)))
        return self._snapshot(documents, fully_polled_at=before.fully_polled_at)

    def _changed_items(self, before: Snapshot) -> list[RawItem] | None:
        """Search an API for changes since the last poll; None: all items must be requested."""
        from spatial_assets.catalog.sources.stac_api import ChangedSince, changed_items

        known = _latest_change(before.documents)
        if (
            known is None
            or not dt.timedelta() <= self._now - before.fully_polled_at < FULL_POLL_EVERY
        ):
            return None
        name, latest = known
        # `latest` is by the server's own clock; ours only bounds a time in the future.
        since = ChangedSince(name, min(latest, before.polled_at) - SEARCH_OVERLAP)
        try:
            return changed_items(
                self._project.catalog_url, self._item_filter, self._access, since=since
            )
        except SettingsError:
            return None  # it supports the extension, but not this property: the full search decides

    def _item(self, item: RawItem) -> PolledDocument:
        """Return one item of an API as a document."""
        identity = [item.document.get("collection"), item.document.get("id")]
        return PolledDocument(
            place=json.dumps(identity, default=str),
            state=_last_changed(item),
            candidates=self._candidates((item,)),
        )

    def _candidates(self, found: Iterable[ItemOrRejection]) -> tuple[Candidate, ...]:
        """Return the candidates of items."""
        return tuple(
            candidate_of(one) if isinstance(one, Scene) else rejected_candidate(one)
            for one in read_found(found, self._project, self._item_filter)
        )

    def _settled(self, state: DocumentState | None) -> str | None:
        """Return the state if any later change is certain to alter it, else None."""
        if state is None or (state.written and self._now - state.written < SETTLING_TIME):
            return None
        return state.text

    def _snapshot(
        self, documents: tuple[PolledDocument, ...], *, fully_polled_at: dt.datetime
    ) -> Snapshot:
        """Return the snapshot of what is known now."""
        return snapshot_of(
            documents,
            settings_hash=self.settings_hash,
            polled_at=self._now,
            fully_polled_at=fully_polled_at,
        )


def hash_settings(project: Project) -> str:
    """Hash every setting that decides which items are found, and how they are read."""
    sensor, scenes = project.sensor, project.scenes
    deciding: list[object] = [
        project.catalog_url,
        scenes.collections,
        scenes.datetime,
        scenes.max_cloud_cover,
        shapely.to_wkb(project.area_geometry, hex=True),
        [scenes.source.endpoint, scenes.source.alternates],
        sorted(project.bands),
        sorted(project.indices.names),
        [
            *(sensor.name, sensor.class_band, _hashed_names(sensor.class_assets)),
            sensor.radiometry.name,
        ],
        [sensor.scale, sensor.offset, sensor.nodata],
        {name: _hashed_names(accepted) for name, accepted in sensor.bands.items()},
    ]
    if any(sensor.platforms.values()):
        deciding.append([[name, dict(names)] for name, names in sensor.platforms.items()])
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def _hashed_names(accepted: Iterable[BandName]) -> list[object]:
    """Return names of a band as JSON values."""
    return [one if isinstance(one, str) else [one.asset, one.band] for one in accepted]


def _in_order(documents: Iterable[PolledDocument]) -> tuple[PolledDocument, ...]:
    """Return the last document of each place, sorted by place."""
    last = {document.place: document for document in documents}
    return tuple(last[place] for place in sorted(last))


def _last_changed(item: RawItem) -> str | None:
    """Return the time at which an item was last changed, else created, as its server states."""
    for name in _CHANGE_PROPERTIES:
        moment = moment_of(item.document, name)
        if moment is not None:
            return f"{name} {moment.isoformat()}"
    return None


def _latest_change(
    documents: tuple[PolledDocument, ...],
) -> tuple[ChangeProperty, dt.datetime] | None:
    """Return the property that every item of an API has, and its latest time; else None."""
    states = [(document.state or "").split(" ") for document in documents]
    for name in _CHANGE_PROPERTIES:
        if states and all(state[0] == name for state in states):
            return name, max(dt.datetime.fromisoformat(moment) for _, moment in states)
    return None
