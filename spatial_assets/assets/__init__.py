"""The assets: what exists, and who makes it. How it is made belongs in pipeline/."""
