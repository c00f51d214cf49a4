"""A webserver that answers like Dagster's, as far as launching goes."""

from __future__ import annotations

import json
from typing import Any

from spatial_assets_tests.fixtures.web_server import Request


class FakeWebserver:
    """Answers like Dagster's webserver, for a project with these tiles and assets."""

    def __init__(self, tiles: tuple[str, ...], assets: tuple[str, ...]) -> None:
        self.tiles = tiles
        self.assets = assets
        self.prefix: tuple[str, ...] = ()
        self.project = ""
        """Name of the project that the tags of the assets give; empty: they have none."""

        self.launched: list[dict[str, Any]] = []
        self.refusal = ""
        self.seen: list[dict[str, Any]] = []
        """Responses to the next polls of a backfill; the last is repeated."""

    def __call__(self, request: Request) -> tuple[int, bytes]:
        asked = json.loads(request.body)
        return 200, json.dumps({"data": self.answer(asked["query"], asked["variables"])}).encode()

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        if "assetNodes(" in query:
            keys = {(*self.prefix, name) for name in self.assets}
            served = [each for each in given["assets"] if tuple(each["path"]) in keys]
            named = {"key": "spatial_assets/project", "value": self.project}
            tags = [named] if self.project else []
            return {"assetNodes": [{"assetKey": each, "tags": tags} for each in served]}
        if "assetNodeOrError" in query:
            return {"assetNodeOrError": {"partitionKeys": self.tiles}}
        if "launchPartitionBackfill" in query:
            self.launched.append(given)
            answer = {"__typename": "LaunchBackfillSuccess", "backfillId": f"b{len(self.launched)}"}
            refused = {"__typename": "UnauthorizedError", "message": self.refusal}
            return {"launchPartitionBackfill": refused if self.refusal else answer}
        found = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        return {"partitionBackfillOrError": found}


def backfill_status(
    status: str, made: int = 0, failed: int = 0, *, error: str = ""
) -> dict[str, Any]:
    counts = {
        "assetKey": {"path": ["tile_index"]},
        "numPartitionsMaterialized": made,
        "numPartitionsFailed": failed,
    }
    others = {**counts, "assetKey": {"path": ["raw_tile"]}, "numPartitionsMaterialized": 99}
    return {
        "status": status,
        "error": {"message": error} if error else None,
        "assetBackfillData": {"assetBackfillStatuses": [{}, others, counts]},
    }
