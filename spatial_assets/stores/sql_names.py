"""Names of tables and columns that both databases accept unchanged.

Light: project files are validated before a database library is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from spatial_assets.errors import DatabaseError

MAX_NAME_BYTES = 63  # PostgreSQL truncates a longer name without an error


def checked_name(name: str, what: str, *, suffix_bytes: int = 0) -> str:
    """Return `name` if both databases accept it, with `suffix_bytes` left for a suffix.

    Raises:
        DatabaseError: it is empty or too long, or contains a NUL or a lone surrogate.
    """
    size = len(name.encode(errors="replace"))
    if not name or "\0" in name or not is_unicode(name) or size + suffix_bytes > MAX_NAME_BYTES:
        raise DatabaseError(
            f"{what} name {name!r} is {size} bytes long; a database takes 1 to "
            f"{MAX_NAME_BYTES - suffix_bytes} bytes of text without NUL"
        )
    return name


def is_unicode(text: str) -> bool:
    """Return True if `text` can be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_shared_columns(table: str, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Refuse invalid column names, and names that differ only in case.

    Raises:
        DatabaseError: with the column and the remedy.
    """
    taken = {each.casefold() for each in ours}
    for each in theirs:
        checked_name(each, "column")
        if each.casefold() in taken:
            raise DatabaseError(
                f"boundary set {table!r}: the name of its column {each!r} is taken "
                f"(reserved: {', '.join(ours)}); rename it in the source"
            )
        taken.add(each.casefold())
