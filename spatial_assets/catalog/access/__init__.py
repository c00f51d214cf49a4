"""Reading from an archive: permissions, requests, signatures and rate limits."""
