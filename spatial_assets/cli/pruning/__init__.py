"""What a store and a database hold that belongs to no tile, and its removal."""
