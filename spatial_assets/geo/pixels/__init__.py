"""Arithmetic on arrays that are on the pixel grid: indices, composites, mosaics, pictures."""
