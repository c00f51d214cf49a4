"""The innermost loops, compiled: the bits of the numpy ones, in one pass each.

Every operation, its order and its precision are those of the modules that call them, and nothing
is contracted or reordered, so it does not matter which of the two ran. Importing this package
loads the compiler: see `loops`, which decides whether that pays.
"""

from spatial_assets.geo.numba_loops.composite import dequantise, keep, median
from spatial_assets.geo.numba_loops.warp import sample_nearest, store_bilinear

__all__ = ["dequantise", "keep", "median", "sample_nearest", "store_bilinear"]
