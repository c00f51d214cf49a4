"""Geometries: validation, repair, areas, coverage and statistics per boundary."""
