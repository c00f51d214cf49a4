"""Checks of `check`, one module per kind of dependency of a run."""
