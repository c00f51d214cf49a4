"""The demo: a made-up landscape, the scenes a satellite took of it, and its districts.

Content only. Nothing here runs the product; `spatial-assets demo` does.
"""

from __future__ import annotations

from pathlib import Path


def make_demo_inputs(folder: Path) -> None:
    """Write the demo's scenes and boundaries below a project folder; the same bytes every time.

    Makes `scenes/<item id>/{B04.tif,B08.tif,SCL.tif,<item id>.json}` and
    `boundaries/regions.gpkg`: about 30 MB in some seconds.
    """
    # The demo's own imports wait until someone wants it: the package is imported by every command.
    from spatial_assets.demo.districts import write_districts
    from spatial_assets.demo.scenes import write_scenes

    write_scenes(folder / "scenes")
    write_districts(folder / "boundaries" / "regions.gpkg")


__all__ = ["make_demo_inputs"]
