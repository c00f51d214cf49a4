"""The Zarr cube: its arrays, metadata and export."""
