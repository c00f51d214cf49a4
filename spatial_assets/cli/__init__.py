"""The command line: a module a command, found by its name and imported when it is called.

A module here named `x` holds a click command named "x"; its docstring's first line is what
`--help` shows. What they are made of lives in the packages beside them; `shell` is what all share.
"""

from spatial_assets.cli.app.group import main

__all__ = ["main"]
