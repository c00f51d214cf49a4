"""A map as one HTML file that needs no network: the index, and over it tiles that can be asked."""

from __future__ import annotations

import base64
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
PATH_DECIMALS = 2  # of a cell: finer than any screen
RAMP_STEPS = 24


def map_page(subject: MapData, *, subtitle: str) -> str:
    """The map as HTML."""
    page = TEMPLATE.read_text(encoding="utf-8")
    text = json.dumps(document(subject), separators=(",", ":"))
    # Within <script> only a "<" could end it early; JSON may write it as an escape.
    filled = page.replace("{{DATA}}", text.replace("<", "\\u003c"))
    filled = filled.replace("{{UNKNOWN_COLOUR}}", css(UNKNOWN_COLOUR))
    filled = filled.replace("{{TITLE}}", html.escape(subject.title))
    return filled.replace("{{SUBTITLE}}", html.escape(subtitle))


def document(subject: MapData) -> dict[str, object]:
    """What the page draws."""
    height, width = subject.values.shape
    counts = Counter(tile.standing.standing for tile in subject.tiles)
    ramp = colours_of(np.linspace(RAMP_MIN, RAMP_MAX, RAMP_STEPS)).tolist()
    return {
        "width": width,
        "height": height,
        "image": f"data:image/png;base64,{base64.b64encode(index_png(subject)).decode()}",
        "tiles": [
            {
                "tile": tile.standing.tile,
                "state": str(tile.standing.standing),
                "path": svg_path(tile),
                "told": tile_details(tile.standing),
            }
            for tile in subject.tiles
        ],
        "states": {
            str(standing): {"colour": css(STATUS_COLOURS.get(standing)), "count": counts[standing]}
            for standing in TileStatus
            if counts[standing]
        },
        "ramp": [css(tuple(colour)) for colour in ramp],
        "ticks": {f"{value:g}": (value - RAMP_MIN) / (RAMP_MAX - RAMP_MIN) for value in TICKS},
    }


def index_png(subject: MapData) -> bytes:
    """The index as a PNG; clear where nothing is known."""
    known = np.where(np.isfinite(subject.values), 255, 0).astype(np.uint8)
    coloured = np.dstack([colours_of(subject.values), known])
    encoded = io.BytesIO()
    Image.fromarray(coloured).quantize(255).save(encoded, format="PNG", optimize=True)
    return encoded.getvalue()


def svg_path(tile: TileOnMap) -> str:
    """The outlines of a tile as an SVG path."""
    rings = (np.round(ring[:-1], PATH_DECIMALS).tolist() for ring in tile.rings)
    return "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in ring) + "Z" for ring in rings)


def tile_details(tile: TileSummary) -> dict[str, str]:
    """What is said of a tile, in the order in which it is read."""
    facts = {
        "key": tile.tile,
        "state": str(tile.standing),
        "at": tile.stage,
        "reason": tile.reason,
        "why": mask_secrets(tile.message),
        "with a value": "" if tile.valid_fraction is None else f"{tile.valid_fraction:.1%}",
        "made": f"{tile.refreshed_at:%Y-%m-%d %H:%M} UTC" if tile.refreshed_at else "",
    }
    return {name: value for name, value in facts.items() if value}


def css(colour: tuple[int, ...] | None) -> str:
    """A colour as a style sheet writes it; empty for none."""
    return "" if colour is None else "#" + "".join(f"{channel:02x}" for channel in colour)
