"""Rasters of scenes: opened by GDAL, inspected once, and read window by window."""
