"""Fetch what the tests' servers need and the system lacks; `make test` runs this first."""

from __future__ import annotations

from spatial_assets_tests.servers.chromium import chromium_program
from spatial_assets_tests.servers.debs import say
from spatial_assets_tests.servers.pgbouncer import pgbouncer_program
from spatial_assets_tests.servers.pgstac import pgstac_python
from spatial_assets_tests.servers.postgis import postgres_programs

if __name__ == "__main__":
    say(f"PostgreSQL with PostGIS: {postgres_programs().folder}")
    say(f"pgbouncer: {pgbouncer_program().executable}")
    say(f"Chromium: {chromium_program().executable}")
    say(f"STAC API: {pgstac_python()}")
