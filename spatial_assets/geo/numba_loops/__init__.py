"""The innermost loops, compiled: the same bits as in numpy, in one pass each.

Every operation, its order and its precision are those of the modules that call the loops; nothing
is contracted or reordered, so it does not matter which of the two ran. Importing this package
loads the compiler; `numba_loader` decides whether that is worth it.
"""

from spatial_assets.geo.numba_loops.composite import dequantise, keep_in_range, median
from spatial_assets.geo.numba_loops.warp import store_bilinear

__all__ = ["dequantise", "keep_in_range", "median", "store_bilinear"]
