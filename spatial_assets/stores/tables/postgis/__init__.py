"""PostGIS: connections, transactions with retries, changes of the schema."""
