"""A map as one self-contained HTML file: the index, with tiles that show their status."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from spatial_assets.cli.mapping.map_data import STATUS_COLOURS, TICKS, MapData, TileOnMap
from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.geo.pixels.colour_ramp import RAMP_MAX, RAMP_MIN, UNKNOWN_COLOUR, colours_of
from spatial_assets.project.secrets import mask_secrets

TEMPLATE = Path(__file__).with_name("page.html")
PATH_DECIMALS = 2  # of a cell; finer than any screen
RAMP_STEPS = 24
RECTANGLE_CORNERS = 4
MAX_PLAIN_TEXT = 2_000_000
"""Characters of the data from which they are compressed: browsers of 2023 and later unpack them."""


def map_page(map_data: MapData, *, subtitle: str) -> str:
    """Return the map as HTML."""
    page = TEMPLATE.read_text(encoding="utf-8")
    text = json.dumps(document(map_data), separators=(",", ":"))
    if len(text) > MAX_PLAIN_TEXT:
        text = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    # Only a "<" could end the <script> early; JSON allows an escape for it.
    filled = page.replace("{{DATA}}", text.replace("<", "\\u003c"))
    filled = filled.replace("{{UNKNOWN_COLOUR}}", css(UNKNOWN_COLOUR))
    filled = filled.replace("{{TITLE}}", html.escape(map_data.title))
    return filled.replace("{{SUBTITLE}}", html.escape(subtitle))


def document(map_data: MapData) -> dict[str, object]:
    """Return the data that the page draws."""
    height, width = map_data.values.shape
    counts = Counter(tile.summary.status for tile in map_data.tiles)
    ramp = colours_of(np.linspace(RAMP_MIN, RAMP_MAX, RAMP_STEPS)).tolist()
    return {
        "width": width,
        "height": height,
        "image": f"data:image/png;base64,{base64.b64encode(index_png(map_data)).decode()}",
        "tiles": [
            {
                "tile": tile.summary.tile,
                "state": str(tile.summary.status),
                "path": svg_path(tile),
                "details": tile_details(tile.summary),
            }
            for tile in map_data.tiles
        ],
        "states": {
            str(status): {"colour": css(STATUS_COLOURS.get(status)), "count": counts[status]}
            for status in TileStatus
            if counts[status]
        },
        "ramp": [css(tuple(colour)) for colour in ramp],
        "ticks": {f"{value:g}": (value - RAMP_MIN) / (RAMP_MAX - RAMP_MIN) for value in TICKS},
    }


def index_png(map_data: MapData) -> bytes:
    """Encode the index as PNG, transparent where it is unknown."""
    known = np.where(np.isfinite(map_data.values), 255, 0).astype(np.uint8)
    coloured = np.dstack([colours_of(map_data.values), known])
    encoded = io.BytesIO()
    Image.fromarray(coloured).quantize(255).save(encoded, format="PNG", optimize=True)
    return encoded.getvalue()


def svg_path(tile: TileOnMap) -> str:
    """Return the outlines of a tile as an SVG path."""
    rounded = [np.round(ring[:-1], PATH_DECIMALS) for ring in tile.rings]
    if len(rounded) == 1 and len(rounded[0]) == RECTANGLE_CORNERS:
        (left, top) = rounded[0].min(axis=0)
        width, height = np.round(np.ptp(tile.rings[0], axis=0), PATH_DECIMALS)
        return f"M{left:g} {top:g}h{width:g}v{height:g}h{-width:g}z"
    rings = (ring.tolist() for ring in rounded)
    return "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in ring) + "Z" for ring in rings)


def tile_details(tile: TileSummary) -> dict[str, str]:
    """Return the details of a tile that the page shows after its key and state, in order."""
    facts = {
        "stage": tile.stage,
        "reason": tile.reason,
        "message": mask_secrets(tile.message),
        "valid pixels": "" if tile.valid_fraction is None else f"{tile.valid_fraction:.1%}",
        "inputs checked": f"{tile.refreshed_at:%Y-%m-%d %H:%M} UTC" if tile.refreshed_at else "",
    }
    return {name: value for name, value in facts.items() if value}


def css(colour: tuple[int, ...] | None) -> str:
    """Format a colour for CSS; empty for none."""
    return "" if colour is None else "#" + "".join(f"{channel:02x}" for channel in colour)
