"""The demo's inputs: a synthetic landscape, satellite scenes of it, and its districts.

Content only; `spatial-assets demo` runs the product on it.
"""

from __future__ import annotations

from pathlib import Path

from spatial_assets.demo.districts import write_districts
from spatial_assets.demo.scenes import write_scenes


def make_demo_inputs(folder: Path) -> None:
    """Write the demo's scenes and boundaries below a project folder, with reproducible bytes.

    Writes `scenes/<item id>/{B04.tif,B08.tif,SCL.tif,<item id>.json}` and
    `boundaries/regions.gpkg`: about 30 MB in a few seconds.
    """
    write_scenes(folder / "scenes")
    write_districts(folder / "boundaries" / "regions.gpkg")


__all__ = ["make_demo_inputs"]
