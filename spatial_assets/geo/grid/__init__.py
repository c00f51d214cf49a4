"""Pixel grids, tiles, cells, partitions and projections."""
