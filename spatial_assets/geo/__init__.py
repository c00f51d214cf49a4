"""The science: arrays and geometries in, arrays and geometries out.

No file, network, clock, environment or framework below this package.
"""
