"""Storage of the product: objects (rasters, cube, manifests, leases) and database tables.

The modules of this folder are light: plain data and names, no library. Its streets are heavy.
"""

from spatial_assets.project.gdal_options import ignore_gdal_variables

ignore_gdal_variables()  # before a library with GDAL is imported, which registers its drivers
