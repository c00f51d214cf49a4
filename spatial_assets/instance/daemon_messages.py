"""Length of the messages of Dagster's backfill daemon, which name the keys of all tiles.

At every iteration, 30 s apart, the daemon logs the keys of all tiles that are made, failed and in
progress, for each asset: 10 MB an iteration at 100,000 tiles. Apart from the event logs, which call
this in every process that opens an instance, because it needs no SQLAlchemy.
"""

from __future__ import annotations

import logging

BACKFILL_LOGGER = "dagster.daemon.BackfillDaemon"

MAX_CHARACTERS = 4000
"""Length up to which a message is kept: 40 lines, or the keys of some 200 tiles."""


MAX_LINE = 300
"""Length of a line of such a message: it names one asset, and the keys of its tiles."""


class ShortenMessages(logging.Filter):
    """Cuts long messages, and says how long they were."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the message of a record; keep every record."""
        message = record.getMessage()
        if len(message) > MAX_CHARACTERS:
            lines = [
                line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}..."
                for line in message.split("\n")
            ]
            short = "\n".join(lines)[:MAX_CHARACTERS]
            record.msg = f"{short}\n(shortened from {len(message):,} characters)"
            record.args = ()
        return True


_shorten = ShortenMessages()


def shorten_backfill_messages() -> None:
    """Shorten the messages of the backfill daemon in this process; once is enough."""
    logging.getLogger(BACKFILL_LOGGER).addFilter(_shorten)
