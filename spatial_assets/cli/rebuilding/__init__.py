"""Parts of `rebuild` that need no Dagster: the database from the store, and what exists."""
