"""A map as PNG: the index, the tiles, a colour bar and a scale bar."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spatial_assets.cli.mapping.map_data import STATUS_COLOURS, TICKS, VALUE_MEANINGS, MapData
from spatial_assets.geo.pixels.colour_ramp import RAMP_MAX, RAMP_MIN, UNKNOWN_COLOUR, colours_of

INK, FAINT, PAPER = (32, 36, 40), (108, 116, 124), (255, 255, 255)
SHEET_MARGIN, HEADER, FOOTER = 24, 66, 86
MIN_MAP_WIDTH = 720
"""Minimum width of a map in pixels; a smaller one is enlarged so that its legend fits."""

COLOURS, GREYS = 64, 32
"""Palette entries for the index and for the text; more only enlarge the file."""

BAR = (300, 14)


def map_png(map_data: MapData, *, subtitle: str) -> bytes:
    """Return the map as a PNG with a palette."""
    picture = Image.fromarray(colours_of(map_data.values))
    times = max(1, -(-MIN_MAP_WIDTH // picture.width))
    picture = picture.resize(
        (picture.width * times, picture.height * times), Image.Resampling.NEAREST
    )
    _draw_tiles(picture, map_data, times)
    width, height = picture.width + 2 * SHEET_MARGIN, picture.height + HEADER + FOOTER
    sheet = Image.new("RGB", (width, height), PAPER)
    sheet.paste(picture, (SHEET_MARGIN, HEADER))
    draw = ImageDraw.Draw(sheet)
    draw.text((SHEET_MARGIN, 16), map_data.title, fill=INK, font=font(23))
    draw.text((SHEET_MARGIN, 43), subtitle, fill=FAINT, font=font(13))
    top = HEADER + picture.height + 18
    _draw_bar(sheet, SHEET_MARGIN, top, meanings=VALUE_MEANINGS.get(map_data.index, {}))
    _draw_unknown(draw, SHEET_MARGIN + BAR[0] + 34, top)
    _draw_scale(
        draw, width - SHEET_MARGIN, top, metres_of_a_pixel=map_data.metres_of_a_cell / times
    )
    encoded = io.BytesIO()
    small = sheet.quantize(palette=palette(), dither=Image.Dither.NONE)
    small.save(encoded, format="PNG", optimize=True)
    return encoded.getvalue()


def _draw_tiles(picture: Image.Image, map_data: MapData, times: int) -> None:
    """Draw thin lines between tiles and coloured frames in those that need attention."""
    veil = Image.new("L", picture.size, 0)
    lines = ImageDraw.Draw(veil)
    for tile in map_data.tiles:
        for ring in tile.rings:
            lines.line([(x * times, y * times) for x, y in ring], fill=70, width=1)
    picture.paste(PAPER, mask=veil)
    draw = ImageDraw.Draw(picture)
    for tile in map_data.tiles:
        colour = STATUS_COLOURS.get(tile.summary.status)
        for ring in tile.rings if colour else ():
            draw.line([(x * times, y * times) for x, y in ring], fill=colour, width=5)


def _draw_bar(sheet: Image.Image, left: int, top: int, *, meanings: Mapping[float, str]) -> None:
    """Draw the colour bar with its values and meanings."""
    values = np.broadcast_to(np.linspace(RAMP_MIN, RAMP_MAX, BAR[0]), (BAR[1], BAR[0]))
    sheet.paste(Image.fromarray(colours_of(values)), (left, top))
    draw = ImageDraw.Draw(sheet)
    for value in TICKS:
        x = left + round((value - RAMP_MIN) / (RAMP_MAX - RAMP_MIN) * (BAR[0] - 1))
        draw.line([(x, top + BAR[1]), (x, top + BAR[1] + 4)], fill=FAINT)
        anchor = "lt" if value == RAMP_MIN else "mt"
        lines = ((f"{value:g}", INK), (meanings.get(value, ""), FAINT))
        for number, (text, colour) in enumerate(lines):
            at = (x, top + BAR[1] + 8 + 16 * number)
            draw.text(at, text, fill=colour, font=font(12), anchor=anchor)


def _draw_unknown(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    """Draw the legend of pixels without a value."""
    draw.rectangle(
        [left, top, left + 24, top + BAR[1]], fill=UNKNOWN_COLOUR, outline=(190, 194, 198)
    )
    draw.text(
        (left, top + BAR[1] + 8), "no clear observation", fill=INK, font=font(12), anchor="lt"
    )


def _draw_scale(
    draw: ImageDraw.ImageDraw, right: int, top: int, *, metres_of_a_pixel: float
) -> None:
    """Draw a scale bar of a round length, at most a sixth of the map."""
    metres = round_length(metres_of_a_pixel * right / 6)
    left = right - round(metres / metres_of_a_pixel)
    line = top + BAR[1]
    draw.line([(left, line - 6), (left, line), (right, line), (right, line - 6)], fill=INK, width=2)
    text = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"  # noqa: PLR2004
    draw.text(((left + right) // 2, line + 8), text, fill=INK, font=font(12), anchor="mt")


def palette() -> Image.Image:
    """Return the palette; it is fixed, so that the legend is exact on every map."""
    ramp = colours_of(np.linspace(RAMP_MIN, RAMP_MAX, COLOURS)).tolist()
    # Lines between tiles are half the colour of the index, half that of the paper.
    veiled = [[(each + 255) // 2 for each in colour] for colour in ramp[::4]]
    steps = np.linspace(0, 1, GREYS)[:, np.newaxis]
    greys = np.rint(steps * INK + (1 - steps) * PAPER).astype(int).tolist()
    colours = [*ramp, *veiled, *greys, UNKNOWN_COLOUR, FAINT, *STATUS_COLOURS.values()]
    image = Image.new("P", (1, 1))
    image.putpalette([channel for colour in colours for channel in colour])
    return image


def round_length(longest: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, ... that is at most `longest`."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest))


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's built-in font, so that a map looks the same on every machine."""
    return ImageFont.load_default(size)
