"""[grid]: the pixel grid, its chunks, shards and partitions, and its identity."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import Field, model_validator

from spatial_assets.geo.mercator_tiles import TILE_PIXELS, PartitionScheme
from spatial_assets.project.base import Table, refusal

GRID_ID_DIGITS = 12
_UNKNOWN_LEVEL = -1


def _level_of_one_shard(values: dict[str, Any]) -> int:
    """Return the zoom whose tile is exactly one shard, if there is one."""
    pixel_zoom, shard = int(values["pixel_zoom"]), int(values["shard"])
    tiles, remainder = divmod(shard, TILE_PIXELS)
    is_power = tiles > 0 and remainder == 0 and tiles & (tiles - 1) == 0
    if values["partitions"] != "tiles" or not is_power:
        return _UNKNOWN_LEVEL
    return max(pixel_zoom - (tiles.bit_length() - 1), 0)


class GridSettings(Table):
    """One zoom of a tile matrix set, divided into chunks and shards, and into partitions."""

    tile_matrix_set: str = Field(
        default="WebMercatorQuad",
        description="a TileMatrixSet that morecantile knows",
        examples=["WebMercatorQuad"],
    )
    pixel_zoom: int = Field(
        default=14,  # 9.55 m at the equator: the closest to Sentinel-2's 10 m
        ge=0,
        le=30,
        description="the zoom whose 256-pixel tiles set the size of a pixel",
        examples=[14],
    )
    chunk: int = Field(default=512, ge=1, description="pixels along a chunk's edge", examples=[512])
    shard: int = Field(
        default=2048,
        ge=1,
        description="pixels along a shard's edge, a whole number of chunks",
        examples=[2048],
    )
    partitions: PartitionScheme = Field(
        default="tiles", description="the scheme of the partitions", examples=["tiles"]
    )
    level: int = Field(
        default_factory=_level_of_one_shard,
        le=30,
        description="the tile zoom, H3 resolution or S2 level of a partition",
        examples=[8],
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse settings that are wrong for every matrix set."""
        if self.shard % self.chunk:
            chunks = self.shard / self.chunk
            wrong = f"a shard of {self.shard} pixels is {chunks:g} chunks of {self.chunk}"
            below = max(self.shard // self.chunk, 1) * self.chunk
            remedy = f"make it a whole number of chunks, for example {below}"
            raise refusal(wrong, remedy, key="shard")
        if self.level < 0:
            is_given = "level" in self.model_fields_set
            wrong = "cannot be negative" if is_given else "has no default here and is missing"
            remedy = "give the tile zoom, H3 resolution or S2 level of a partition"
            raise refusal(wrong, remedy, key="level")
        return self

    @property
    def identity(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the canonical JSON of all settings here."""
        canonical = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:GRID_ID_DIGITS]
