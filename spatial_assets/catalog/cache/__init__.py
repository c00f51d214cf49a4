"""Local copies of remote rasters: sparse files, ranges, downloads and eviction."""
