"""A map as a PNG: the index, the tiles, a colour bar and a scale."""

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
"""Pixels of a map's width: a smaller one is drawn larger, so that there is room for its legend."""

COLOURS, GREYS = 64, 32
"""Of the palette, for the index and for the lettering: more only make the file larger."""

BAR = (300, 14)


def map_png(subject: MapData, *, subtitle: str) -> bytes:
    """The map as a PNG with a palette."""
    picture = Image.fromarray(colours_of(subject.values))
    times = max(1, -(-MIN_MAP_WIDTH // picture.width))
    picture = picture.resize(
        (picture.width * times, picture.height * times), Image.Resampling.NEAREST
    )
    _draw_tiles(picture, subject, times)
    width, height = picture.width + 2 * SHEET_MARGIN, picture.height + HEADER + FOOTER
    sheet = Image.new("RGB", (width, height), PAPER)
    sheet.paste(picture, (SHEET_MARGIN, HEADER))
    draw = ImageDraw.Draw(sheet)
    draw.text((SHEET_MARGIN, 16), subject.title, fill=INK, font=font(23))
    draw.text((SHEET_MARGIN, 43), subtitle, fill=FAINT, font=font(13))
    top = HEADER + picture.height + 18
    _draw_bar(sheet, SHEET_MARGIN, top, meanings=VALUE_MEANINGS.get(subject.index, {}))
    _draw_unknown(draw, SHEET_MARGIN + BAR[0] + 34, top)
    _draw_scale(draw, width - SHEET_MARGIN, top, metres_of_a_pixel=subject.metres_of_a_cell / times)
    encoded = io.BytesIO()
    small = sheet.quantize(palette=palette(), dither=Image.Dither.NONE)
    small.save(encoded, format="PNG", optimize=True)
    return encoded.getvalue()


def _draw_tiles(picture: Image.Image, subject: MapData, times: int) -> None:
    """Thin lines between tiles; a frame of colour within those that need attention."""
    veil = Image.new("L", picture.size, 0)
    lines = ImageDraw.Draw(veil)
    for tile in subject.tiles:
        for ring in tile.rings:
            lines.line([(x * times, y * times) for x, y in ring], fill=70, width=1)
    picture.paste(PAPER, mask=veil)
    draw = ImageDraw.Draw(picture)
    for tile in subject.tiles:
        colour = STATUS_COLOURS.get(tile.standing.standing)
        for ring in tile.rings if colour else ():
            draw.line([(x * times, y * times) for x, y in ring], fill=colour, width=5)


def _draw_bar(sheet: Image.Image, left: int, top: int, *, meanings: Mapping[float, str]) -> None:
    """The colours from lowest to highest, with what they mean."""
    values = np.broadcast_to(np.linspace(RAMP_MIN, RAMP_MAX, BAR[0]), (BAR[1], BAR[0]))
    sheet.paste(Image.fromarray(colours_of(values)), (left, top))
    draw = ImageDraw.Draw(sheet)
    for value in TICKS:
        x = left + round((value - RAMP_MIN) / (RAMP_MAX - RAMP_MIN) * (BAR[0] - 1))
        draw.line([(x, top + BAR[1]), (x, top + BAR[1] + 4)], fill=FAINT)
        anchor = "lt" if value == RAMP_MIN else "mt"
        lines = ((f"{value:g}", INK), (meanings.get(value, ""), FAINT))
        for number, (told, colour) in enumerate(lines):
            at = (x, top + BAR[1] + 8 + 16 * number)
            draw.text(at, told, fill=colour, font=font(12), anchor=anchor)


def _draw_unknown(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    """What the colour of no value means."""
    draw.rectangle(
        [left, top, left + 24, top + BAR[1]], fill=UNKNOWN_COLOUR, outline=(190, 194, 198)
    )
    draw.text((left, top + BAR[1] + 8), "no clear look", fill=INK, font=font(12), anchor="lt")


def _draw_scale(
    draw: ImageDraw.ImageDraw, right: int, top: int, *, metres_of_a_pixel: float
) -> None:
    """A bar of a round length, as long as fits a sixth of the map."""
    metres = round_length(metres_of_a_pixel * right / 6)
    left = right - round(metres / metres_of_a_pixel)
    line = top + BAR[1]
    draw.line([(left, line - 6), (left, line), (right, line), (right, line - 6)], fill=INK, width=2)
    told = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"  # noqa: PLR2004
    draw.text(((left + right) // 2, line + 8), told, fill=INK, font=font(12), anchor="mt")


def palette() -> Image.Image:
    """The colours that a map may have; fixed, so that its legend is exact on every map."""
    ramp = colours_of(np.linspace(RAMP_MIN, RAMP_MAX, COLOURS)).tolist()
    # Lines between tiles are a veil over the index: half of each colour, half of paper.
    veiled = [[(each + 255) // 2 for each in colour] for colour in ramp[::4]]
    steps = np.linspace(0, 1, GREYS)[:, np.newaxis]
    greys = np.rint(steps * INK + (1 - steps) * PAPER).astype(int).tolist()
    colours = [*ramp, *veiled, *greys, UNKNOWN_COLOUR, FAINT, *STATUS_COLOURS.values()]
    image = Image.new("P", (1, 1))
    image.putpalette([channel for colour in colours for channel in colour])
    return image


def round_length(longest: float) -> float:
    """The longest of 1, 2, 5, 10, 20, ... that is not over `longest`."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest))


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, so that a map looks the same on every machine."""
    return ImageFont.load_default(size)
