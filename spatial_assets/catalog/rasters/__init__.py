"""Rasters of scenes: opened by GDAL, inspected once, and read window by window."""

from spatial_assets.project.gdal_options import ignore_gdal_variables

ignore_gdal_variables()  # before a library with GDAL is imported, which registers its drivers
