"""The compiler and its settings.

A loop may call only loops of its own file: cached machine code is recompiled when that file
changes, but not when another file does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile `loop` to machine code that releases the GIL, cached on disk where possible."""
    to_machine_code: Callable[..., Any] = numba.njit
    try:
        machine_code: Loop = to_machine_code(nogil=True, error_model="numpy", cache=True)(loop)
    except RuntimeError:  # neither the package nor the user's cache folder is writable
        machine_code = to_machine_code(nogil=True, error_model="numpy")(loop)
    return machine_code
