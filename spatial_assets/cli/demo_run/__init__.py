"""The demo: its place, its run through Dagster, and what is told of it in the end."""
