"""Storage of the product: objects (rasters, cube, manifests, leases) and database tables.

The modules of this folder are light: plain data and names, no library. Its streets are heavy.
"""
