"""Maps of one period of an index with its tiles: PNG, HTML page and terminal."""
