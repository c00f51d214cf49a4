"""Files and objects: the store, its manifests, leases and identity, and GeoTIFF and JSON in it."""
