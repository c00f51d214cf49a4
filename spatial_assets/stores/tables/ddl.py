"""DDL statements of a declared table, in the SQL dialect of either database.

DuckDB uses PostgreSQL's dialect except for types and geometry functions; these few differences
are its whole dialect here. Both number their parameters ($1), so that no identifier is mistaken for
one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from geoalchemy2 import Geometry
from geoalchemy2.functions import ST_AsEWKB, ST_GeomFromEWKB
from sqlalchemy.dialects.postgresql.base import PGDialect, PGTypeCompiler
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable, SetColumnComment, SetTableComment
from sqlalchemy.sql.compiler import SQLCompiler

from spatial_assets.stores.tables.columns import SRID
from spatial_assets.stores.tables.declarations import DatabaseView


class PostgisDialect(PGDialect):
    """PostgreSQL with numbered parameters and standard strings."""

    supports_statement_cache = True
    _backslash_escapes = False  # standard strings, the default of servers since 9.1


class DuckTypes(PGTypeCompiler):
    """Type names as DuckDB's catalogue reports them."""

    def visit_TEXT(self, type_: object, **kw: Any) -> str:  # noqa: ANN401, ARG002, N802 - SQLAlchemy's
        """Return the type of text of any length."""
        return "VARCHAR"

    def visit_DOUBLE_PRECISION(self, type_: object, **kw: Any) -> str:  # noqa: ANN401, ARG002, N802
        """Return the type of a 64-bit float."""
        return "DOUBLE"

    def visit_TIMESTAMP(self, type_: Any, **kw: Any) -> str:  # noqa: ANN401, ARG002, N802
        """Return the type of a date and time, with a time zone or without."""
        return "TIMESTAMP WITH TIME ZONE" if type_.timezone else "TIMESTAMP"


class DuckDialect(PostgisDialect):
    """DuckDB with its spatial extension."""

    name = "duckdb"
    type_compiler_cls = DuckTypes


POSTGIS_DIALECT = PostgisDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
DUCKDB_DIALECT = DuckDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


@compiles(Geometry, "duckdb")
def duck_geometry(_type: object, _compiler: PGTypeCompiler, **_: object) -> str:
    """Return the geometry type, which in DuckDB has a CRS, but no kind of geometry."""
    return f"GEOMETRY('EPSG:{SRID}')"


@compiles(ST_AsEWKB, "duckdb")
def duck_as_wkb(element: sa.FunctionElement[bytes], compiler: SQLCompiler, **kw: object) -> str:
    """Return a call of ST_AsWKB: a DuckDB value has no SRID."""
    return f"ST_AsWKB({compiler.process(element.clauses, **kw)})"


@compiles(ST_GeomFromEWKB, "duckdb")
def duck_from_wkb(element: sa.FunctionElement[bytes], compiler: SQLCompiler, **kw: object) -> str:
    """Return a call of ST_GeomFromWKB: a DuckDB value has no SRID."""
    return f"ST_GeomFromWKB({compiler.process(element.clauses, **kw)})"


def creation(table: sa.Table, dialect: PGDialect) -> Iterator[str]:
    """Statements that create a table, its comments and useful indexes, where missing.

    DuckDB gets no index but the primary key: it scans 100,000 polygons in 15 ms, deletes twenty
    times slower with an R-tree, and 1.5.5 fails with an internal error when an R-tree is used while
    the file still has the log of a killed writer.
    """
    yield str(CreateTable(table, if_not_exists=True).compile(dialect=dialect))
    yield from index_creations(table, dialect).values()
    yield from comment_statements(table, dialect).values()


def index_creations(table: sa.Table, dialect: PGDialect) -> Mapping[str, str]:
    """Index -> statement that creates it, where missing; {} for DuckDB."""
    if isinstance(dialect, DuckDialect):
        return {}
    return {
        str(index.name): str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect))
        for index in sorted(table.indexes, key=lambda each: str(each.name))
    }


def comment_statements(table: sa.Table, dialect: PGDialect) -> Mapping[tuple[str, str | None], str]:
    """(Column, comment) -> statement that sets it; the column is "" for the table itself."""
    of_table = {("", table.comment): str(SetTableComment(table).compile(dialect=dialect))}
    return of_table | {
        (column.name, column.comment): str(SetColumnComment(column).compile(dialect=dialect))
        for column in table.columns
    }


def view_query(view: DatabaseView, dialect: PGDialect) -> str:
    """Query of a view, as a statement without parameters."""
    return str(view.query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def view_creation(view: DatabaseView, dialect: PGDialect) -> str:
    """Statement that creates a view, or replaces its query."""
    name = quoted(view.table.name, dialect)
    return f"CREATE OR REPLACE VIEW {name} AS {view_query(view, dialect)}"


def column_addition(column: sa.Column[object], dialect: PGDialect) -> str:
    """Statement that adds a nullable column to an existing table, where missing."""
    table, name = quoted(column.table.name, dialect), quoted(column.name, dialect)
    return f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {type_name(column, dialect)}"


def column_retyping(column: sa.Column[object], dialect: PGDialect) -> str:
    """Statement that changes the type of a column whose rows are about to be replaced."""
    table, name = quoted(column.table.name, dialect), quoted(column.name, dialect)
    kind = type_name(column, dialect)
    # Not null, for the column may forbid it; each is a value of its type.
    values = {"Boolean": "false", "Date": "1970-01-01", "LocalDateTime": "1970-01-01"}
    values |= {"DateTime": "1970-01-01 00:00:00+00"}
    value = f"CAST('{values.get(type(column.type).__name__, '0')}' AS {kind})"
    return f"ALTER TABLE {table} ALTER COLUMN {name} SET DATA TYPE {kind} USING {value}"


def type_name(column: sa.Column[object], dialect: PGDialect) -> str:
    """Type of a column, as the database writes it."""
    return str(column.type.compile(dialect))


def quoted(name: str, dialect: PGDialect) -> str:
    """Quote an identifier."""
    return dialect.identifier_preparer.quote_identifier(name)


def parameterised(statement: sa.ClauseElement, dialect: PGDialect) -> tuple[str, list[object]]:
    """Return a statement with numbered parameters, and their values in that order."""
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - for mypy
    return str(compiled), [compiled.params[name] for name in compiled.positiontup or ()]
