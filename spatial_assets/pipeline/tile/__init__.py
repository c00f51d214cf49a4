"""One tile in a worker: the walk through its stages, and a file for each stage."""
