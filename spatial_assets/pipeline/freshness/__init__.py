"""Changes of the inputs of tiles, and the tiles that are due because of them.

The walk of one changed scene:

1. A sensor calls `ChangeDetector.record_scene_changes`, which polls the catalogue and compares
   the new snapshot with the stored one (change_detection).
2. A change is a scene that is new, changed or withdrawn; the tiles under its footprint are
   candidates.
3. `SceneIndex` finds the scenes over each candidate and hashes their versions (stage_inputs).
4. The table `tile_inputs` has the `StageInputs` that the tile was made from; a tile whose hash of
   scenes differs is outdated (outdated).
5. For each outdated tile one row of `tile_wanted` records the new hash and the reason.
6. `tiles_due` in due.py takes these rows, the age of tiles and earlier requests, and picks the
   tiles to request now.
7. The run walks them, and its commit writes their new `StageInputs`; the row of `tile_wanted` then
   matches them, and the tile is due no longer.

Changed boundaries take the same path for the statistics stages. Tiles that are overdue, failed or
in quarantine in spite of this are the backlog (backlog).
"""
