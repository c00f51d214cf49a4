"""Runs on this machine from the command line: progress, time left and the result."""
