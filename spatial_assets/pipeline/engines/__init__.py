"""Where tiles are computed: this process, local processes or a Dask cluster."""
