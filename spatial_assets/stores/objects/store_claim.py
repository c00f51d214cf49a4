"""The project that a store belongs to: written at the first use, compared at every later one."""

from __future__ import annotations

from uuid import uuid4

from spatial_assets.errors import ForeignProjectError, StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.claims import Claim, Claimant
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.store import ObjectStore

CLAIM_SCHEMA = 1


def claim_store(store: ObjectStore, claimant: Claimant) -> Claim:
    """Claim the store for a project, or verify that it belongs to it; return the claim.

    Raises:
        ForeignProjectError: the store belongs to another project; nothing was written.
    """
    found = verify_store(store, claimant)
    if found is None:
        store.create(layout.PROJECT, _document(claimant, uuid4().hex))
        found = verify_store(store, claimant)  # ours, or that of the first writer
    elif found.project != claimant.claim.project:  # its folder was renamed
        store.put(layout.PROJECT, _document(claimant, found.store_id))
        found = verify_store(store, claimant)
    if found is None:
        raise StoreError(f"{store.uri(layout.PROJECT)} vanished while it was written; run again")
    return found


def verify_store(store: ObjectStore, claimant: Claimant) -> Claim | None:
    """Return the claim to the store; None if there is none. Nothing is written.

    Raises:
        ForeignProjectError: the store belongs to another project.
    """
    found = stored_claim(store)
    objection = found and claimant.objection(found, store.url)
    if found and objection:
        remedies = [
            "Give this project a folder or prefix of its own in [storage] url",
            claimant.same_project_remedy(found),
        ]
        raise ForeignProjectError(
            claimant.refusal(f"the store {store.url}", objection, remedies=remedies)
        )
    return found


def take_store(store: ObjectStore, claimant: Claimant) -> Claim:
    """Make the store belong to a project, whatever project it belonged to."""
    store.put(layout.PROJECT, _document(claimant, uuid4().hex))
    return claim_store(store, claimant)


def stored_claim(store: ObjectStore) -> Claim | None:
    """Read the claim to the store; None in a new store, or one made by an earlier version.

    Raises:
        StoreError: the object is damaged, or written by a newer version.
    """
    data = store.find(layout.PROJECT)
    if data is None:
        return None
    where = store.uri(layout.PROJECT)
    try:
        document = from_json(data)
    except ValueError as error:
        raise StoreError(
            f"{where} is damaged ({error}); delete it once you know which project the store "
            "belongs to: the next run of that project writes it again"
        ) from error
    if document.get("schema") != CLAIM_SCHEMA or "project" not in document:
        raise StoreError(
            f"{where} has schema {document.get('schema')!r}, this version reads {CLAIM_SCHEMA}; "
            "use the version of spatial_assets that wrote it, or a newer one"
        )
    return Claim(
        project=str(document["project"]),
        file=str(document.get("file", "")),
        name_is_set=document.get("name_is_set") is True,
        store=store.url,
        store_id=str(document.get("id", "")),
    )


def _document(claimant: Claimant, store_id: str) -> bytes:
    """Return the bytes of a claim."""
    claim = claimant.claim
    return to_json(
        {
            "schema": CLAIM_SCHEMA,
            "project": claim.project,
            "name_is_set": claim.name_is_set,
            "file": claim.file,
            "id": store_id,
        }
    )
