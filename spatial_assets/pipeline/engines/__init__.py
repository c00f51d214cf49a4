"""Engines that compute tiles: this process, local processes or a Dask cluster."""
