"""The chain in plain Python: tiles, stages, outcomes and an engine, without Dagster.

The Dagster assets, the command line, the benchmark and notebooks use the same pipeline.
"""
