"""The contestants: one file each, with what its users would write and why; `task` says what."""
