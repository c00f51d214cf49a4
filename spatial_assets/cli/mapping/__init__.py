"""Pictures of a period of an index with its tiles: PNG, terminal, and a page for a browser."""
