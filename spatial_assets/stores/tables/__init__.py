"""Database tables: declarations, DDL, batches and transactions for PostGIS and DuckDB."""
