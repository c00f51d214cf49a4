"""STAC items parsed: bands, calibration, footprints, duplicates, and the filter of a project."""
