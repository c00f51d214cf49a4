"""The chain as plain Python: tiles, stages, outcomes and an engine. No Dagster in here.

The same pipeline serves the Dagster assets, the command line, the benchmark and a notebook.
"""
