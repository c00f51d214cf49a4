"""The compiler and its settings.

A loop calls loops of its own file only: machine code that was kept on disk is made anew when that
file changes, not when another does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Machine code of `loop`, kept on disk where there is a place for it; frees the GIL."""
    to_machine_code: Callable[..., Any] = numba.njit
    try:
        kept: Loop = to_machine_code(nogil=True, error_model="numpy", cache=True)(loop)
    except RuntimeError:  # neither the package nor the user's cache folder can be written
        kept = to_machine_code(nogil=True, error_model="numpy")(loop)
    return kept
