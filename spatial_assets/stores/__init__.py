"""Where the product is kept: objects (rasters, cube, manifests, leases) and database tables.

Nothing is imported here: each module takes the heavy library it needs, and no other.
"""
