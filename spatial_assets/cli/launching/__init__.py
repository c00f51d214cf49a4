"""Backfills launched through the GraphQL API of Dagster's webserver, without importing Dagster."""
