from __future__ import annotations

import pytest

from spatial_assets.errors import GridError, StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.objects.grid_identity import claim_grid, stored_grid
from spatial_assets.stores.objects.store import ObjectStore

GRID = {"pixel_zoom": 10, "level": 8}


def test_the_first_use_makes_the_store_this_grids(store: ObjectStore) -> None:
    claim_grid(store, "abc", grid=GRID)
    claim_grid(store, "abc", grid=GRID)

    assert stored_grid(store) == {"schema": 1, "grid_id": "abc", "grid": GRID}


def test_another_grids_store_is_refused_with_what_differs_and_the_remedy(
    store: ObjectStore,
) -> None:
    claim_grid(store, "abc", grid=GRID)

    with pytest.raises(GridError, match=r"level: 8 in the store, 9 in the project.*new prefix"):
        claim_grid(store, "def", grid={**GRID, "level": 9})


def test_a_damaged_identity_is_an_error_and_not_a_new_store(store: ObjectStore) -> None:
    store.put(layout.GRID, b"{")

    with pytest.raises(StoreError, match=r"grid\.json is damaged"):
        claim_grid(store, "abc", grid=GRID)


def test_an_identity_of_a_newer_version_is_refused(store: ObjectStore) -> None:
    store.put(layout.GRID, b'{"schema": 2, "grid_id": "abc"}')

    with pytest.raises(StoreError, match="newer"):
        claim_grid(store, "abc", grid=GRID)
