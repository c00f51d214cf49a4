"""Faults on purpose: the pipeline on real servers that are made to fail, and an audit."""
