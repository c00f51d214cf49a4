"""Error of NDVI near clouds against the pixels kept: the reason of `[scenes] cloud_buffer`.

`python -m benchmarks.cloud_buffer SCENES` writes docs/cloud_buffer.md and its curve. SCENES holds a
folder a Sentinel-2 scene with B04.tif, B08.tif and SCL.tif, and several dates of each MGRS tile.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray

from spatial_assets.geo.clear_sky import ClearClasses, CloudBuffer
from spatial_assets.geo.warp.cloud_buffer import Disc
from spatial_assets.project.sections.scenes import DEFAULT_CLOUD_BUFFER
from spatial_assets.sensor_profiles.sentinel_2_l2a import PROFILE

DOCS: Final = Path(__file__).parents[1] / "docs"
CLOUD_MARGINS: Final = (0, 120, 240, 360, 480, 600)
SHADOW_MARGINS: Final = (0, 120, 240)
FAR: Final = 960
"""Metres from cloud and shadow from which a pixel of another date serves as the truth."""

LEAST_CLOUDY: Final = 0.3
"""Share of cloud and shadow from which a date is judged."""

LARGE_ERROR: Final = 0.1


@dataclass(frozen=True, eq=False)
class Date:
    """NDVI of one scene and its clouds, shape (row, column)."""

    ndvi: NDArray[np.float32]
    """NaN where the pixel is not clear."""

    cloud: NDArray[np.bool_]
    shadow: NDArray[np.bool_]
    pixel: float
    """Side of a pixel in metres."""

    def near(self, buffer: CloudBuffer) -> NDArray[np.bool_]:
        """True within the margins of `buffer`."""
        found = [
            Disc(metres, self.pixel, self.pixel).around(pixels)
            for metres, pixels in ((buffer.cloud, self.cloud), (buffer.shadow, self.shadow))
        ]
        return found[0] | found[1]

    @property
    def cloudiness(self) -> float:
        """Share of cloud and shadow."""
        return float((self.cloud | self.shadow).mean())


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Cost and gain of one pair of margins."""

    buffer: CloudBuffer
    kept: float
    """Share of the clear pixels that is kept."""

    bias: float
    rmse: float
    large: float
    """Share of the kept pixels that are off by more than `LARGE_ERROR`."""

    @property
    def noise(self) -> float:
        """Error that is left in a mean over the pixels kept, but for a constant: the criterion."""
        return self.rmse / math.sqrt(self.kept)


def read_dates(folder: Path) -> dict[str, list[Date]]:
    """Read the scenes of `folder` by MGRS tile, e.g. S2B_33TWL_20230813_0_L2A."""
    found: dict[str, list[Date]] = defaultdict(list)
    clear = PROFILE.clear
    assert isinstance(clear, ClearClasses)  # noqa: S101 - for mypy
    for scene in sorted(path.parent for path in folder.glob("*/SCL.tif")):
        bands = []
        for name in ("B04", "B08", "SCL"):
            with rasterio.open(scene / f"{name}.tif") as file:
                bands.append(file.read(1).astype(np.float32))
                pixel = float(file.transform.a)
        red, nir, classes = bands
        with np.errstate(invalid="ignore"):
            ndvi = (nir - red) / (nir + red)
        seen = (red > 0) & (nir > 0) & np.isin(classes, list(clear.keep))
        cloud, shadow = (
            np.isin(classes, list(members)) for members in (clear.clouds.cloud, clear.clouds.shadow)
        )
        tile = scene.name.split("_")[1]
        found[tile].append(Date(np.where(seen, ndvi, np.float32("nan")), cloud, shadow, pixel))
    return found


def measure(tiles: Sequence[Sequence[Date]]) -> list[Figures]:
    """Leave out one cloudy date after the other, and compare it with the others far from clouds."""
    pairs = [
        (date, truth)
        for dates in tiles
        for left_out, date in enumerate(dates)
        if date.cloudiness >= LEAST_CLOUDY
        for truth in [_truth([each for other, each in enumerate(dates) if other != left_out])]
    ]
    buffers = [CloudBuffer(*margins) for margins in product(CLOUD_MARGINS, SHADOW_MARGINS)]
    return [_figures(pairs, buffer) for buffer in buffers]


def _truth(others: Sequence[Date]) -> NDArray[np.float32]:
    """Median NDVI of dates where they are far from clouds; NaN where none is."""
    far = CloudBuffer(FAR, FAR)
    stack = np.stack([np.where(each.near(far), np.float32("nan"), each.ndvi) for each in others])
    seen = np.isfinite(stack).any(axis=0)
    truth = np.full(seen.shape, np.nan, dtype=np.float32)
    truth[seen] = np.nanmedian(stack[:, seen], axis=0)
    return truth


def _figures(pairs: Sequence[tuple[Date, NDArray[np.float32]]], buffer: CloudBuffer) -> Figures:
    compared, errors = 0, []
    for date, truth in pairs:
        error = date.ndvi - truth
        known = np.isfinite(error)
        compared += int(known.sum())
        errors.append(error[known & ~date.near(buffer)])
    error = np.concatenate(errors).astype(np.float64)
    return Figures(
        buffer=buffer,
        kept=error.size / compared,
        bias=float(error.mean()),
        rmse=float(np.sqrt((error**2).mean())),
        large=float((np.abs(error) > LARGE_ERROR).mean()),
    )


def best(figures: Sequence[Figures]) -> Figures:
    """Return the margins that leave the least noise."""
    return min(figures, key=lambda each: each.noise)


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table; the best margins in bold."""
    columns = [
        *("round clouds", "round shadows", "clear pixels kept"),
        *("bias", "RMSE", "off by > 0.1", "RMSE / √kept"),
    ]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for each in figures:
        mark = "**" if each is best(figures) else ""
        cells = [
            f"{each.buffer.cloud:g} m",
            f"{each.buffer.shadow:g} m",
            f"{each.kept:.0%}",
            f"{each.bias:+.3f}",
            f"{each.rmse:.3f}",
            f"{each.large:.0%}",
            f"{each.noise:.3f}",
        ]
        lines.append("| " + " | ".join(f"{mark}{cell}{mark}" for cell in cells) + " |")
    return "\n".join(lines)


def draw(figures: Sequence[Figures], path: Path) -> None:
    """Draw error against share kept: one curve for each margin round shadows."""
    import matplotlib as mpl  # noqa: PLC0415 - only `make bench` installs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    style = {"svg.hashsalt": "spatial_assets", "svg.fonttype": "none", "font.size": 10}
    with mpl.rc_context(style):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for shadow, colour in zip(SHADOW_MARGINS, ("#1b7f5c", "#d9a441", "#9aa5b1"), strict=True):
            curve = [each for each in figures if each.buffer.shadow == shadow]
            kept, rmse = [100 * each.kept for each in curve], [each.rmse for each in curve]
            axes.plot(kept, rmse, "o-", color=colour, label=f"{shadow} m round shadows")
            for each, x, y in zip(curve, kept, rmse, strict=True):
                if shadow == 0:
                    axes.annotate(
                        f"{each.buffer.cloud:g} m", (x, y), (4, -15),
                        textcoords="offset points",
                    )  # fmt: skip
        chosen = best(figures)
        axes.plot(
            100 * chosen.kept, chosen.rmse, "o", ms=14, mfc="none", mec="black",
            label="least RMSE / √kept: the default",
        )  # fmt: skip
        axes.set(xlabel="clear pixels kept, %", ylabel="RMSE of NDVI", xlim=(20, 106))
        axes.set(ylim=(0, 0.18), title="Labels: margin round clouds")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", frameon=False)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def page(figures: Sequence[Figures], scenes: int) -> str:
    """Return the text of docs/cloud_buffer.md."""
    template = (Path(__file__).parent / "cloud_buffer.in.md").read_text(encoding="utf-8")
    return template.format(
        table=table(figures),
        scenes=scenes,
        cloud=DEFAULT_CLOUD_BUFFER.cloud,
        shadow=DEFAULT_CLOUD_BUFFER.shadow,
        far=FAR,
        cloudy=f"{LEAST_CLOUDY:.0%}",
    )


def main() -> None:
    """Measure, and write the page and the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path, help="folder of Sentinel-2 scenes")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder to write to")
    arguments = parser.parse_args()
    tiles = read_dates(arguments.scenes)
    figures = measure(list(tiles.values()))
    draw(figures, arguments.docs / "cloud_buffer.svg")
    text = page(figures, sum(map(len, tiles.values())))
    (arguments.docs / "cloud_buffer.md").write_text(text, encoding="utf-8")
    print(table(figures))


if __name__ == "__main__":
    main()
