"""Estimates of a run before it starts: scenes, bytes, memory, time and Dagster runs."""
