"""What one look at a catalogue found: its documents, and what is sighted by them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from spatial_assets.catalog.candidates import Candidate, chosen, sighting_of
from spatial_assets.catalog.sightings import Sighting


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document of a catalogue, or one item of an API, as it was read."""

    place: str
    """Absolute path, URL, or what tells an item of an API from the others."""

    state: str | None
    """While it is the same the document need not be read again; None: it cannot be told."""

    candidates: tuple[Candidate, ...]
    """Of the items in it that the project wants; often one, or none."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of one scene between two looks; one of both sightings may be None."""

    id: str
    before: Sighting | None
    """None: the scene is new."""

    after: Sighting | None
    """None: the scene was withdrawn."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the catalogue held when it was looked at."""

    question: str
    """Hash of all settings that decide what is found: an answer to another one is of no use."""

    looked: dt.datetime
    """When, UTC."""

    searched: dt.datetime
    """When everything was last asked for, whatever had changed; UTC."""

    documents: tuple[Document, ...]
    sightings: tuple[Sighting, ...]
    """As of `Catalogue`: the same catalogue gives the same sightings, however it was looked at."""

    def changes_since(self, before: Snapshot | None) -> tuple[Change, ...]:
        """New, changed and withdrawn scenes, in the order of ids; all are new after None."""
        old = {one.id: one for one in before.sightings} if before else {}
        new = {one.id: one for one in self.sightings}
        return tuple(
            Change(id=name, before=old.get(name), after=new.get(name))
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        )

    def to_bytes(self) -> bytes:
        """This snapshot as it is stored."""
        from spatial_assets.catalog.watching.encoding import encoded  # noqa: PLC0415 - pyarrow

        return encoded(self)

    @staticmethod
    def from_bytes(data: bytes | None) -> Snapshot | None:
        """The stored snapshot; None: there is none that this version can use."""
        from spatial_assets.catalog.watching.encoding import decoded  # noqa: PLC0415 - pyarrow

        return decoded(data) if data is not None else None


def snapshot_of(
    documents: tuple[Document, ...], *, question: str, looked: dt.datetime, searched: dt.datetime
) -> Snapshot:
    """The snapshot of documents; the local files that their items name are looked at now."""
    candidates = [one for document in documents for one in document.candidates]
    return Snapshot(
        question=question,
        looked=looked,
        searched=searched,
        documents=documents,
        sightings=tuple(map(sighting_of, chosen(candidates))),
    )
