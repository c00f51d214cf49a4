"""The assets: what exists and how it is described. How it is computed belongs in pipeline/."""
