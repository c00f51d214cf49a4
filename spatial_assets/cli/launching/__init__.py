"""Work handed to Dagster: over its webserver's GraphQL, since no Dagster is imported here."""
