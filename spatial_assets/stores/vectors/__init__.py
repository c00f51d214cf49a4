"""Boundary files: read with GDAL or Arrow, and written as validated GeoParquet."""
