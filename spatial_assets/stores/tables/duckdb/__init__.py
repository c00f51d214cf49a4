"""DuckDB: the file, transactions on it, and interrupts that would damage it."""
