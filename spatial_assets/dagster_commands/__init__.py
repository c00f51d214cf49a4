"""Commands that read or write the records of Dagster, listed by name as those of `cli` are."""
