"""The science: arrays and geometries in, arrays and geometries out.

Nothing in this package uses a file, the network, the clock, the environment or a framework.
"""
