"""One run in the driver: scenes, leases, memory, commits and the log of runs."""
