"""Fault injection: the pipeline runs on real servers that are made to fail, and is audited."""
