"""Resampling of a scene onto the pixel grid: kernels, source coordinates, weights."""
