"""STAC items understood: bands, calibration, footprints, duplicates and the item filter."""
