"""What was asked for at earlier ticks: the cursor of `TileDue`, as Dagster keeps it.

Only what came to nothing so far, so that it stays as small as the work under way.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spatial_assets.pipeline.due import Asked, TileFacts


def recall(cursor: str | None, tiles: Sequence[str]) -> Mapping[str, Asked[int]]:
    """What `remember` wrote of these tiles; nothing of a tile that the area has no more."""
    kept: dict[str, Sequence[Any]] = json.loads(cursor) if cursor else {}
    found: dict[str, Asked[int]] = {}
    for tile in tiles if kept else ():
        if tile in kept:
            at, after, *wanted = kept[tile]
            moment = dt.datetime.fromtimestamp(at, dt.UTC)
            found[tile] = Asked(at=moment, after=after, wanted="".join(wanted))
    return found


def remember(facts: TileFacts[int], chosen: Collection[str], *, moment: dt.datetime) -> str:
    """Tile -> [seconds since 1970, its newest event by then, the change it was to follow].

    Args:
        facts: what was known, with what had been asked for before.
        chosen: what is asked for now.
        moment: the present.
    """
    asked = {tile: facts.asked_in_vain(tile) for tile in facts.asked}
    kept = {
        tile: (each.at.timestamp(), each.after, each.wanted) for tile, each in asked.items() if each
    }
    kept |= {
        tile: (moment.timestamp(), facts.refreshed_at.get(tile), facts.changed.get(tile, ""))
        for tile in chosen
    }
    return json.dumps(kept)
