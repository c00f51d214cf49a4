"""Runs in this process, and the progress display of long commands."""
