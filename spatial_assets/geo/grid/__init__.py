"""Places and indices: pixel grids, tiles, cells, partitions and projections."""
