"""Connections to PostGIS: the parsed URL, the schema, the extension, and a client-side timeout.

The password stays in the arguments of a connection and is never shown. The server's own
statement_timeout does not help when the network is silent: without a timeout in the client, a lost
answer would be awaited for ever.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from spatial_assets.errors import DatabaseError
from spatial_assets.project.secrets import MASK
from spatial_assets.stores.sql_names import checked_name

APPLICATION = "spatial_assets"
OWN_TABLE = "tile_state"
"""Table by which the schema with our tables is found."""

SECRET_OPTIONS = ("password", "sslpassword")
URL_REMEDY = "wanted postgresql+psycopg://user:password@host:5432/database?schema=name"


@dataclass(frozen=True, kw_only=True)
class Address:
    """A parsed database URL."""

    public_url: str
    """URL without its password."""

    arguments: Mapping[str, Any] = field(repr=False)
    """Connection arguments for psycopg."""

    schema: str | None = None
    """Schema of our tables; None for the first of the server's search path."""

    def masked(self, text: str) -> str:
        """Mask the password in `text`, both plain and URL-encoded."""
        for name in SECRET_OPTIONS:
            secret = str(self.arguments.get(name) or "")
            for form in {secret, quote(secret, safe=""), quote_plus(secret)} - {""}:
                text = text.replace(form, MASK)
        return text

    def prepare(self, connection: psycopg.Connection[Any]) -> str:
        """Create the schema, if named, and the PostGIS extension, where missing.

        Returns:
            The search path of every transaction.

        Raises:
            DatabaseError: PostGIS is missing and cannot be created.
        """
        # Processes that create the same object concurrently collide, even with "if not exists".
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('spatial_assets', 0))")
        if extension_schema(connection) is None:
            create_extension(connection)
        if self.schema is not None and not has_schema(connection, self.schema):
            create = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema))
            connection.execute(create)
        search_path = self._search_path(connection)
        connection.commit()
        return search_path

    def _search_path(self, connection: psycopg.Connection[Any]) -> str:
        """Search path: our schema, then the user's own path, then the schema of PostGIS.

        The user's own path is the one that the session began with: behind a pooler the present one
        may be a remnant of another client. Without a named schema, the one that has our tables
        stays ours, so that a schema created later does not split them.
        """
        row = connection.execute(
            "SELECT reset_val, set_config('search_path', reset_val, true) "
            "FROM pg_settings WHERE name = 'search_path'"
        ).fetchone()
        usual = "" if row is None else str(row[0] or "")
        schema = self.schema or current_schema(connection)
        spatial = extension_schema(connection)
        first, last = (
            [sql.Identifier(name).as_string(connection)] if name else []
            for name in (schema, spatial)
        )
        return ", ".join([*first, *([usual] if usual else []), *last])


def address_of(url: str) -> Address:
    """Parse a database URL.

    Raises:
        DatabaseError: it is invalid; the message shows no part of it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise DatabaseError(f"the database URL cannot be read; {URL_REMEDY}") from error
    options = {
        name: value if isinstance(value, str) else ",".join(value)
        for name, value in parsed.query.items()
    }
    schema = checked_schema(parsed.query.get("schema"))
    options.pop("schema", None)
    known = {
        "host": parsed.host,
        "port": parsed.port,
        "user": parsed.username,
        "password": parsed.password,
        "dbname": parsed.database,
    }
    arguments = {name: value for name, value in known.items() if value is not None}
    hidden = {name: MASK for name in SECRET_OPTIONS if name in options}
    return Address(
        public_url=parsed.update_query_dict(hidden).render_as_string(hide_password=True),
        arguments={"application_name": APPLICATION, **arguments, **options},
        schema=schema,
    )


def checked_schema(given: str | tuple[str, ...] | None) -> str | None:
    """Return the schema that a URL names, or None.

    Raises:
        DatabaseError: PostgreSQL would take the name for another schema, or refuse it.
    """
    if not given:
        return None
    if not isinstance(given, str):
        raise DatabaseError(f"the database URL names {len(given)} schemas; name one")
    checked_name(given, "schema")
    if given == "$user" or given.startswith("pg_") or given == "information_schema":
        raise DatabaseError(
            f"the database URL names the schema {given!r}, which PostgreSQL keeps for itself, so "
            "the tables would lie elsewhere; name another"
        )
    return given


def current_schema(connection: psycopg.Connection[Any]) -> str | None:
    """Return the first schema of the search path that has our tables, else the first, or None."""
    row = connection.execute(
        "SELECT coalesce((SELECT nspname FROM pg_namespace n JOIN pg_class c "
        "ON c.relnamespace = n.oid AND c.relname = %s AND c.relkind IN ('r', 'p') "
        "WHERE nspname = ANY(current_schemas(false)) "
        "ORDER BY array_position(current_schemas(false), nspname) LIMIT 1), current_schema())",
        (OWN_TABLE,),
    ).fetchone()
    return None if row is None or row[0] is None else str(row[0])


def extension_schema(connection: psycopg.Connection[Any]) -> str | None:
    """Return the schema that PostGIS is installed in, or None."""
    row = connection.execute(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "WHERE e.extname = 'postgis'"
    ).fetchone()
    return None if row is None else str(row[0])


def has_schema(connection: psycopg.Connection[Any], name: str) -> bool:
    """Return True if the schema exists; a user who may not create one may still use it."""
    found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,))
    return found.fetchone() is not None


def create_extension(connection: psycopg.Connection[Any]) -> None:
    """Create the PostGIS extension.

    Raises:
        DatabaseError: PostGIS is not installed on the server, or this user may not create it.
    """
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseError(
            "the database has no PostGIS, and this user may not add it; let an administrator "
            "run: CREATE EXTENSION postgis"
        ) from error
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as error:
        raise DatabaseError(
            "the server has no PostGIS; install it there (Debian: postgresql-NN-postgis-3)"
        ) from error


Result = TypeVar("Result")
Exchange = Generator[Any, Any, Result]
"""psycopg's exchange with a server: yields what it waits for, and wakes every 0.1 s."""


class PromptConnection(psycopg.Connection[tuple[object, ...]]):
    """Connection that closes when the server does not answer; the statement may have run."""

    answer_within = 60.0
    """Maximum seconds without an answer."""

    @classmethod
    def answering_within(cls, seconds: float) -> type[PromptConnection]:
        """Return a connection class with this timeout, which holds while connecting too."""
        return type(cls.__name__, (cls,), {"answer_within": seconds})

    @contextmanager
    def with_timeout(self, seconds: float) -> Iterator[None]:
        """Use a shorter timeout in this block."""
        usual, self.answer_within = self.answer_within, seconds
        try:
            yield
        finally:
            self.answer_within = usual

    def wait(self, gen: Exchange[Result], *options: Any, **named: Any) -> Result:  # noqa: ANN401 - psycopg's
        """Wait for the server.

        Raises:
            psycopg.OperationalError: the server did not answer in time.
        """
        return super().wait(self._in_time(gen), *options, **named)

    def _in_time(self, exchange: Exchange[Result]) -> Exchange[Result]:
        deadline = time.monotonic() + self.answer_within
        try:
            wait = next(exchange)
            while True:
                ready = yield wait
                if not ready and time.monotonic() > deadline:
                    self.pgconn.finish()
                    message = f"the server did not answer within {self.answer_within:g} s"
                    raise psycopg.OperationalError(message)
                wait = exchange.send(ready)
        except StopIteration as ended:
            result: Result = ended.value
            return result
