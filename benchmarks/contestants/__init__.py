"""Contestants, one file each, written as their users would write them; `task` defines the work."""
