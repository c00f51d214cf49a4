"""The demo: its folder, its run through Dagster, and the summary of its result."""
