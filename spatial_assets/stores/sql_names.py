"""Names that both databases take as they are.

No database library is needed to refuse one: project files are judged before any is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from spatial_assets.errors import DatabaseError

LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer one without an error


def checked_name(name: str, what: str, *, room: int = 0) -> str:
    """`name`, if both databases take it as it is.

    Raises:
        DatabaseError: it is empty, holds a NUL or half a surrogate pair, or is too long.
    """
    size = len(name.encode(errors="replace"))
    if not name or "\0" in name or not is_unicode(name) or size + room > LONGEST_NAME:
        raise DatabaseError(
            f"{what} name {name!r} is {size} bytes long; a database takes 1 to "
            f"{LONGEST_NAME - room} bytes of text without NUL"
        )
    return name


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_shared_columns(table: str, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Refuse column names that cannot be, or that are one and the same to a database.

    Raises:
        DatabaseError: naming the column and the remedy.
    """
    taken = {each.casefold() for each in ours}
    for each in theirs:
        checked_name(each, "column")
        if each.casefold() in taken:
            raise DatabaseError(
                f"boundary set {table!r}: its column {each!r} has a name that is taken "
                f"(ours: {', '.join(ours)}); rename it in the source"
            )
        taken.add(each.casefold())
