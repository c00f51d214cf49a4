"""The command line: one module per command, listed by name and imported when called.

A module named `x` in this folder holds a click command named "x"; the first line of its docstring
is its line in `--help`. Commands share `app/`; the other packages hold the parts of one command or
of a few.
"""

from spatial_assets.cli.app.group import main
from spatial_assets.project.gdal_options import ignore_gdal_variables

ignore_gdal_variables()  # before a command imports a library with GDAL

__all__ = ["main"]
