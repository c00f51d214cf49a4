"""Arithmetic on arrays on the pixel grid: indices, mosaics, composites, checks, pictures."""
